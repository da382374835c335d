package sbs_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/modeltest"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// recording is one layer as PyTorch-SbS computed it.
type recording struct {
	params           sbs.Params
	x, w, epsilonXY  *ops.Tensor
	spikes, uniforms *ops.Tensor
	output           *ops.Tensor

	full        bool // the operator is SbSFullLayer
	rule        sbs.Rule
	ofPositions *ops.Tensor // the spikes of each position of a full layer
}

// load reads the recording in a folder.
func load(t *testing.T, dir string) recording {
	t.Helper()
	var c struct {
		Kernel     [2]int `json:"kernel_size"`
		Strides    [2]int
		Dilation   [2]int
		Padding    [2]int
		Spikes     int     `json:"number_of_spikes"`
		Epsilon0   float32 `json:"epsilon_0"`
		Forgetting float32 `json:"forgetting_offset"`
		Alpha      int     `json:"alpha_number_of_iterations"`
		EpsilonXY  float32 `json:"epsilon_xy"`

		LayerType string `json:"layer_type"`
		FullLayer bool   `json:"spike_full_layer_input_distribution"`
		Last      bool   `json:"output_layer"`
	}
	b, err := os.ReadFile(filepath.Join(dir, "case.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &c))
	file := func(name string) *ops.Tensor { return opstest.Load(t, filepath.Join(dir, name+".npy")) }
	r := recording{
		params: sbs.Params{
			Kernel: c.Kernel, Strides: c.Strides, Dilations: c.Dilation,
			Pads:   [4]int{c.Padding[0], c.Padding[1], c.Padding[0], c.Padding[1]},
			Spikes: c.Spikes, Epsilon0: c.Epsilon0, Forgetting: c.Forgetting, AlphaIterations: c.Alpha,
		},
		x: file("input"), w: file("weights"), spikes: file("spikes"), uniforms: file("uniforms"), output: file("output"),
		full: c.FullLayer,
	}
	if c.FullLayer {
		r.spikes, r.ofPositions = file("spikes_of_image"), r.spikes
	}
	if strings.Contains(strings.ToUpper(c.LayerType), "LOCAL") {
		r.rule.Local = true
		if c.Last {
			target, err := ops.Zeros(ops.Float32, r.output.Shape())
			require.NoError(t, err)
			for b, class := range file("labels").Int64s() {
				target.Float32s()[b*r.w.Shape()[1]+int(class)] = 1
			}
			r.rule.Target = target
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "epsilon_xy.npy")); err == nil {
		r.epsilonXY = file("epsilon_xy")
		r.params.EpsilonT = file("epsilon_t").Float32s()
	} else {
		r.params.Epsilon0 *= c.EpsilonXY
		r.params.EpsilonT = inverseSqrt(c.Spikes)
	}
	return r
}

// operator returns the operator of the layer, with the rule for its gradient.
func (r recording) operator(t *testing.T) ops.Operator {
	t.Helper()
	name := sbs.OpSbS
	if r.full {
		name = sbs.OpFullLayer
	}
	return withRule(operator(t, name), r.rule)
}

func (r recording) inputs() []*ops.Tensor {
	in := []*ops.Tensor{r.x, r.w}
	if r.epsilonXY != nil {
		in = append(in, r.epsilonXY)
	}
	return in
}

// TestSbS_AgreesWithRecordings compares with recordings of PyTorch-SbS, with their spikes.
func TestSbS_AgreesWithRecordings(t *testing.T) {
	for _, name := range []string{"forgetting", "alpha3"} {
		t.Run(name, func(t *testing.T) { checkRecording(t, filepath.Join("testdata", name)) })
	}
}

// recordedLayers returns the folders of all recordings of SbS layers.
func recordedLayers(t *testing.T) []string {
	t.Helper()
	var layers []string
	for _, version := range []string{"layer-dialect1", "layer-dialect2", "layer-head"} {
		dirs, err := filepath.Glob(filepath.Join(modeltest.Shared(t, version), "*"))
		require.NoError(t, err)
		for _, dir := range dirs {
			var c struct {
				LayerType any `json:"layer_type"`
			}
			b, err := os.ReadFile(filepath.Join(dir, "case.json"))
			if os.IsNotExist(err) {
				continue // a folder of other cases
			}
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(b, &c))
			kind, _ := c.LayerType.(string)
			_, err = os.Stat(filepath.Join(dir, "output.npy"))
			if err == nil && (version != "layer-head" || strings.HasPrefix(strings.ToUpper(kind), "SBS")) {
				layers = append(layers, dir)
			}
		}
	}
	require.GreaterOrEqual(t, len(layers), 7)
	return layers
}

// TestConformanceLayers compares with all recordings of layers.
func TestConformanceLayers(t *testing.T) {
	full := 0
	for _, dir := range recordedLayers(t) {
		t.Run(filepath.Base(filepath.Dir(dir))+"/"+filepath.Base(dir), func(t *testing.T) {
			checkRecording(t, dir)
			if r := load(t, dir); r.full {
				full++
				checkSpikesOfPositions(t, r)
			}
		})
	}
	require.Positive(t, full)
}

// checkSpikesOfPositions compares the spikes of each position of a full layer with the recorded ones, both
// from the recorded spikes of the images and from the recorded uniforms.
func checkSpikesOfPositions(t *testing.T, r recording) {
	op, err := r.operator(t).New(ops.Node{Attributes: r.params.Attributes(), Opset: 1, NumInputs: len(r.inputs())})
	require.NoError(t, err)
	for _, ctx := range []*ops.Context{{Spikes: r.spikes}, {Uniforms: r.uniforms}} {
		all, err := sbs.Spikes(ctx, op, r.inputs(), r.params.Spikes)
		require.NoError(t, err)
		s := r.ofPositions.Shape()
		batch, most, positions := s[0], s[1], s[2]*s[3]
		got := make([]int64, r.ofPositions.Len())
		for i := range got {
			got[i] = -1
		}
		for b := range batch {
			for pos := range positions {
				n := 0
				for spike := range r.params.Spikes {
					if k := all.Int64s()[(b*r.params.Spikes+spike)*positions+pos]; k >= 0 {
						require.Less(t, n, most)
						got[(b*most+n)*positions+pos] = k
						n++
					}
				}
			}
		}
		require.Equal(t, r.ofPositions.Int64s(), got)
	}
}

func checkRecording(t *testing.T, dir string) {
	r := load(t, dir)
	opstest.Run(t, r.operator(t), []opstest.Case{{
		Name: "given spikes", Attributes: r.params.Attributes(), Inputs: r.inputs(), Batch: []int{0},
		Spikes: r.spikes, Outputs: []*ops.Tensor{r.output}, Tolerance: 1e-6,
	}})
	t.Run("reference", func(t *testing.T) {
		output := referenceOutput
		if r.full {
			output = referenceFullOutput
		}
		got := output(r.params, r.x, r.w, r.epsilonXY, r.spikes)
		require.Len(t, got, r.output.Len())
		for i, want := range r.output.Float32s() {
			require.InDelta(t, want, got[i], 1e-6, "element %d", i)
		}
	})
	t.Run("given uniforms", func(t *testing.T) {
		// The cumulative sum can be rounded differently and then selects a neighboring
		// spike, in a few of 100,000 draws. Only the positions of these may differ.
		got := runOperator(t, r.operator(t), r.params, r.inputs(), &ops.Context{Uniforms: r.uniforms})
		flipped := 0
		for i, want := range r.output.Float32s() {
			if d := math.Abs(float64(want - got.Float32s()[i])); !(d <= 1e-6) {
				flipped++
			}
		}
		require.LessOrEqual(t, flipped, r.output.Len()/50, "entries that differ from the recording")
		t.Logf("%d of %d entries differ from the recording", flipped, r.output.Len())
	})
}

// TestConformanceGradientScale compares the layers of some updates, whose recorded gradients are
// those of the loss divided by the recorded scale. The gradient of the weights is the sum over the
// batches of an update.
func TestConformanceGradientScale(t *testing.T) {
	dir := filepath.Join(modeltest.Shared(t, "layer-head"), "keep-last-grad-scale-sbs")
	var c struct {
		Kernel   [2]int `json:"kernel_size"`
		Strides  [2]int
		Dilation [2]int
		Spikes   int     `json:"number_of_spikes"`
		Epsilon0 float32 `json:"epsilon_0"`
		Expected []struct {
			Step, Batch int
			Scale       float32 `json:"scale_used"`
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "case.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &c))
	require.NotEmpty(t, c.Expected)
	p := sbs.Params{
		Kernel: c.Kernel, Strides: c.Strides, Dilations: c.Dilation, Spikes: c.Spikes, Epsilon0: c.Epsilon0, EpsilonT: inverseSqrt(c.Spikes),
	}
	op := mustLayer(t, p).(ops.Differentiable)
	weights := opstest.Load(t, filepath.Join(dir, "weights.npy"))
	sums := map[int]*ops.Tensor{}
	for _, e := range c.Expected {
		file := func(name string) *ops.Tensor {
			return opstest.Load(t, filepath.Join(dir, fmt.Sprintf("step%d_batch%d_%s.npy", e.Step, e.Batch, name)))
		}
		in := []*ops.Tensor{file("input"), weights}
		ctx := &ops.Context{Spikes: file("spikes")}
		out, err := ops.Run(op, ctx, in)
		require.NoError(t, err)
		require.InDeltaSlice(t, file("output").Float32s(), out[0].Float32s(), 1e-6)
		g := file("grad_output")
		for i := range g.Float32s() {
			g.Float32s()[i] /= e.Scale
		}
		gradX, err := ops.Zeros(ops.Float32, in[0].Shape())
		require.NoError(t, err)
		if sums[e.Step] == nil {
			sums[e.Step], err = ops.Zeros(ops.Float32, weights.Shape())
			require.NoError(t, err)
		}
		require.NoError(t, op.Backward(ctx, in, out, []*ops.Tensor{g}, []*ops.Tensor{gradX, sums[e.Step]}))
		requireClose(t, file("grad_input"), gradX)
	}
	for step, sum := range sums {
		requireClose(t, opstest.Load(t, filepath.Join(dir, fmt.Sprintf("step%d_grad_weights.npy", step))), sum)
	}
}

// requireClose checks a gradient relative to its largest entry.
func requireClose(t *testing.T, want, got *ops.Tensor) {
	t.Helper()
	largest := 0.0
	for _, v := range want.Float32s() {
		largest = max(largest, math.Abs(float64(v)))
	}
	require.InDeltaSlice(t, want.Float32s(), got.Float32s(), 1e-4*largest)
}
