package std

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// find returns the operator of a name.
func find(t testing.TB, name string) ops.Operator {
	t.Helper()
	i := slices.IndexFunc(Operators(), func(o ops.Operator) bool { return o.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return Operators()[i]
}

// filled returns a float32 tensor of one number.
func filled(value float32, shape ...int) *ops.Tensor {
	x := opstest.Random(0, shape...)
	for i := range x.Float32s() {
		x.Float32s()[i] = value
	}
	return x
}

func TestOperatorsAreASet(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range Operators() {
		require.Empty(t, o.Domain)
		require.False(t, seen[o.Name], o.Name)
		seen[o.Name] = true
	}
}

func TestEveryOperatorChecksItsNode(t *testing.T) {
	for _, o := range Operators() {
		oldest := oldestOpset
		if n, ok := older[o.Name]; ok {
			oldest = n
		}
		_, err := o.New(ops.Node{Opset: oldest - 1, NumInputs: o.MinInputs})
		require.ErrorContains(t, err, fmt.Sprintf("opset %d is not supported", oldest-1), o.Name)

		_, err = o.New(ops.Node{Opset: 17, NumInputs: o.MinInputs, Attributes: ops.Attributes{"colour": int64(1)}})
		require.ErrorIs(t, err, ops.ErrAttribute, o.Name)
		require.ErrorContains(t, err, "colour", o.Name)
	}
}

func TestInputsAreChecked(t *testing.T) {
	x := opstest.F32([]int{2}, 1, 2)
	opstest.Run(t, find(t, "Add"), []opstest.Case{
		{Name: "too few", Inputs: []*ops.Tensor{x}, WantErr: "1 inputs are not allowed"},
		{Name: "too many", Inputs: []*ops.Tensor{x, x, x}, WantErr: "3 inputs are not allowed"},
		{Name: "missing", Inputs: []*ops.Tensor{x, nil}, WantErr: "input 1 is missing"},
		{Name: "no tensor", Inputs: []*ops.Tensor{x, {}}, WantErr: "unsupported element type"},
	})
	opstest.Run(t, find(t, "Concat"), []opstest.Case{
		{Name: "none", Attributes: ops.Attributes{"axis": int64(0)}, WantErr: "0 inputs are not allowed"},
		{Name: "missing", Attributes: ops.Attributes{"axis": int64(0)}, Inputs: []*ops.Tensor{x, x, nil}, WantErr: "input 2 is missing"},
	})
	huge := opstest.Typed(ops.Float32, opstest.Known(1<<20), opstest.Known(1<<20), opstest.Unknown("N"))
	text := ops.DType(8)
	opstest.Infer(t, find(t, "Relu"), []opstest.InferCase{
		{Name: "huge", Inputs: []*ops.Input{huge}, WantErr: "elements"},
		{Name: "text", Inputs: []*ops.Input{opstest.Typed(text)}, WantErr: "data type 8"},
		{
			Name:    "constant of another type",
			Inputs:  []*ops.Input{{Type: ops.Type{DType: ops.Float32, Shape: ops.Dims(3)}, Const: x}},
			WantErr: "want float32(3), got float32(2)",
		},
	})
}

// TestNothingPanics gives every operator nodes that make little sense. Whatever
// comes through must be of the type that was inferred.
func TestNothingPanics(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	numbers := []int64{0, 1, 1, 1, 2, 2, 3, -1, -2, 5, 1 << 31, 1<<63 - 1, -1 << 63}
	list := func(n int) []int64 {
		l := make([]int64, n)
		for i := range l {
			l[i] = numbers[r.IntN(len(numbers))]
		}
		return l
	}
	tensor := func() *ops.Tensor {
		shape := make([]int, r.IntN(6))
		for i := range shape {
			shape[i] = []int{0, 1, 1, 2, 3, 4}[r.IntN(6)]
		}
		switch r.IntN(10) {
		case 0:
			return nil
		case 1:
			return &ops.Tensor{}
		case 2:
			return opstest.Ints(list(r.IntN(4))...)
		case 3:
			x, err := ops.Zeros([]ops.DType{ops.Int32, ops.Int64, ops.Bool, ops.Uint8, ops.Float64}[r.IntN(5)], shape)
			require.NoError(t, err)
			return x
		}
		return opstest.Random(r.Uint64(), shape...)
	}
	attributes := map[string]func() any{
		"axis":                 func() any { return list(1)[0] },
		"axes":                 func() any { return list(r.IntN(3)) },
		"keepdims":             func() any { return list(1)[0] },
		"noop_with_empty_axes": func() any { return list(1)[0] },
		"allowzero":            func() any { return list(1)[0] },
		"group":                func() any { return list(1)[0] },
		"kernel_shape":         func() any { return list(r.IntN(4)) },
		"strides":              func() any { return list(r.IntN(4)) },
		"dilations":            func() any { return list(r.IntN(4)) },
		"pads":                 func() any { return []int64{r.Int64N(3), r.Int64N(3), r.Int64N(3), r.Int64N(3)}[:r.IntN(3)*2] },
		"auto_pad":             func() any { return []string{"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", "", "x"}[r.IntN(6)] },
		"ceil_mode":            func() any { return list(1)[0] },
		"count_include_pad":    func() any { return float32(1) },
	}
	pool := parallel.New(2)
	ran := 0
	for range 20000 {
		o := Operators()[r.IntN(len(Operators()))]
		a := ops.Attributes{}
		for name, value := range attributes {
			if err := (ops.Attributes{name: 0}).Only(known[o.Name]...); err == nil && r.IntN(2) == 0 {
				a[name] = value()
			}
		}
		in := make([]*ops.Tensor, r.IntN(5))
		for i := range in {
			in[i] = tensor()
		}
		if len(in) > 1 && r.IntN(2) == 0 {
			in[1] = in[0]
		}
		op, err := o.New(ops.Node{Attributes: a, Opset: 7 + r.IntN(11), NumInputs: len(in)})
		if err != nil {
			continue
		}
		types, inferErr := op.Infer(inputs(in))
		out, err := ops.Run(op, &ops.Context{Context: t.Context(), Pool: pool}, in)
		if inferErr != nil {
			require.Error(t, err)
			continue
		}
		if err != nil {
			continue
		}
		ran++
		for i, x := range out {
			require.NoError(t, types[i].Check(x), o.Name)
		}
	}
	require.Greater(t, ran, 500)
}

// known lists the attributes that TestNothingPanics sets.
var known = map[string][]string{
	"AveragePool": {"kernel_shape", "strides", "dilations", "pads", "auto_pad", "ceil_mode", "count_include_pad"},
	"Concat":      {"axis"},
	"Conv":        {"kernel_shape", "strides", "dilations", "pads", "auto_pad", "group"},
	"Flatten":     {"axis"},
	"MaxPool":     {"kernel_shape", "strides", "dilations", "pads", "auto_pad", "ceil_mode"},
	"ReduceSum":   {"axes", "keepdims", "noop_with_empty_axes"},
	"Reshape":     {"allowzero"},
	"Softmax":     {"axis"},
}
