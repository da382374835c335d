package std

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// imageCase is a random node of Conv, MaxPool or AveragePool.
type imageCase struct {
	operator   string
	attributes ops.Attributes
	shapes     [][]int // of the inputs
}

func randomImageCase(r *rand.Rand) imageCase {
	pair := func(lo, hi int) []int64 { return []int64{int64(lo + r.IntN(hi-lo+1)), int64(lo + r.IntN(hi-lo+1))} }
	kernel, dilations := pair(1, 4), []int64{1, 1}
	if r.IntN(4) == 0 {
		dilations = pair(1, 3)
	}
	pads := append(pair(0, 2), pair(0, 2)...)
	for i := range pads {
		pads[i] = min(pads[i], kernel[i%2]-1) // as pools want it
	}
	c := imageCase{attributes: ops.Attributes{"kernel_shape": kernel, "strides": pair(1, 3), "dilations": dilations, "pads": pads}}
	if r.IntN(3) == 0 {
		c.attributes["strides"] = []int64{2, 2}
	}
	group := 1
	size := func(i int) int { return int((kernel[i]-1)*dilations[i]) + 1 + r.IntN([]int{1, 9, 40}[r.IntN(3)]) }
	switch c.operator = []string{"Conv", "Conv", "MaxPool", "AveragePool"}[r.IntN(4)]; c.operator {
	case "Conv":
		group = 1 + r.IntN(2)*r.IntN(6)
		c.attributes["group"] = int64(group)
	case "MaxPool":
		c.attributes["ceil_mode"] = int64(r.IntN(2))
	default:
		c.attributes["ceil_mode"], c.attributes["count_include_pad"] = int64(r.IntN(2)), int64(r.IntN(2))
	}
	channels := 1 + r.IntN(2)*r.IntN(8)
	c.shapes = [][]int{{1 + r.IntN(3), group * channels, size(0), size(1)}}
	if c.operator == "Conv" {
		filters := group * (1 + r.IntN([]int{2, 12, 50}[r.IntN(3)]))
		c.shapes = append(c.shapes, []int{filters, channels, int(kernel[0]), int(kernel[1])}, []int{filters})
	}
	return c
}

// TestImages_EqualFloat64 compares random convolutions and pools of float32 images with those of
// float64 images, which take another path, and all tiers bit by bit. It runs each node with
// constant weights, which it keeps, and without.
func TestImages_EqualFloat64(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 71))
		c := randomImageCase(r)
		single, double := make([]*ops.Tensor, len(c.shapes)), make([]*ops.Tensor, len(c.shapes))
		for i, shape := range c.shapes {
			v, w := make([]float32, numElements(shape)), make([]float64, numElements(shape))
			for j := range v {
				v[j] = 2*r.Float32() - 1
				w[j] = float64(v[j])
			}
			var err error
			single[i], err = ops.FromSlice(shape, v)
			require.NoError(t, err)
			double[i], err = ops.FromSlice(shape, w)
			require.NoError(t, err)
		}
		op, err := find(t, c.operator).New(ops.Node{Attributes: c.attributes, Opset: 22, NumInputs: len(single), NumOutputs: 1})
		require.NoError(t, err)
		name := fmt.Sprintf("seed %d: %s %v of %v", seed, c.operator, c.attributes, c.shapes)
		out, err := ops.Run(op, ops.NewContext(t.Context(), 1), double)
		require.NoError(t, err, name)
		want, _ := ops.Data[float64](out[0])
		var portable []float32
		for _, tier := range kernel.Tiers() {
			undo := kernel.Use(tier)
			for run := range 3 {
				ctx := ops.NewContext(t.Context(), 1+run)
				ctx.Constants = []bool{false, run > 0, run > 0}
				got, err := ops.Run(op, ctx, single)
				ctx.Close()
				require.NoError(t, err, name)
				require.Equal(t, out[0].Shape(), got[0].Shape(), name)
				if portable == nil {
					portable = got[0].Float32s()
				}
				require.Equal(t, portable, got[0].Float32s(), "%v, run %d, %s", tier, run, name)
			}
			undo()
		}
		for i, w := range want {
			if v := float64(portable[i]); !(w == v || math.Abs(w-v) < 2e-5) {
				t.Fatalf("%s: output %d: want %v, got %v", name, i, w, v)
			}
		}
	}
}
