package std

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// find returns the operator with the given name.
func find(t testing.TB, name string) ops.Operator {
	t.Helper()
	i := slices.IndexFunc(Operators(), func(o ops.Operator) bool { return o.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return Operators()[i]
}

// constantTensor returns a float32 tensor whose elements are all equal.
func constantTensor(value float32, shape ...int) *ops.Tensor {
	x := opstest.Random(0, shape...)
	for i := range x.Float32s() {
		x.Float32s()[i] = value
	}
	return x
}

func TestOperators_HaveUniqueNames(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range Operators() {
		require.Empty(t, o.Domain)
		require.False(t, seen[o.Name], o.Name)
		seen[o.Name] = true
	}
}

func TestOperators_RejectOldOpsetsAndUnknownAttributes(t *testing.T) {
	for _, o := range Operators() {
		require.NotEmpty(t, versions[o.Name], o.Name)
		oldest := versions[o.Name][0]
		_, err := o.New(ops.Node{Opset: oldest - 1, NumInputs: o.MinInputs})
		require.ErrorContains(t, err, fmt.Sprintf("it exists since opset %d", oldest), o.Name)

		_, err = o.New(ops.Node{Opset: max(17, oldest), NumInputs: o.MinInputs, Attributes: ops.Attributes{"color": int64(1)}})
		require.ErrorIs(t, err, ops.ErrAttribute, o.Name)
		require.ErrorContains(t, err, "color", o.Name)
	}
}

func TestInfer_RejectsInvalidInputs(t *testing.T) {
	x := opstest.F32([]int{2}, 1, 2)
	opstest.Run(t, find(t, "Add"), []opstest.Case{
		{Name: "too few", Inputs: []*ops.Tensor{x}, WantErr: "the number of inputs is 1, want 2"},
		{Name: "too many", Inputs: []*ops.Tensor{x, x, x}, WantErr: "the number of inputs is 3, want 2"},
		{Name: "missing", Inputs: []*ops.Tensor{x, nil}, WantErr: "input 1 is missing"},
		{Name: "tensor without a type", Inputs: []*ops.Tensor{x, {}}, WantErr: "unsupported element type"},
	})
	opstest.Run(t, find(t, "Concat"), []opstest.Case{
		{Name: "no inputs", Attributes: ops.Attributes{"axis": int64(0)}, WantErr: "the number of inputs is 0, want at least 1"},
		{Name: "missing", Attributes: ops.Attributes{"axis": int64(0)}, Inputs: []*ops.Tensor{x, x, nil}, WantErr: "input 2 is missing"},
	})
	huge := opstest.Typed(ops.Float32, opstest.Known(1<<20), opstest.Known(1<<20), opstest.Unknown("N"))
	deep := opstest.Typed(ops.Float32, slices.Repeat([]ops.Dim{opstest.Known(1)}, 65)...)
	text := ops.DType(14)
	opstest.Infer(t, find(t, "Relu"), []opstest.InferCase{
		{Name: "too many elements", Inputs: []*ops.Input{huge}, WantErr: "elements"},
		{Name: "too many dimensions", Inputs: []*ops.Input{deep}, WantErr: "input 0: shape does not fit: the rank is 65, want at most 64"},
		{Name: "string type", Inputs: []*ops.Input{opstest.Typed(text)}, WantErr: "complex64"},
		{
			Name:    "constant of another type",
			Inputs:  []*ops.Input{{Type: ops.Type{DType: ops.Float32, Shape: ops.Dims(3)}, Const: x}},
			WantErr: "want float32(3), got float32(2)",
		},
	})
}

// TestInfer_BoundsRank covers the operators for which a file chooses the number of
// dimensions of the output.
func TestInfer_BoundsRank(t *testing.T) {
	x := opstest.Typed(ops.Float32, slices.Repeat([]ops.Dim{opstest.Known(1)}, 40)...)
	places := opstest.Typed(ops.Int64, slices.Repeat([]ops.Dim{opstest.Known(1)}, 40)...)
	vector := opstest.Typed(ops.Int64, opstest.Known(1<<26))
	ones := opstest.Const(ones(ops.Int64, 65))
	for name, inputs := range map[string][][]*ops.Input{
		"Reshape":         {{x, vector}, {x, ones}},
		"Expand":          {{x, vector}, {x, ones}},
		"ConstantOfShape": {{vector}, {ones}},
		"Tile":            {{x, vector}, {x, ones}},
		"Unsqueeze":       {{x, opstest.Typed(ops.Int64, opstest.Known(25))}, {x, vector}},
		"Gather":          {{x, places}},
		"GatherND":        {{x, places}},
	} {
		for _, in := range inputs {
			op, err := find(t, name).New(ops.Node{Opset: 17, NumInputs: len(in)})
			require.NoError(t, err)
			_, err = op.Infer(in)
			require.ErrorIs(t, err, ops.ErrShape, name)
			require.ErrorContains(t, err, "at most 64", name)
		}
	}
	op, err := find(t, "Split").New(ops.Node{Opset: 17, NumInputs: 2, NumOutputs: 70})
	require.NoError(t, err)
	types, err := op.Infer([]*ops.Input{x, opstest.Typed(ops.Int64, opstest.Known(70))})
	require.NoError(t, err, "the sizes of outputs are no dimensions")
	require.Len(t, types, 70)
}

// TestNew_ReportsTheSameOfSeveralErrors gives nodes several attributes of a wrong type. The
// error must not differ from call to call.
func TestNew_ReportsTheSameOfSeveralErrors(t *testing.T) {
	for name, attributes := range map[string][]string{
		"Gemm": {"alpha", "beta", "transA", "transB"},
		"GRU":  {"layout", "linear_before_reset"},
		"LSTM": {"layout", "input_forget"},
	} {
		a := ops.Attributes{}
		for _, attribute := range attributes {
			a[attribute] = "text"
		}
		for range 50 {
			_, err := find(t, name).New(ops.Node{Opset: 17, NumInputs: 3, Attributes: a})
			require.ErrorContains(t, err, attributes[0]+" has type", name)
		}
	}
}

// TestNew_SeedErrorNamesNoGoType gives random operators a seed that is not a number.
func TestNew_SeedErrorNamesNoGoType(t *testing.T) {
	for _, name := range []string{"RandomUniform", "Bernoulli", "Dropout"} {
		_, err := find(t, name).New(ops.Node{Opset: 17, NumInputs: 1, Attributes: ops.Attributes{"seed": []int64{1}}})
		require.ErrorIs(t, err, ops.ErrAttribute, name)
		require.ErrorContains(t, err, "seed is not a number", name)
	}
}

// typed converts a tensor to another element type, times a factor.
func typed(dtype ops.DType, factor float64, x *ops.Tensor) *ops.Tensor {
	y, err := ops.Zeros(dtype, x.Shape())
	if err != nil {
		panic(err)
	}
	v := make([]float64, x.Len())
	load(v, x, 0, 1)
	for i := range v {
		v[i] *= factor
	}
	store(y, 0, 1, v)
	return y
}
