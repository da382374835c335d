package page

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/runtime"
)

// identity returns a layer with one neuron for each input.
func identity(w convert.Window, channels int) *convert.SbS {
	k := channels * w.Kernel[0] * w.Kernel[1]
	l := converttest.New(1).SbS(w, channels, k, 10)
	clear(l.Weights.Float32s())
	for i := range k {
		l.Weights.Float32s()[i*k+i] = 1
	}
	return l
}

// TestReconstruct_ReturnsThePicture gives the reconstruction the h that describes every patch
// exactly: the patch itself, divided by its sum. The result must be the picture.
func TestReconstruct_ReturnsThePicture(t *testing.T) {
	odd := convert.Window{Kernel: [2]int{2, 3}, Strides: [2]int{2, 1}, Dilations: [2]int{1, 2}, Pads: [2]int{1, 2}}
	mean := opstest.F32([]int{1, 1, 1, 1}, 0.3)
	for name, c := range map[string]struct {
		window        convert.Window
		channels      int // of the picture
		preprocessing convert.Preprocessing
		split         *convert.OnOff
	}{
		"plain":          {window: converttest.Window(3, 1), channels: 1},
		"colors":         {window: converttest.Window(3, 2), channels: 3, preprocessing: convert.Preprocessing{Crop: 1}},
		"pads":           {window: odd, channels: 1, preprocessing: convert.Preprocessing{Crop: 2, Offset: 1e-20}},
		"on/off":         {window: converttest.Window(2, 1), channels: 1, preprocessing: convert.Preprocessing{OnOffMean: []float32{0.4}}},
		"colors, on/off": {window: odd, channels: 3, preprocessing: convert.Preprocessing{OnOffMean: []float32{0.4, 0.1, 0.9}}},
		"layer":          {window: converttest.Window(3, 1), channels: 1, split: &convert.OnOff{}},
		"layer, colors":  {window: converttest.Window(3, 1), channels: 3, split: &convert.OnOff{}},
		"layer, mean":    {window: odd, channels: 3, split: &convert.OnOff{Mean: mean}},
	} {
		n := &convert.Network{Input: convert.Size{Channels: c.channels, Height: 12, Width: 11}, Preprocessing: c.preprocessing}
		channels := c.channels
		if c.split != nil {
			n.Layers = append(n.Layers, c.split)
		}
		if c.split != nil || c.preprocessing.OnOffMean != nil {
			channels *= 2
		}
		first := identity(c.window, channels)
		n.Layers = append(n.Layers, first)
		sizes, err := n.Sizes()
		require.NoError(t, err, name)
		last := sizes[len(sizes)-1]
		whole := converttest.Window(1, 1)
		whole.Kernel = [2]int{last.Height, last.Width}
		n.Layers = append(n.Layers, converttest.New(2).SbS(whole, last.Channels, 3, 10))
		m := fromNetwork(t, n)
		s := &m.stages[0]
		pixels := modeltest.Pixels(1, 1, n.Input).Float32s()
		in, scale := s.input(pixels)
		mass := masses(c.window, in, [2]int{last.Height, last.Width})

		h := newField(last)
		for position, sum := range mass {
			for k := range last.Channels {
				place := k % (c.window.Kernel[0] * c.window.Kernel[1])
				y := position/last.Width*c.window.Strides[0] + place/c.window.Kernel[1]*c.window.Dilations[0] - c.window.Pads[0]
				x := position%last.Width*c.window.Strides[1] + place%c.window.Kernel[1]*c.window.Dilations[1] - c.window.Pads[1]
				if y >= 0 && y < in.Height && x >= 0 && x < in.Width {
					channel := k / (c.window.Kernel[0] * c.window.Kernel[1])
					h.values[k*len(mass)+position] = in.values[(channel*in.Height+y)*in.Width+x] / sum
				}
			}
		}
		covered := s.reconstruct(h, in, scale, mass)
		crop := c.preprocessing.Crop
		require.Equal(t, convert.Size{Channels: c.channels, Height: 12 - 2*crop, Width: 11 - 2*crop}, covered.Size, name)
		exact := 0
		for i, v := range covered.values {
			channel, y, x := i/(in.Height*in.Width), i/in.Width%in.Height, i%in.Width
			if want := pixels[(channel*12+y+crop)*11+x+crop]; abs(v-want) < 1e-5 {
				exact++
			}
		}
		// Strides leave out some pixels at the edge.
		require.GreaterOrEqual(t, exact, len(covered.values)*8/10, name)
	}
}

func abs(v float32) float32 { return max(v, -v) }

