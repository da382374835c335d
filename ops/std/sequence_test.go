package std

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func TestSequence_OperatorsChangeTheItems(t *testing.T) {
	a, b, c := opstest.F32([]int{2}, 1, 2), opstest.F32(nil, 3), opstest.F32([]int{1, 1}, 4)
	seq := func(items ...*ops.Tensor) *ops.Tensor { return opstest.Sequence(ops.Float32, items...) }
	at := func(i int64) *ops.Tensor { return opstest.I64(nil, i) }
	abc := seq(a, b, c)
	for name, cases := range map[string][]opstest.Case{
		"SequenceConstruct": {
			{Name: "items of any shape", Inputs: tensors{a, b, c}, Outputs: tensors{abc}},
			{Name: "types differ", Inputs: tensors{a, at(1)}, WantErr: "want tensors of one type"},
			{Name: "sequence", Inputs: tensors{abc}, WantErr: "want tensors of one type"},
		},
		"SequenceEmpty": {
			{Name: "float32", Outputs: tensors{seq()}},
			{Name: "string", Attributes: attrs{"dtype": int64(8)}, Outputs: tensors{opstest.Sequence(ops.String)}},
			{Name: "no type", Attributes: attrs{"dtype": int64(99)}, WantErr: "dtype 99"},
		},
		"SequenceAt": {
			{Name: "first", Inputs: tensors{abc, at(0)}, OpenSizes: true, Outputs: tensors{a}},
			{Name: "last, int32", Inputs: tensors{abc, opstest.I32(nil, -1)}, OpenSizes: true, Outputs: tensors{c}},
			{Name: "constants", Inputs: tensors{abc, at(1)}, Constants: []int{0, 1}, Outputs: tensors{b}},
			{Name: "out of range", Inputs: tensors{abc, at(3)}, Constants: []int{0, 1}, WantErr: "index 3 is out of range for size 3"},
			{Name: "no sequence", Inputs: tensors{a, at(0)}, WantErr: "want a sequence"},
			{Name: "position of float32", Inputs: tensors{abc, b}, WantErr: "position is float32()"},
		},
		"SequenceInsert": {
			{Name: "at the end", Inputs: tensors{seq(a, b), c}, Outputs: tensors{abc}},
			{Name: "after the last", Inputs: tensors{seq(a, b), c, at(2)}, Outputs: tensors{abc}},
			{Name: "before the last", Inputs: tensors{seq(a, c), b, at(-1)}, Outputs: tensors{abc}},
			{Name: "first", Inputs: tensors{seq(b, c), a, at(-2)}, Outputs: tensors{abc}},
			{Name: "before the first", Inputs: tensors{seq(b, c), a, at(-3)}, WantRunErr: "position -3 of a sequence of 2 items"},
			{Name: "empty", Inputs: tensors{seq(), a, at(0)}, Outputs: tensors{seq(a)}},
			{Name: "another type", Inputs: tensors{abc, at(1)}, WantErr: "input 1 is int64(), but the items of the sequence are float32"},
			{Name: "float16", Inputs: tensors{abc, opstest.Tensor[ops.F16](nil, 1)}, WantErr: "input 1 is float16()"},
		},
		"SequenceErase": {
			{Name: "last", Inputs: tensors{abc}, Outputs: tensors{seq(a, b)}},
			{Name: "first", Inputs: tensors{abc, at(-3)}, Outputs: tensors{seq(b, c)}},
			{Name: "empty", Inputs: tensors{seq()}, WantRunErr: "the sequence is empty"},
		},
		"SequenceLength": {
			{Name: "three", Inputs: tensors{abc}, Outputs: tensors{at(3)}},
			{Name: "none", Inputs: tensors{seq()}, Outputs: tensors{at(0)}},
		},
		"Identity": {
			{Name: "sequence", Inputs: tensors{abc}, Outputs: tensors{abc}},
			{Name: "sequence in opset 13", Opset: 13, Inputs: tensors{abc}, WantErr: "Identity of opset 13 does not take"},
			{Name: "optional value", Inputs: tensors{opstest.Optional(ops.TypeOf(abc), abc)}, Outputs: tensors{opstest.Optional(ops.TypeOf(abc), abc)}},
		},
		"Relu": {{Name: "sequence", Inputs: tensors{abc}, WantErr: "unsupported element type: sequence"}},
	} {
		t.Run(name, func(t *testing.T) { opstest.Run(t, find(t, name), cases) })
	}
}

func TestSplitToSequence_DividesAnAxis(t *testing.T) {
	x := opstest.F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	column := func(values ...float32) *ops.Tensor { return opstest.F32([]int{2, len(values) / 2}, values...) }
	seq := func(items ...*ops.Tensor) *ops.Tensor { return opstest.Sequence(ops.Float32, items...) }
	axis1 := attrs{"axis": int64(1)}
	opstest.Run(t, find(t, "SplitToSequence"), []opstest.Case{
		{Name: "without sizes", Attributes: axis1, Inputs: tensors{x}, Outputs: tensors{seq(column(1, 4), column(2, 5), column(3, 6))}},
		{Name: "without the axis", Attributes: attrs{"keepdims": int64(0)}, Inputs: tensors{x}, Outputs: tensors{seq(opstest.F32([]int{3}, 1, 2, 3), opstest.F32([]int{3}, 4, 5, 6))}},
		{Name: "equal sizes", Attributes: axis1, Inputs: tensors{x, opstest.I32(nil, 2)}, Outputs: tensors{seq(column(1, 2, 4, 5), column(3, 6))}},
		{Name: "sizes", Attributes: attrs{"axis": int64(-1), "keepdims": int64(0)}, Inputs: tensors{x, opstest.Ints(1, 0, 2)}, Outputs: tensors{seq(column(1, 4), opstest.F32([]int{2, 0}), column(2, 3, 5, 6))}},
		{Name: "sizes too small", Attributes: axis1, Inputs: tensors{x, opstest.Ints(1, 1)}, WantRunErr: "sum to 2, but the axis has 3 entries"},
		{Name: "sizes too large", Attributes: axis1, Inputs: tensors{x, opstest.Ints(1, 3)}, WantRunErr: "part 1 has the size 3, but 2 of the 3 entries"},
		{Name: "size 0", Inputs: tensors{x, opstest.I64(nil, 0)}, WantRunErr: "want at least 1"},
		{Name: "axis 2", Attributes: attrs{"axis": int64(2)}, Inputs: tensors{x}, WantErr: "axis 2 is out of range for rank 2"},
		{Name: "strings", Inputs: tensors{opstest.Tensor([]int{2}, "a", "b")}, Outputs: tensors{opstest.Sequence(ops.String, opstest.Tensor([]int{1}, "a"), opstest.Tensor([]int{1}, "b"))}},
	})
}

