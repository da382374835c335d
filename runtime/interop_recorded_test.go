package runtime_test

import (
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// recordedLayer is a recording of one layer, or of an SbS layer and a reconstruction.
type recordedLayer struct {
	t   *testing.T
	dir string

	Type       any    `json:"layer_type"`
	Kernel     [2]int `json:"kernel_size"`
	Strides    [2]int
	Dilation   [2]int
	Padding    [2]int
	Spikes     int     `json:"number_of_spikes"`
	Iterations int     `json:"number_of_iterations"`
	Epsilon0   float32 `json:"epsilon_0"`
	Forgetting float32 `json:"forgetting_offset"`
	FullLayer  bool    `json:"spike_full_layer_input_distribution"`
	Frac       int     `json:"number_of_frac_bits"`
	Trunc      int     `json:"number_of_trunc_bits"`
	Approx     bool    `json:"approximation_enable"`
}

func (r *recordedLayer) has(name string) bool {
	_, err := os.Stat(filepath.Join(r.dir, name+".npy"))
	return err == nil
}

func (r *recordedLayer) file(name string) *ops.Tensor {
	return opstest.Load(r.t, filepath.Join(r.dir, name+".npy"))
}

// types returns the layer types, in upper case.
func (r *recordedLayer) types() string {
	list, ok := r.Type.([]any)
	if !ok {
		list = []any{r.Type}
	}
	var names []string
	for _, v := range list {
		s, _ := v.(string)
		names = append(names, strings.ToUpper(s))
	}
	return strings.Join(names, ", ")
}

// network returns the recorded layers as a network, and the numbers to inject: none, or spikes.
func (r *recordedLayer) network() (*convert.Network, convert.Inject) {
	s := r.file("input").Shape()
	n := &convert.Network{Step: -1, Input: convert.Size{Channels: s[1], Height: s[2], Width: s[3]}}
	window := convert.Window{Kernel: r.Kernel, Strides: r.Strides, Dilations: r.Dilation, Pads: r.Padding}
	spiking := func() *convert.SbS {
		return &convert.SbS{
			Window: window, Weights: r.file("weights"), Spikes: r.Spikes, Epsilon0: r.Epsilon0, Forgetting: max(r.Forgetting, 0),
			EpsilonT: sbs.Schedule{Power: -0.5}.EpsilonT(r.Spikes), FullLayer: r.FullLayer,
		}
	}
	switch types := r.types(); {
	case types == "SBS, RECONSTRUCTION":
		first := spiking()
		n.Layers = []convert.Layer{first, &convert.Reconstruction{Weights: first.Weights}}
		return n, convert.InjectSpikes
	case strings.HasPrefix(types, "SBS"):
		n.Layers = []convert.Layer{spiking()}
		return n, convert.InjectSpikes
	case types == "NNMF", types == "BP SBS NNMF":
		l := &convert.NNMF{Window: window, Weights: r.file("weights"), Iterations: r.Iterations, Epsilon0: r.Epsilon0}
		if types != "NNMF" {
			l.Gradient = sbs.GradientClosedForm
		}
		n.Layers = []convert.Layer{l}
	case types == "APPROX CONV2D":
		n.Layers = []convert.Layer{&convert.ApproxConv{
			Window: window, Weights: r.file("weights"), Bias: r.file("bias"), FracBits: r.Frac, TruncBits: r.Trunc, Enabled: r.Approx,
		}}
	case types == "ONOFF":
		n.Layers = []convert.Layer{&convert.OnOff{}}
	case types == "POISSON":
		n.Layers = []convert.Layer{&convert.Poisson{Spikes: r.Spikes}}
		return n, convert.InjectSpikes
	case types == "INPUT SPIKE IMAGE":
		n.Layers = []convert.Layer{&convert.SpikeImage{Spikes: max(r.Spikes, 0)}}
		if r.Spikes > 0 {
			return n, convert.InjectSpikes
		}
	default:
		require.Fail(r.t, "no network for this recording", "%s: %s", r.dir, types)
	}
	return n, convert.InjectNothing
}

// inputs returns the inputs of the model.
func (r *recordedLayer) inputs(n *convert.Network, inject convert.Inject) map[string]*runtime.Tensor {
	in := map[string]*runtime.Tensor{"image": r.file("input")}
	if inject == convert.InjectNothing {
		return in
	}
	name := "spikes"
	for _, other := range []string{"spikes_of_image", "counts"} {
		if r.has(other) {
			name = other
		}
	}
	given := r.file(name)
	if given.DType() == ops.Float32 {
		counts := make([]int64, given.Len())
		for i, v := range given.Float32s() {
			counts[i] = int64(v)
		}
		given = opstest.I64(given.Shape(), counts...)
	}
	in[convert.InjectedName(n, 0, inject)] = given
	return in
}

// outputs returns the recorded outputs by layer.
func (r *recordedLayer) outputs() map[string]*ops.Tensor {
	if r.has("output") {
		return map[string]*ops.Tensor{"L0": r.file("output")}
	}
	return map[string]*ops.Tensor{"L0": r.file("output_L0"), "L1": r.file("output_L1")}
}

// recordings calls f with every recording of layers of the last state of PyTorch-SbS that has an
// input and an output.
func recordings(t *testing.T, f func(t *testing.T, r *recordedLayer)) {
	root, found := modeltest.Shared(t, "layer-head"), 0
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "case.json" {
			return err
		}
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		r := &recordedLayer{dir: filepath.Dir(path)}
		if err := json.Unmarshal(b, r); err != nil || !r.has("input") || !r.has("output") && !r.has("output_L1") {
			return nil // single products, and gradients of several steps, which have tests of their own
		}
		found++
		name, err := filepath.Rel(root, r.dir)
		require.NoError(t, err)
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			r.t = t
			f(t, r)
		})
		return nil
	}))
	require.GreaterOrEqual(t, found, 23)
}

