// Package opstest is the harness that every operator's test passes through. It
// checks the numbers of a case and, without the test asking for it, what the
// contract of ops.Op promises: inference never contradicts a run, results do
// not depend on the number of workers, inputs stay as they are, an Op may run
// many times at once, a cancelled run stops.
package opstest

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

// Case is one node with its inputs and what is expected of it.
type Case struct {
	Name       string
	Attributes ops.Attributes
	Opset      int           // of the operator's domain; 0 means 17, for ai.onnx, or 1 for other domains
	Inputs     []*ops.Tensor // nil for one that is omitted

	// Constants lists the inputs whose values the output's shape depends on.
	// Inference is given their values, as from a graph's initializers.
	Constants []int

	// OpenSizes says that not even the values of all inputs tell inference the sizes
	// of the outputs, which Run then makes itself.
	OpenSizes bool

	// Batch lists the inputs whose first dimension is the batch. When it is not
	// empty, the first dimension of every output must be it too, and the results
	// of a batch must be those of its parts.
	Batch []int

	// Seed, FirstImage, Spikes and Uniforms go to the Context. With Batch, the
	// first dimension of Spikes and Uniforms is the batch.
	Seed             uint64
	FirstImage       uint64
	Spikes, Uniforms *ops.Tensor

	Outputs   []*ops.Tensor
	Tolerance float64 // of floating-point outputs: absolute up to 1, relative above; NaN equals NaN

	// WantErr is part of the error that New returns, or else both Infer, given
	// the types of the inputs and the Constants, and Run. WantRunErr is part of
	// an error that only Run can find.
	WantErr    string
	WantRunErr string
}

// Run checks the cases, each as a subtest.
func Run(t *testing.T, operator ops.Operator, cases []Case) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			require.NoError(t, c.check(t.Context(), operator))
		})
	}
}

// InferCase is a node of whose inputs not everything is known.
type InferCase struct {
	Name       string
	Attributes ops.Attributes
	Opset      int          // as in Case
	Inputs     []*ops.Input // nil for one that is omitted
	Want       []ops.Type
	WantErr    string // part of the error of Infer
}

// Infer checks shape inference alone, each case as a subtest. Run covers what
// can be said of a case with numbers; this is for what is inferred from part of
// the knowledge.
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

// Typed returns an input of which only the type is known.
func Typed(dtype ops.DType, dims ...ops.Dim) *ops.Input {
	return &ops.Input{Type: ops.Type{DType: dtype, Shape: dims}}
}

// Const returns an input that is a constant of the graph.
func Const(t *ops.Tensor) *ops.Input {
	return &ops.Input{Type: ops.TypeOf(t), Const: t}
}

// Known returns a dimension of a known size.
func Known(size int) ops.Dim { return ops.Dim{Size: size} }

// Unknown returns a dimension of unknown size; the symbol may be empty.
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
