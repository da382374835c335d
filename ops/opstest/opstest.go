package opstest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

// Case is a node with its inputs and the expected outputs or error.
type Case struct {
	Name       string
	Attributes ops.Attributes
	Opset      int           // of the operator's domain; 0 means 17 for ai.onnx, and 1 for other domains
	Inputs     []*ops.Tensor // nil for an omitted one

	// Constants lists the inputs on whose values the shapes of the outputs depend.
	// Infer gets their values, as if they were initializers of a graph. Omitted inputs may
	// be listed.
	Constants []int

	// OpenSizes must be set if Infer cannot find the sizes of the outputs even from
	// the values of all inputs, or the type of an output from Constants. The Run of the
	// operator then makes the outputs.
	OpenSizes bool

	// Batch lists the inputs whose first dimension is the batch. If there are any, the
	// batch must also be the first dimension of every output, and the outputs of an
	// entry must not depend on the other entries and their order.
	Batch []int

	// These fields are copied to the Context of the run. If Batch is set, the first
	// dimension of Spikes and Uniforms is the batch.
	Seed, FirstImage uint64
	Seeds, Images    []uint64
	Spikes, Uniforms *ops.Tensor

	// Outputs are the expected outputs. Floating-point numbers may differ from them by
	// Tolerance, multiplied by the expected number if that is larger than 1. NaN equals
	// NaN.
	Outputs   []*ops.Tensor
	Tolerance float64

	// WantErr is a part of the expected error. Either New must return it, or both
	// Infer and Run. Infer gets the types of the inputs and the values of Constants.
	WantErr string

	// WantRunErr is a part of the expected error if only Run can find it.
	WantRunErr string
}

// Run checks the cases, each in a subtest. An operator passes if it computes the expected
// outputs, or returns the expected error, and keeps the contract of ops.Op:
//
//   - Infer does not contradict Run, however much it knows about the inputs.
//   - Run writes every element of the outputs and does not modify the inputs.
//   - The outputs do not depend on the number of goroutines, or on earlier runs with the
//     same Context.
//   - With Case.Batch, an entry has the same outputs in every batch, at any place.
//   - An Op can run several times at the same time.
//   - A canceled run fails.
func Run(t *testing.T, operator ops.Operator, cases []Case) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			require.NoError(t, c.check(t.Context(), operator))
		})
	}
}

// InferCase is a node with partly known inputs and the expected types of its outputs.
type InferCase struct {
	Name       string
	Attributes ops.Attributes
	Opset      int          // as in Case
	Inputs     []*ops.Input // nil for an omitted one
	Want       []ops.Type
	WantErr    string // a part of the expected error of Infer; "" if Infer succeeds
}

// Infer checks shape inference alone, each case in a subtest. The function Run checks only
// that the inferred types do not contradict the outputs. Infer checks that exactly the
// wanted types follow from partly known inputs.
func Infer(t *testing.T, operator ops.Operator, cases []InferCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			op, err := operator.New(ops.Node{Attributes: c.Attributes, Opset: opset(c.Opset, operator), NumInputs: len(c.Inputs)})
			require.NoError(t, err)
			got, err := op.Infer(c.Inputs)
			if c.WantErr != "" {
				require.ErrorContains(t, err, c.WantErr)
				return
			}
			require.NoError(t, err)
			require.True(t, slices.EqualFunc(c.Want, got, equal), "want %v, got %v", c.Want, got)
		})
	}
}

// Typed returns an input with a known type and an unknown value.
func Typed(dtype ops.DType, dims ...ops.Dim) *ops.Input {
	return &ops.Input{Type: ops.Type{DType: dtype, Shape: dims}}
}

// Const returns an input that is a constant of the graph with the given value.
func Const(t *ops.Tensor) *ops.Input {
	return &ops.Input{Type: ops.TypeOf(t), Const: t}
}

// Known returns a dimension of a known size.
func Known(size int) ops.Dim { return ops.Dim{Size: size} }

// Unknown returns a dimension of unknown size with a symbolic name, which may be empty.
func Unknown(symbol string) ops.Dim { return ops.Dim{Size: -1, Symbol: symbol} }

func equal(a, b ops.Type) bool {
	return a.DType == b.DType && slices.Equal(a.Shape, b.Shape)
}

func opset(n int, operator ops.Operator) int {
	switch {
	case n != 0:
		return n
	case operator.Domain == "":
		return 17
	}
	return 1
}
