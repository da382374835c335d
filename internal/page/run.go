package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/runtime"
)

// Request asks how a network decides about a picture.
type Request struct {
	// Model is the name of the model. Stage is the number of the stage to show, from 1; 0 is the
	// stage at which the picture leaves.
	Model string `json:"model"`
	Stage int    `json:"stage"`

	// Pixels has one byte per value, of shape (height, width, channels).
	Pixels []byte `json:"pixels"`

	// Spikes is the number of spikes of every layer; 0 means each layer's own number.
	Spikes int `json:"spikes"`

	Seed     uint64   `json:"seed"`
	Samplers []string `json:"samplers"` // one lane for each of them
	Noise    string   `json:"noise"`    // as sbs-run --noise, or ""

	// Fit fits epsilon_0 to the number of spikes, as sbs-run --epsilon-schedule auto does. Without
	// it, the network has its own epsilon.
	Fit bool `json:"fit"`
}

// Response describes the decision.
type Response struct {
	// Pixels is the picture with its noise, as in Request.
	Pixels []byte `json:"pixels"`

	// Stage is the number of the stage that the lanes show. Stages has the stages of the model as
	// it is that the picture went through, nil for a model without stages.
	Stage  int          `json:"stage"`
	Stages []stageGuess `json:"stages"`

	// Spikes has the numbers of spikes t of the frames. In frame t, every layer draws t spikes, or
	// its own number if that is smaller.
	Spikes []int `json:"spikes"`

	// Black is the number of positions of the first layer whose patch is black, and whose spikes
	// fall anywhere in it.
	Black int `json:"black"`

	// Crop is the number of pixels that the network removes on each side. Dots and Sees do not
	// have them.
	Crop int `json:"crop"`

	// Channels says what the spikes of each channel of Dots mean: "light", "dark", "red", "green"
	// or "blue".
	Channels []string `json:"channels"`

	Lanes []lane `json:"lanes"`
}

// stageGuess is the answer of a stage of a model.
type stageGuess struct {
	Class     int     `json:"class"`
	Margin    float64 `json:"margin"`
	Threshold float64 `json:"threshold"`
	Updates   int64   `json:"updates"`
}

// lane is the decision with one sampler. Every slice of a slice has an element for each frame.
type lane struct {
	Sampler       string      `json:"sampler"`
	Probabilities [][]float32 `json:"probabilities"`
	Updates       int64       `json:"updates"` // of the last frame
	Layers        []laneLayer `json:"layers"`

	// Drawn is the number of spikes of the first layer so far. Dots has those of each of its inputs,
	// of shape (frames, channels, height, width), as two bytes, the lower one first; 65535 stands
	// for that or more. Sees has the reconstructions of
	// the picture, W*h, of shape (frames, height, width, channels). They are nil if the input of the
	// first layer is not the picture, or if they are too large to be shown.
	Drawn []int  `json:"drawn"`
	Dots  []byte `json:"dots"`
	Sees  []byte `json:"sees"`
}

// laneLayer has the activities of a layer.
type laneLayer struct {
	Layer   int `json:"layer"`
	Neurons int `json:"neurons"`
	Height  int `json:"height"`
	Width   int `json:"width"`

	// Most has the largest h of each frame. H has all of them, of shape (frames, neurons, height,
	// width), as bytes: 255 stands for Most. They are nil if the layer is too large to be shown.
	Most []float32 `json:"most"`
	H    []byte    `json:"h"`

	shown bool
}

const (
	maxWork   = 3e9     // of all frames of a request: see stage.work
	maxDrawn  = 1 << 23 // spikes of the first layer that are kept at a time
	maxSeries = 1 << 22 // bytes of all frames of a lane of one kind: the h of all layers, Dots or Sees
	maxFields = 1 << 16 // bytes of a request without its pixels
)

// growths are the ratios between the numbers of spikes of the frames, from fine to coarse. The
// frames cost growth/(growth-1) times as much as the last one.
var growths = []float64{1.2, 1.45, 2.15}

// frames returns the numbers of spikes from 1 to most.
func frames(most int, growth float64) []int {
	list := []int{1}
	for t := 1; t < most; list = append(list, t) {
		t = min(most, max(t+1, int(math.Round(float64(t)*growth))))
	}
	return list
}

// plan returns the numbers of spikes of the frames, with the finest steps that are not too much
// work. Without spikes, there is one frame.
func (s *stage) plan(limit, lanes int) ([]int, error) {
	most := limit
	if limit == 0 {
		most = s.own()
	}
	if len(s.spiking) == 0 {
		return []int{0}, nil
	}
	for _, growth := range growths {
		list, work := frames(most, growth), 0.0
		for _, t := range list {
			work += float64(s.work(s.spikes(t, limit)) * float64(lanes))
		}
		if work <= maxWork {
			return list, nil
		}
	}
	return nil, refused("%d spikes in every layer of this network are too much work for this page: choose fewer", most)
}

