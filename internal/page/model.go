package page

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/runtime"
)

// Model is a network that the page can show. Use Load to make one. It does not change once a Handler has
// it: see UsePictures.
type Model struct {
	name     string
	size     classify.Size
	classes  []string
	light    bool // the images of the training are dark on light
	crop     int
	stages   []stage // one for a model without stages
	pictures []Picture
	source   string // of the pictures and their license, "" if unknown
}

// Load makes a Model of the contents of an ONNX file, with options such as runtime.MemoryLimit for
// each of its stages. A run uses one CPU core. name identifies the model on the page.
func Load(ctx context.Context, name string, data []byte, opts ...runtime.Option) (*Model, error) {
	m := &Model{name: name}
	if err := m.load(ctx, data, opts); err != nil {
		return nil, fmt.Errorf("page: %s: %w", name, err)
	}
	return m, nil
}

// Name returns the name of the model.
func (m *Model) Name() string { return m.name }

func (m *Model) load(ctx context.Context, data []byte, opts []runtime.Option) error {
	opts = append(opts[:len(opts):len(opts)], runtime.Workers(1), runtime.LoadContext(ctx))
	whole, err := runtime.New(data, opts...)
	if err != nil {
		return err
	}
	c, err := newClassifier(whole)
	if err != nil {
		return err
	}
	defer c.Close()
	networks, err := networksOf(data)
	if err != nil {
		return err
	}
	if batch := whole.Inputs()[0].Shape; len(batch) > 0 && batch[0].Known() && batch[0].Size != 1 {
		return fmt.Errorf("the model takes batches of %d images only, but the page shows one image: convert it without --batch", batch[0].Size)
	}
	models, thresholds := []*runtime.Model{whole}, []float64{0}
	if list := whole.Stages(); list != nil {
		models, thresholds = nil, nil
		for i, s := range list {
			one, err := runtime.New(data, append(opts, runtime.OnlyStage(i+1))...)
			if err != nil {
				return err
			}
			models, thresholds = append(models, one), append(thresholds, s.Threshold)
		}
	}
	for i, model := range models {
		s := stage{model: model, threshold: thresholds[i], spiking: model.SbSLayers()}
		if networks != nil {
			if err := s.describe(networks[i]); err != nil {
				return err
			}
		}
		m.stages = append(m.stages, s)
	}
	m.size, m.classes, m.crop = c.Size(), c.Classes(), whole.Crop()
	if n := m.size.Channels; n != 1 && n != 3 {
		return fmt.Errorf("the model takes images with %d channels, but the page shows gray images and those with 3 channels", n)
	}
	if last := m.stages[len(m.stages)-1]; last.network != nil && last.network.Borders != nil {
		m.light = last.network.Borders.Median[1] > 0.5
	}
	return m.embedded()
}

// newClassifier returns a Classifier for one request. Its options are those of sbs-run, so that
// the numbers are the same.
func newClassifier(m *runtime.Model, opts ...classify.Option) (*classify.Classifier, error) {
	return classify.New(m, append([]classify.Option{classify.Workers(1), classify.Invert("no")}, opts...)...)
}

// networksOf returns the networks of the stages of a model, or nil if sbs-convert has not written
// it. Loading has verified the checksum.
func networksOf(data []byte) ([]*convert.Network, error) {
	staged, err := convert.StagesFromONNX(data, convert.IgnoreChecksum())
	if errors.Is(err, convert.ErrNotConverted) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var networks []*convert.Network
	for _, s := range staged.Stages {
		networks = append(networks, s.Network)
	}
	return networks, nil
}

// overview describes the models for the page.
type overview struct {
	Models []description `json:"models"`
	Spikes int           `json:"maxSpikes"`
	File   int           `json:"maxFile"` // bytes of a picture file
}

type description struct {
	Name     string       `json:"name"`
	Classes  []string     `json:"classes"`
	Channels int          `json:"channels"`
	Height   int          `json:"height"`
	Width    int          `json:"width"`
	Digits   bool         `json:"digits"` // drawings are prepared as the digits of MNIST
	Light    bool         `json:"light"`  // drawings are dark on light
	Stages   []stageText  `json:"stages"`
	Noise    []noiseRange `json:"noise"`
	Pictures int          `json:"pictures"`
	Source   string       `json:"source"` // of the pictures
}

type stageText struct {
	Threshold float64     `json:"threshold"`
	Layers    []layerText `json:"layers"` // those with spikes
}

type layerText struct {
	Name    string `json:"name"`
	Spikes  int    `json:"spikes"`
	Sampler string `json:"sampler"`
}

// noiseRange describes the levels of a kind of noise for a slider.
type noiseRange struct {
	Name  string  `json:"name"`
	Level string  `json:"level"` // what the level is
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
	Step  float64 `json:"step"`
}

func (h *Handler) overview(*http.Request) (overview, error) {
	o := overview{Models: []description{}, Spikes: h.limits.Spikes, File: maxUpload}
	for _, m := range *h.models.Load() {
		o.Models = append(o.Models, m.description())
	}
	return o, nil
}

func (m *Model) description() description {
	d := description{
		Name: m.name, Classes: m.classes, Channels: m.size.Channels, Height: m.size.Height, Width: m.size.Width,
		Digits: m.digits(), Light: m.light, Noise: m.noise(), Pictures: len(m.pictures), Source: m.source,
	}
	for _, s := range m.stages {
		t := stageText{Threshold: s.threshold, Layers: []layerText{}}
		for _, l := range s.spiking {
			t.Layers = append(t.Layers, layerText{l.Name, l.Spikes, string(l.Sampler)})
		}
		d.Stages = append(d.Stages, t)
	}
	return d
}

// noise returns the kinds of noise that the model can have.
func (m *Model) noise() []noiseRange {
	side := float64(min(m.size.Height, m.size.Width))
	// The largest levels where package noise accepts larger ones, which are of no use.
	ends := map[string]float64{
		"gaussian": 2, "shot": 2, "blur": 5, "occlusion": side, "translation": side, "crop-shift": float64(m.crop),
	}
	var list []noiseRange
	for _, k := range noise.Kinds() {
		r := noiseRange{Name: k.Name, Level: k.Level, Least: k.Least, Most: k.Most, Step: 0.01}
		if end, ok := ends[k.Name]; ok {
			r.Most = min(end, k.Most)
		}
		switch {
		case k.Whole:
			r.Step = 1
		case r.Most > 10:
			r.Step = 0.5
		}
		if r.Most > 0 {
			list = append(list, r)
		}
	}
	return list
}

// digits reports whether the classes are the digits 0 to 9 and drawings should be prepared as those
// of MNIST.
func (m *Model) digits() bool {
	if len(m.classes) != 10 || m.size.Channels != 1 {
		return false
	}
	for i, name := range m.classes {
		if name != fmt.Sprint(i) {
			return false
		}
	}
	return true
}
