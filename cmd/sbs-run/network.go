package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/dynamics"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// network is a model as a classifier of images.
type network struct {
	model   *runtime.Model
	input   string
	size    dataset.Size
	batch   int // images in one run
	output  string
	classes []string // names, nil when the model has none
	outputs int      // number of classes
}

// defaultBatch is the number of images in one run of a model with an open batch
// size: enough for all cores, few enough to see progress.
const defaultBatch = 64

// maxPixels bounds the values of one batch, over all its images and channels.
const maxPixels = 1 << 28

func openNetwork(path string, f *flags) (*network, error) {
	opts := []runtime.Option{runtime.Workers(f.workers), runtime.Spikes(f.spikes)}
	d, err := f.Dynamics()
	if err != nil {
		return nil, err
	}
	if d.Sampler != "" {
		opts = append(opts, runtime.Sampler(d.Sampler))
	}
	if d.Schedule != nil {
		opts = append(opts, runtime.EpsilonSchedule(*d.Schedule))
	}
	if d.Epsilon0 != nil {
		opts = append(opts, runtime.Epsilon0(*d.Epsilon0))
	}
	m, err := runtime.Open(path, opts...)
	if err != nil {
		return nil, err
	}
	if (f.spikes > 0 || d != dynamics.Dynamics{}) && m.SbSNodes() == 0 {
		return nil, fmt.Errorf("%s: --spikes, --sampler, --epsilon-schedule and --epsilon-0 change SbS operators, and the model has none: "+
			"if it was converted with --decompose, convert it anew with them", path)
	}
	in, out := m.Inputs(), m.Outputs()
	if len(in) != 1 || len(out) != 1 {
		return nil, fmt.Errorf("%s: the model has %d inputs and %d outputs; to classify images it must have one of each", path, len(in), len(out))
	}
	s := in[0].Shape
	if in[0].DType != ops.Float32 || len(s) != 4 || !s[1].Known() || !s[2].Known() || !s[3].Known() {
		return nil, fmt.Errorf("%s: the model's input %q is %v; to classify images it must be float32(batch, channels, height, width) of known sizes", path, in[0].Name, in[0].Type)
	}
	n := &network{
		model: m, input: in[0].Name, output: out[0].Name, batch: defaultBatch,
		size: dataset.Size{Channels: s[1].Size, Height: s[2].Size, Width: s[3].Size},
	}
	if s[0].Known() {
		n.batch = s[0].Size
	}
	if n.batch < 1 || n.size.Channels < 1 || n.size.Height < 1 || n.size.Width < 1 ||
		n.size.Channels > maxPixels/n.size.Height/n.size.Width/n.batch {
		return nil, fmt.Errorf("%s: the model takes batches of %d images of %v; this command can give it 1 to %d pixels at a time",
			path, n.batch, n.size, maxPixels)
	}
	if n.outputs, err = outputs(out[0].Type); err != nil {
		return nil, fmt.Errorf("%s: the model's output %q is %v: %w", path, out[0].Name, out[0].Type, err)
	}
	if c := m.Metadata()[convert.MetaClasses]; c != "" {
		if err := json.Unmarshal([]byte(c), &n.classes); err != nil {
			return nil, fmt.Errorf("%s: the class names in the metadata (%s) cannot be read: %w", path, convert.MetaClasses, err)
		}
	}
	if len(n.classes) != n.outputs {
		n.classes = nil
	}
	return n, nil
}

// outputs returns the length of the vector that the model gives for an image.
func outputs(t ops.Type) (int, error) {
	bad := fmt.Errorf("to classify images it must be one vector for each, float32(batch, classes)")
	if t.DType != ops.Float32 || len(t.Shape) < 2 || !t.Shape[1].Known() || t.Shape[1].Size < 1 {
		return 0, bad
	}
	for _, d := range t.Shape[2:] {
		if d.Size != 1 {
			return 0, bad
		}
	}
	return t.Shape[1].Size, nil
}

// class returns the name of a class.
func (n *network) class(i int) string {
	if n.classes != nil {
		return n.classes[i]
	}
	return strconv.Itoa(i)
}

// shown returns the name of a class as text output has it.
func (n *network) shown(i int) string { return oneLine(n.class(i)) }

// isFinite reports whether a model has given numbers for an image.
func isFinite(v []float32) bool {
	for _, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return false
		}
	}
	return true
}

// probabilities turns the output for one image into probabilities, in place.
// The last layer of an SbS network gives such; a layer that does not is taken
// for logits.
func (n *network) probabilities(v []float32) []float32 {
	if n.output == convert.Probabilities || n.output != convert.Logits && isDistribution(v) {
		return v
	}
	largest := v[0]
	for _, x := range v {
		largest = max(largest, x)
	}
	var sum float64
	for i, x := range v {
		e := math.Exp(float64(x - largest))
		v[i] = float32(e)
		sum += e
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / sum)
	}
	return v
}

func isDistribution(v []float32) bool {
	var sum float64
	for _, x := range v {
		if !(x >= 0) {
			return false
		}
		sum += float64(x)
	}
	return math.Abs(sum-1) < 1e-3
}