func TestConcatFromSequence_JoinsItems(t *testing.T) {
	a, b := opstest.F32([]int{2, 1}, 1, 2), opstest.F32([]int{2, 2}, 3, 4, 5, 6)
	seq := func(items ...*ops.Tensor) *ops.Tensor { return opstest.Sequence(ops.Float32, items...) }
	opstest.Run(t, find(t, "ConcatFromSequence"), []opstest.Case{
		{Name: "axis 1", Attributes: attrs{"axis": int64(1)}, Inputs: tensors{seq(a, b)}, OpenSizes: true, Outputs: tensors{opstest.F32([]int{2, 3}, 1, 3, 4, 2, 5, 6)}},
		{Name: "new last axis", Attributes: attrs{"axis": int64(-1), "new_axis": int64(1)}, Inputs: tensors{seq(a, a)}, Constants: []int{0}, Outputs: tensors{opstest.F32([]int{2, 1, 2}, 1, 1, 2, 2)}},
		{Name: "scalars", Attributes: attrs{"axis": int64(0), "new_axis": int64(1)}, Inputs: tensors{seq(opstest.F32(nil, 1), opstest.F32(nil, 2))}, OpenSizes: true, Outputs: tensors{opstest.F32([]int{2}, 1, 2)}},
		{Name: "shapes differ", Attributes: attrs{"axis": int64(0)}, Inputs: tensors{seq(a, b)}, Constants: []int{0}, WantErr: "item 1 is float32(2, 2) but item 0 is float32(2, 1)"},
		{Name: "empty", Attributes: attrs{"axis": int64(0)}, Inputs: tensors{seq()}, Constants: []int{0}, WantErr: "the sequence is empty"},
		{Name: "no axis", Inputs: tensors{seq(a)}, WantErr: "axis is missing"},
	})
}

func TestOptional_OperatorsKnowWhetherAValueIsPresent(t *testing.T) {
	x := opstest.F32([]int{2}, 1, 2)
	float, s := ops.Type{DType: ops.Float32}, opstest.Sequence(ops.Float32, x)
	present, absent := opstest.Optional(float, x), opstest.Optional(float, nil)
	yes, no := opstest.Tensor(nil, true), opstest.Tensor(nil, false)
	for name, cases := range map[string][]opstest.Case{
		"Optional": {
			{Name: "tensor", Inputs: tensors{x}, Outputs: tensors{present}},
			{Name: "sequence", Inputs: tensors{s}, Outputs: tensors{opstest.Optional(ops.TypeOf(s), s)}},
			{Name: "absent", Attributes: attrs{"type": &float}, Outputs: tensors{absent}},
			{Name: "another type", Attributes: attrs{"type": &float}, Inputs: tensors{s}, WantErr: "the attribute type is optional(float32)"},
			{Name: "nothing", WantErr: "neither an input nor the attribute type"},
		},
		"OptionalHasElement": {
			{Name: "present", Inputs: tensors{present}, Outputs: tensors{yes}},
			{Name: "absent", Inputs: tensors{absent}, Outputs: tensors{no}},
			{Name: "tensor", Opset: 18, Inputs: tensors{x}, Outputs: tensors{yes}},
			{Name: "no input", Opset: 18, Outputs: tensors{no}},
			{Name: "tensor in opset 17", Inputs: tensors{x}, WantErr: "want an optional value"},
			{Name: "no input in opset 17", WantErr: "input 0 is missing"},
		},
		"OptionalGetElement": {
			{Name: "tensor", Inputs: tensors{present}, OpenSizes: true, Outputs: tensors{x}},
			{Name: "sequence", Inputs: tensors{opstest.Optional(ops.TypeOf(s), s)}, Outputs: tensors{s}},
			{Name: "the tensor itself", Opset: 18, Inputs: tensors{x}, Outputs: tensors{x}},
			{Name: "absent", Inputs: tensors{absent}, Constants: []int{0}, WantErr: "the optional value is absent"},
		},
	} {
		t.Run(name, func(t *testing.T) { opstest.Run(t, find(t, name), cases) })
	}
}

// TestSequence_HoldsCopies changes an input after it has become an item, as the runtime does
// with its buffers.
func TestSequence_HoldsCopies(t *testing.T) {
	op, err := find(t, "SequenceConstruct").New(ops.Node{Opset: 17, NumInputs: 1})
	require.NoError(t, err)
	x := opstest.F32([]int{2}, 1, 2)
	out := make([]*ops.Tensor, 1)
	require.NoError(t, op.Run(&ops.Context{}, []*ops.Tensor{x}, out))
	x.Float32s()[0] = 7
	require.Equal(t, []float32{1, 2}, out[0].Items()[0].Float32s())
}