// requireRecorded compares the outputs of all layers with a recording.
func requireRecorded(t *testing.T, r *recordedLayer, got map[string]*runtime.Tensor) {
	t.Helper()
	want := r.outputs()
	if _, ok := got["L0"]; !ok { // the model has a single layer with a single output position
		for _, v := range got {
			reshaped, err := v.Reshaped(want["L0"].Shape())
			require.NoError(t, err)
			got = map[string]*runtime.Tensor{"L0": reshaped}
		}
	}
	for layer, w := range want {
		require.NotNil(t, got[layer], layer)
		require.Equal(t, w.Shape(), got[layer].Shape(), layer)
		tolerance := 1e-6
		for _, v := range w.Float32s() {
			tolerance = max(tolerance, 1e-6*math.Abs(float64(v)))
		}
		require.LessOrEqual(t, largestDifference(w.Float32s(), got[layer].Float32s()), tolerance, layer)
	}
}

// TestConformanceRecordedLayers runs every recorded layer as a model, with the operators of this
// project and with standard operators only.
func TestConformanceRecordedLayers(t *testing.T) {
	recordings(t, func(t *testing.T, r *recordedLayer) {
		n, inject := r.network()
		for _, body := range []convert.Body{convert.BodyNone, convert.BodyInline} {
			data := modeltest.Write(t, n, convert.Options{Inject: inject, Body: body})
			requireRecorded(t, r, runLayers(t, data, r.inputs(n, inject)))
		}
	})
}

// TestInteropRecordedLayers runs every recorded layer in onnxruntime.
func TestInteropRecordedLayers(t *testing.T) {
	requireOnnxruntime(t)
	recordings(t, func(t *testing.T, r *recordedLayer) {
		n, inject := r.network()
		for _, body := range []convert.Body{convert.BodyFunction, convert.BodyInline} {
			data := modeltest.Write(t, n, convert.Options{Inject: inject, Body: body})
			requireRecorded(t, r, onnxruntime{t}.run(withLayerOutputs(t, data), r.inputs(n, inject), 1).values)
		}
	})
}
