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

// TestConformanceApproxConv compares with all recordings of APPROX CONV2D.
func TestConformanceApproxConv(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(modeltest.Shared(t, "layer-head"), "approx-conv2d", "*"))
	require.NoError(t, err)
	layers, products := 0, 0
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(dir, "input.npy")); err == nil {
				checkApproxConv(t, dir)
				layers++
			} else {
				products += checkProducts(t, dir)
			}
		})
	}
	require.GreaterOrEqual(t, layers, 6)
	require.GreaterOrEqual(t, products, 9)
}

// approximationKeys are the settings of a layer in a recording.
type approximationKeys struct {
	File  string
	Frac  int  `json:"number_of_frac_bits"`
	Trunc int  `json:"number_of_trunc_bits"`
	On    bool `json:"approximation_enable"`
}

func (k approximationKeys) approximation() sbs.Approximation {
	return sbs.Approximation{FracBits: k.Frac, TruncBits: k.Trunc, Enabled: k.On}
}

func readCase(t *testing.T, dir string, c any) {
	b, err := os.ReadFile(filepath.Join(dir, "case.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, c))
}

func checkApproxConv(t *testing.T, dir string) {
	var k struct {
		approximationKeys
		Kernel   []int64 `json:"kernel_size"`
		Strides  []int64
		Dilation []int64
		Padding  []int64
	}
	readCase(t, dir, &k)
	file := func(name string) *ops.Tensor { return opstest.Load(t, filepath.Join(dir, name+".npy")) }
	c := convolutionCase{a: k.approximation(), x: file("input"), w: file("weights"), b: file("bias")}
	c.attributes = c.a.Attributes()
	c.attributes["kernel_shape"], c.attributes["strides"], c.attributes["dilations"] = k.Kernel, k.Strides, k.Dilation
	c.attributes["pads"] = append(k.Padding, k.Padding...)

	approx := operator(t, sbs.OpApproxConv)
	op, err := approx.New(ops.Node{Attributes: c.attributes, Opset: 1, NumInputs: 3})
	require.NoError(t, err)
	got := compute(t, op, &ops.Context{}, c.inputs())
	_, size := c.reference()
	want := file("output")
	require.Len(t, got, want.Len())
	for i, v := range want.Float32s() {
		require.InDelta(t, v, got[i], 1e-5*float64(size[i]), "element %d", i)
	}
	opstest.Gradient(t, approx, []opstest.GradientCase{{
		Case:    opstest.Case{Name: "gradients", Attributes: c.attributes, Inputs: c.inputs(), Tolerance: 1e-4},
		Trained: []int{0, 1, 2}, GradOut: file("grad_output"),
		Want: []*ops.Tensor{file("grad_input"), file("grad_weights"), file("grad_bias")},
	}})
}

func checkProducts(t *testing.T, dir string) int {
	var c struct{ Settings []approximationKeys }
	readCase(t, dir, &c)
	x := opstest.Load(t, filepath.Join(dir, "x.npy")).Float32s()
	w := opstest.Load(t, filepath.Join(dir, "w.npy")).Float32s()
	for _, k := range c.Settings {
		want := opstest.Load(t, filepath.Join(dir, k.File+".npy"))
		require.Equal(t, []int{len(x), len(w)}, want.Shape())
		for i := range x {
			for j := range w {
				got := k.approximation().Product(x[i], w[j]) + 0 // the recording has no negative zero
				require.Equal(t, math.Float32bits(want.Float32s()[i*len(w)+j]), math.Float32bits(got), "%s: %v * %v", k.File, x[i], w[j])
			}
		}
	}
	return len(c.Settings)
}