// TestInput_IsThatOfTheNetwork compares the input of the first layer with the values of a run.
func TestInput_IsThatOfTheNetwork(t *testing.T) {
	for name, n := range variants() {
		m := fromNetwork(t, n)
		s := &m.stages[0]
		pixels := modeltest.Pixels(2, 1, n.Input)
		in, _ := s.input(pixels.Float32s())
		observed := observe(t, m, pixels)
		found := false
		for _, v := range observed {
			if v.Len() == len(in.values) {
				same := true
				for i, x := range v.Float32s() {
					same = same && abs(x-in.values[i]) < 1e-6
				}
				found = found || same
			}
		}
		require.True(t, found, "%s: no node computes this input", name)
	}
}

func TestWeights_AreAPicture(t *testing.T) {
	m := load(t, "mnist-fast")
	h := newHandler(Limits{}, m, load(t, "cifar10-fast"), fromNetwork(t, modeltest.PublishedCNN(t)))
	w := get[Weights](t, h, "/page/weights?model=mnist-fast&stage=2&layer=0&neuron=5")
	require.Equal(t, []int{1, 8, 8}, []int{w.Channels, w.Height, w.Width})
	column := make([]float32, 64)
	var most float32
	for k := range column {
		column[k] = m.stages[1].layers[0].weights.Float32s()[k*64+5]
		most = max(most, column[k])
	}
	for k, v := range column {
		require.InDelta(t, 255*v/most, w.Pixels[k], 0.51)
	}
	deep := get[Weights](t, h, "/page/weights?model=mnist-fast&stage=1&layer=3&neuron=9")
	require.Equal(t, []int{1, 24, 24}, []int{deep.Channels, deep.Height, deep.Width}, "the whole picture")
	colors := get[Weights](t, h, "/page/weights?model=cifar10-fast&stage=0&layer=2&neuron=0")
	require.Equal(t, []int{3, 14, 14}, []int{colors.Channels, colors.Height, colors.Width})

	for query, want := range map[string]string{
		"model=none":                                  "there is no model",
		"stage=1&layer=0":                             `neuron \"\" is not a number`,
		"stage=1&layer=1e3&neuron=0":                  `is not a number`,
		"model=mnist-fast&stage=3&layer=0&neuron=0":   "there is no stage 3",
		"model=mnist-fast&stage=1&layer=2&neuron=0":   "there is no layer 2 with weights to show",
		"model=mnist-fast&stage=1&layer=0&neuron=64":  "there is no neuron 64: layer 0 has 64",
		"model=mnist-fast&stage=1&layer=0&neuron=-1":  "there is no neuron -1",
		"model=mnist-fast&stage=1&layer=-1&neuron=-1": "there is no layer -1",
		"model=test&stage=1&layer=0&neuron=0":         "there is no layer 0 with weights to show",
	} {
		status, answer, _ := send(h, http.MethodGet, "/page/weights?"+query, nil)
		require.Contains(t, []int{400, 404}, status, query)
		require.Contains(t, string(answer), want, query)
	}
}

// TestWeights_GoThroughTheLayersBefore checks the picture of a neuron that has the weights of one
// neuron of the layer before, at one place.
func TestWeights_GoThroughTheLayersBefore(t *testing.T) {
	n := converttest.Digits()
	first, last := n.Layers[0].(*convert.SbS), n.Layers[2].(*convert.SbS)
	clear(last.Weights.Float32s())
	last.Weights.Float32s()[(2*9+4)*3+1] = 1 // neuron 1 has the input from neuron 2 at the center
	s := &fromNetwork(t, n).stages[0]
	f, err := s.neuron(s.layerOf(2), 1)
	require.NoError(t, err)
	require.Equal(t, convert.Size{Channels: 1, Height: 8, Width: 8}, f.Size)
	// Of the pooling, positions (2, 2) to (3, 3) have the weight, less the mean of the neurons.
	var count, want [64]float32
	for position := range 36 {
		y, x := position/6, position%6
		for place := range 9 {
			at := (y+place/3)*8 + x + place%3
			count[at]++
			if y/2 == 1 && x/2 == 1 {
				want[at] += first.Weights.Float32s()[place*5+2] * 2 / 3
			}
		}
	}
	for i, v := range f.values {
		require.InDelta(t, want[i]/count[i], v, 1e-6)
	}
}

// observe returns the values that the nodes of a model compute.
func observe(t *testing.T, m *Model, x *ops.Tensor) map[string]*ops.Tensor {
	t.Helper()
	observed := map[string]*ops.Tensor{}
	s := m.stages[0].model
	in := map[string]*ops.Tensor{s.Inputs()[0].Name: x}
	_, err := s.Run(t.Context(), in, runtime.Observe(func(name string, v *ops.Tensor) { observed[name] = v }))
	require.NoError(t, err)
	return observed
}
