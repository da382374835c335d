package std

import (
	"math/rand/v2"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// spread returns different numbers of which no two, nor any and 0, are closer
// than 1/8, so that no difference quotient steps over a kink.
func distinctValues(seed uint64, shape ...int) *ops.Tensor {
	n, _ := ops.Len(shape)
	v := make([]float32, n)
	for i, p := range rand.New(rand.NewPCG(seed, 0)).Perm(n) {
		v[i] = float32(p-n/2)/8 + 1./16
	}
	return opstest.F32(shape, v...)
}

// away returns numbers from 1 to 2 of either sign.
func awayFromZero(seed uint64, shape ...int) *ops.Tensor {
	t := opstest.Random(seed, shape...)
	for i, v := range t.Float32s() {
		if v < 0 {
			v -= 2
		}
		t.Float32s()[i] = v + 1
	}
	return t
}

func TestGradients(t *testing.T) {
	two := []int64{2, 2}
	type cases = []opstest.GradientCase
	make1 := func(name string, attrs ops.Attributes, trained []int, in ...*ops.Tensor) opstest.GradientCase {
		return opstest.GradientCase{Case: opstest.Case{Name: name, Attributes: attrs, Inputs: in, Tolerance: 1e-3}, Trained: trained}
	}
	both := []int{0, 1}
	for name, c := range map[string]cases{
		"Add":      {make1("same", nil, both, awayFromZero(1, 2, 3), awayFromZero(2, 2, 3)), make1("broadcast", nil, both, awayFromZero(1, 2, 1, 3), awayFromZero(2, 4, 1))},
		"Sub":      {make1("same", nil, both, awayFromZero(1, 2, 3), awayFromZero(2, 2, 3)), make1("mean", nil, both, awayFromZero(1, 2, 3, 2, 2), awayFromZero(2, 1, 1, 2, 2))},
		"Mul":      {make1("same", nil, both, awayFromZero(1, 2, 3), awayFromZero(2, 2, 3)), make1("scalar", nil, both, awayFromZero(1, 2, 3), awayFromZero(2))},
		"Div":      {make1("same", nil, both, awayFromZero(1, 2, 3), awayFromZero(2, 2, 3)), make1("sums", nil, both, awayFromZero(1, 2, 3, 2, 2), awayFromZero(2, 2, 1, 2, 2))},
		"Neg":      {make1("plain", nil, []int{0}, awayFromZero(1, 2, 3))},
		"Relu":     {make1("plain", nil, []int{0}, distinctValues(1, 2, 3, 4))},
		"Identity": {make1("plain", nil, []int{0}, awayFromZero(1, 2, 3))},
		"Flatten":  {make1("plain", ops.Attributes{"axis": int64(1)}, []int{0}, awayFromZero(1, 2, 3, 1, 2))},
		"Reshape":  {make1("plain", nil, []int{0}, awayFromZero(1, 2, 6), opstest.Ints(0, 3, -1))},
		"Concat": {
			make1("channels", ops.Attributes{"axis": int64(1)}, both, awayFromZero(1, 2, 3, 2), awayFromZero(2, 2, 1, 2)),
			make1("one", ops.Attributes{"axis": int64(0)}, []int{0}, awayFromZero(1, 2, 3)),
		},
		"Slice": {
			make1("crop", nil, []int{0}, awayFromZero(1, 2, 5, 6), opstest.Ints(1, 2), opstest.Ints(4, 5), opstest.Ints(1, 2)),
			make1("steps", nil, []int{0}, awayFromZero(1, 2, 5, 6), opstest.Ints(-1, 0), opstest.Ints(-9, 6), opstest.Ints(1, 2), opstest.Ints(-2, 3)),
		},
		"ReduceSum": {
			make1("channels", nil, []int{0}, awayFromZero(1, 2, 3, 4), opstest.Ints(1)),
			make1("dropped", ops.Attributes{"keepdims": int64(0)}, []int{0}, awayFromZero(1, 2, 3, 4), opstest.Ints(0, 2)),
			make1("all", nil, []int{0}, awayFromZero(1, 2, 3)),
		},
		"Softmax": {
			make1("last", nil, []int{0}, awayFromZero(1, 3, 4)),
			make1("first", ops.Attributes{"axis": int64(0)}, []int{0}, awayFromZero(1, 3, 4)),
		},
		"MaxPool": {
			make1("plain", ops.Attributes{"kernel_shape": two, "strides": two}, []int{0}, distinctValues(1, 2, 3, 4, 4)),
			make1("overlapping, padded, dilated", ops.Attributes{"kernel_shape": []int64{3, 2}, "dilations": []int64{1, 2}, "pads": []int64{1, 0, 1, 1}}, []int{0}, distinctValues(2, 1, 2, 5, 6)),
		},
		"AveragePool": {
			make1("plain", ops.Attributes{"kernel_shape": two, "strides": two}, []int{0}, awayFromZero(1, 2, 3, 4, 4)),
			make1("padding counts", ops.Attributes{"kernel_shape": two, "pads": []int64{1, 1, 1, 0}, "count_include_pad": int64(1)}, []int{0}, awayFromZero(1, 2, 3, 4, 4)),
			make1("padding does not count", ops.Attributes{"kernel_shape": two, "pads": []int64{1, 1, 1, 0}}, []int{0}, awayFromZero(1, 2, 3, 4, 4)),
		},
		"Conv": {
			make1("plain", nil, []int{0, 1, 2}, awayFromZero(1, 3, 2, 5, 6), awayFromZero(2, 4, 2, 3, 2), awayFromZero(3, 4)),
			make1("strided, dilated, padded, groups", ops.Attributes{
				"strides": []int64{2, 1}, "dilations": []int64{1, 2}, "pads": []int64{1, 0, 2, 1}, "group": int64(2),
			}, both, awayFromZero(1, 2, 4, 5, 6), awayFromZero(2, 6, 2, 3, 2)),
			make1("row of pixels", nil, both, awayFromZero(1, 2, 3, 7), awayFromZero(2, 2, 3, 3)),
			make1("many positions", nil, both, awayFromZero(1, 2, 1, 13, 14), awayFromZero(2, 2, 1, 2, 2)),
		},
	} {
		operator := find(t, name)
		t.Run(name, func(t *testing.T) { opstest.Gradient(t, operator, c) })
	}
}
