package std

import (
	"math/rand/v2"
	"testing"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// distinctValues returns numbers that differ from each other and from 0 by at least 1/16,
// so that no difference quotient crosses a kink.
func distinctValues(seed uint64, shape ...int) *ops.Tensor {
	n, _ := ops.Len(shape)
	v := make([]float32, n)
	for i, p := range rand.New(rand.NewPCG(seed, 0)).Perm(n) {
		v[i] = float32(p-n/2)/8 + 1./16
	}
	return opstest.F32(shape, v...)
}

// awayFromZero returns numbers with an absolute value from 1 to 2.
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

func TestBackward_MatchesDifferenceQuotients(t *testing.T) {
	two := []int64{2, 2}
	type cases = []opstest.GradientCase
	gradientCase := func(name string, attrs ops.Attributes, trained []int, in ...*ops.Tensor) opstest.GradientCase {
		return opstest.GradientCase{Case: opstest.Case{Name: name, Attributes: attrs, Inputs: in, Tolerance: 1e-3}, Trained: trained}
	}
	both := []int{0, 1}
	for name, c := range map[string]cases{
		"Add":      {gradientCase("same shape", nil, both, awayFromZero(1, 2, 3), awayFromZero(2, 2, 3)), gradientCase("both broadcast", nil, both, awayFromZero(1, 2, 1, 3), awayFromZero(2, 4, 1))},
		"Sub":      {gradientCase("same shape", nil, both, awayFromZero(1, 2, 3), awayFromZero(2, 2, 3)), gradientCase("broadcast of leading axes", nil, both, awayFromZero(1, 2, 3, 2, 2), awayFromZero(2, 1, 1, 2, 2))},
		"Mul":      {gradientCase("same shape", nil, both, awayFromZero(1, 2, 3), awayFromZero(2, 2, 3)), gradientCase("scalar", nil, both, awayFromZero(1, 2, 3), awayFromZero(2))},
		"Div":      {gradientCase("same shape", nil, both, awayFromZero(1, 2, 3), awayFromZero(2, 2, 3)), gradientCase("broadcast of a middle axis", nil, both, awayFromZero(1, 2, 3, 2, 2), awayFromZero(2, 2, 1, 2, 2))},
		"Neg":      {gradientCase("default attributes", nil, []int{0}, awayFromZero(1, 2, 3))},
		"Relu":     {gradientCase("default attributes", nil, []int{0}, distinctValues(1, 2, 3, 4))},
		"Identity": {gradientCase("default attributes", nil, []int{0}, awayFromZero(1, 2, 3))},
		"Flatten":  {gradientCase("axis 1", ops.Attributes{"axis": int64(1)}, []int{0}, awayFromZero(1, 2, 3, 1, 2))},
		"Reshape":  {gradientCase("0 and -1", nil, []int{0}, awayFromZero(1, 2, 6), opstest.Ints(0, 3, -1))},
		"Concat": {
			gradientCase("one axis", ops.Attributes{"axis": int64(1)}, both, awayFromZero(1, 2, 3, 2), awayFromZero(2, 2, 1, 2)),
			gradientCase("single input", ops.Attributes{"axis": int64(0)}, []int{0}, awayFromZero(1, 2, 3)),
		},
		"Slice": {
			gradientCase("positive steps", nil, []int{0}, awayFromZero(1, 2, 5, 6), opstest.Ints(1, 2), opstest.Ints(4, 5), opstest.Ints(1, 2)),
			gradientCase("negative steps", nil, []int{0}, awayFromZero(1, 2, 5, 6), opstest.Ints(-1, 0), opstest.Ints(-9, 6), opstest.Ints(1, 2), opstest.Ints(-2, 3)),
		},
		"ReduceSum": {
			gradientCase("one axis", nil, []int{0}, awayFromZero(1, 2, 3, 4), opstest.Ints(1)),
			gradientCase("keepdims 0", ops.Attributes{"keepdims": int64(0)}, []int{0}, awayFromZero(1, 2, 3, 4), opstest.Ints(0, 2)),
			gradientCase("all axes", nil, []int{0}, awayFromZero(1, 2, 3)),
		},
		"Softmax": {
			gradientCase("last axis", nil, []int{0}, awayFromZero(1, 3, 4)),
			gradientCase("first axis", ops.Attributes{"axis": int64(0)}, []int{0}, awayFromZero(1, 3, 4)),
		},
		"MaxPool": {
			gradientCase("2x2 windows", ops.Attributes{"kernel_shape": two, "strides": two}, []int{0}, distinctValues(1, 2, 3, 4, 4)),
			gradientCase("overlapping windows, pads, dilations", ops.Attributes{"kernel_shape": []int64{3, 2}, "dilations": []int64{1, 2}, "pads": []int64{1, 0, 1, 1}}, []int{0}, distinctValues(2, 1, 2, 5, 6)),
		},
		"AveragePool": {
			gradientCase("2x2 windows", ops.Attributes{"kernel_shape": two, "strides": two}, []int{0}, awayFromZero(1, 2, 3, 4, 4)),
			gradientCase("padding counts", ops.Attributes{"kernel_shape": two, "pads": []int64{1, 1, 1, 0}, "count_include_pad": int64(1)}, []int{0}, awayFromZero(1, 2, 3, 4, 4)),
			gradientCase("padding does not count", ops.Attributes{"kernel_shape": two, "pads": []int64{1, 1, 1, 0}}, []int{0}, awayFromZero(1, 2, 3, 4, 4)),
		},
		"Conv": {
			gradientCase("bias", nil, []int{0, 1, 2}, awayFromZero(1, 3, 2, 5, 6), awayFromZero(2, 4, 2, 3, 2), awayFromZero(3, 4)),
			gradientCase("strides, dilations, pads, groups", ops.Attributes{
				"strides": []int64{2, 1}, "dilations": []int64{1, 2}, "pads": []int64{1, 0, 2, 1}, "group": int64(2),
			}, both, awayFromZero(1, 2, 4, 5, 6), awayFromZero(2, 6, 2, 3, 2)),
			gradientCase("one spatial axis", nil, both, awayFromZero(1, 2, 3, 7), awayFromZero(2, 2, 3, 3)),
			gradientCase("many positions", nil, both, awayFromZero(1, 2, 1, 13, 14), awayFromZero(2, 2, 1, 2, 2)),
		},
	} {
		operator := find(t, name)
		t.Run(name, func(t *testing.T) { opstest.Gradient(t, operator, c) })
	}
}
