package sbs_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
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

// TestConformanceLayers compares with all recordings of layers.
func TestConformanceLayers(t *testing.T) {
	n := 0
	for _, dialect := range []string{"layer-dialect1", "layer-dialect2"} {
		dirs, err := filepath.Glob(filepath.Join(modeltest.Shared(t, dialect), "*"))
		require.NoError(t, err)
		for _, dir := range dirs {
			t.Run(dialect+"/"+filepath.Base(dir), func(t *testing.T) { checkRecording(t, dir) })
			n++
		}
	}
	require.GreaterOrEqual(t, n, 7)
}

func checkRecording(t *testing.T, dir string) {
	r := load(t, dir)
	opstest.Run(t, sbs.Operator(), []opstest.Case{{
		Name: "given spikes", Attributes: r.params.Attributes(), Inputs: r.inputs(), Batch: []int{0},
		Spikes: r.spikes, Outputs: []*ops.Tensor{r.output}, Tolerance: 1e-6,
	}})
	t.Run("reference", func(t *testing.T) {
		got := referenceOutput(r.params, r.x, r.w, r.epsilonXY, r.spikes)
		require.Len(t, got, r.output.Len())
		for i, want := range r.output.Float32s() {
			require.InDelta(t, want, got[i], 1e-6, "element %d", i)
		}
	})
	t.Run("given uniforms", func(t *testing.T) {
		// The cumulative sum can be rounded differently and then selects a neighboring
		// spike, in a few of 100,000 draws. Only the positions of these may differ.
		got := runOnce(t, r.params, r.inputs(), &ops.Context{Uniforms: r.uniforms})
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