func (h *Handler) run(r *http.Request) (a *Response, err error) {
	q, m, err := h.request(r)
	if err != nil {
		return nil, err
	}
	err = h.compute(r, func(ctx context.Context) error {
		a, err = m.answer(ctx, q)
		return err
	})
	if errors.Is(err, runtime.ErrOption) || errors.Is(err, runtime.ErrValue) || errors.Is(err, runtime.ErrMemory) {
		err = statusError{http.StatusBadRequest, err}
	}
	return a, err
}

// request reads and checks a Request.
func (h *Handler) request(r *http.Request) (*Request, *Model, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, nil, statusError{http.StatusUnsupportedMediaType, errors.New("the content type of the request must be application/json")}
	}
	most := int64(maxFields)
	for _, m := range *h.models.Load() {
		most = max(most, maxFields+2*int64(m.values()))
	}
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, most))
	d.DisallowUnknownFields()
	q := new(Request)
	err := d.Decode(q)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, nil, err
	case err != nil:
		return nil, nil, refused("the request cannot be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, refused("the request has more than one JSON value")
	}
	m, err := h.model(q.Model)
	if err != nil {
		return nil, nil, err
	}
	if q.Spikes < 0 || q.Spikes > h.limits.Spikes {
		return nil, nil, refused("%d spikes: this page takes 1 to %d, or 0 for the number of the model", q.Spikes, h.limits.Spikes)
	}
	return q, m, m.check(q)
}

// check returns an error if a model cannot answer a request.
func (m *Model) check(q *Request) error {
	if want := m.values(); len(q.Pixels) != want {
		return refused("the picture has %d values, but the model %s takes %v, which are %d", len(q.Pixels), m.name, m.size, want)
	}
	if q.Stage < 0 || q.Stage > len(m.stages) {
		return refused("there is no stage %d: the model %s has %d", q.Stage, m.name, len(m.stages))
	}
	if len(q.Samplers) < 1 || len(q.Samplers) > 2 {
		return refused("%d samplers: want iid, low_discrepancy or both", len(q.Samplers))
	}
	for i, name := range q.Samplers {
		if s := runtime.Sampler(name); s != runtime.IID && s != runtime.LowDiscrepancy {
			return refused("sampler %q: want %s or %s", name, runtime.IID, runtime.LowDiscrepancy)
		}
		if slices.Contains(q.Samplers[:i], name) {
			return refused("the sampler %s occurs twice", name)
		}
	}
	return nil
}

// picture returns the image of a Request.
func (m *Model) picture(pixels []byte) image.Image {
	r := image.Rect(0, 0, m.size.Width, m.size.Height)
	if m.size.Channels == 1 {
		return &image.Gray{Pix: pixels, Stride: m.size.Width, Rect: r}
	}
	img := image.NewNRGBA(r)
	for i := range m.size.Width * m.size.Height {
		img.SetNRGBA(i%m.size.Width, i/m.size.Width, color.NRGBA{pixels[3*i], pixels[3*i+1], pixels[3*i+2], 255})
	}
	return img
}

// answer computes the answer to a request that check has accepted.
func (m *Model) answer(ctx context.Context, q *Request) (*Response, error) {
	classifiers := make([]*classify.Classifier, len(m.stages))
	for i, s := range m.stages {
		c, err := newClassifier(s.model, classify.Noise(q.Noise), classify.Seed(q.Seed))
		if err != nil {
			return nil, statusError{http.StatusBadRequest, err}
		}
		defer c.Close()
		classifiers[i] = c
	}
	x, err := classifiers[0].Tensor(m.picture(q.Pixels))
	if err != nil {
		return nil, err
	}
	a := &Response{Stage: q.Stage, Pixels: toBytes(field{m.imageSize(), x.Float32s()})}
	if len(m.stages) > 1 {
		if a.Stages, err = m.leave(ctx, classifiers, x); err != nil {
			return nil, err
		}
		if q.Stage == 0 {
			a.Stage = len(a.Stages)
		}
	}
	number := max(a.Stage, 1) - 1
	s := &m.stages[number]
	if a.Spikes, err = s.plan(q.Spikes, len(q.Samplers)); err != nil {
		return nil, err
	}
	if s.front != nil {
		a.Crop, a.Channels = s.network.Preprocessing.Crop, s.channels()
	}
	for _, sampler := range q.Samplers {
		r := &recorder{stage: s, classifier: classifiers[number], request: q, frames: a.Spikes}
		l, err := r.record(ctx, x, runtime.Sampler(sampler))
		if err != nil {
			return nil, err
		}
		a.Lanes = append(a.Lanes, *l)
		if s.front != nil && !s.front.shared {
			a.Black = black(r.mass)
		}
	}
	return a, nil
}

// leave sends a picture through the stages of the model as it is, and returns the answers of the
// stages up to the one at which the picture leaves.
func (m *Model) leave(ctx context.Context, classifiers []*classify.Classifier, x *runtime.Tensor) ([]stageGuess, error) {
	var list []stageGuess
	for i, c := range classifiers {
		results, err := c.Run(ctx, x)
		if err != nil {
			return nil, fmt.Errorf("stage %d: %w", i+1, err)
		}
		r := results[0]
		list = append(list, stageGuess{r.Class, r.Margin(), m.stages[i].threshold, r.Updates})
		if r.Margin() >= m.stages[i].threshold {
			break
		}
	}
	return list, nil
}
