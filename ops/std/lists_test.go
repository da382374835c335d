package std

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

// inDoubles returns the output of an operator for the inputs in float64, rounded to float32. float64
// is computed without vectors.
func inDoubles(t *testing.T, name string, opset int, attributes ops.Attributes, in ...*ops.Tensor) *ops.Tensor {
	t.Helper()
	op, err := find(t, name).New(ops.Node{Opset: opset, Attributes: attributes, NumInputs: len(in), NumOutputs: 1})
	require.NoError(t, err)
	wide := make([]*ops.Tensor, len(in))
	for i, x := range in {
		if wide[i] = x; x.DType() == ops.Float32 {
			wide[i], err = ops.Zeros(ops.Float64, x.Shape())
			require.NoError(t, err)
			castElements[float64](0, x.Len(), wide[i], x)
		}
	}
	typed := inputs(wide)
	types, err := op.Infer(typed)
	require.NoError(t, err)
	shape, ok := types[0].Sizes()
	require.True(t, ok)
	out, err := ops.Zeros(types[0].DType, shape)
	require.NoError(t, err)
	require.NoError(t, op.Run(&ops.Context{Context: t.Context()}, wide, []*ops.Tensor{out}))
	if out.DType() != ops.Float64 {
		return out
	}
	single, err := ops.Zeros(ops.Float32, shape)
	require.NoError(t, err)
	castElements[float64](0, out.Len(), single, out)
	return single
}

// listShapes holds shapes and axes for all the ways in which lists lie in memory.
var listShapes = []struct {
	shape []int
	axis  int
}{
	{[]int{3, 10}, 1}, {[]int{5, 197}, 1}, {[]int{2, kernel.ShortRow}, 1}, {[]int{2, 2500}, 1}, {[]int{1, stepsPerCheck + 70}, 1},
	{[]int{2, 70, 40}, 1}, {[]int{2, 1100, 20}, 1}, {[]int{3, 5, columnBlock + 30}, 1}, {[]int{2, 40, 7}, 1}, {[]int{2, 1500, 3}, 1}, {[]int{130, 33}, 0},
	{[]int{4, 6, 5, 9}, 1}, {[]int{2, 1, 30}, 1}, {[]int{17}, 0},
}

func TestAlongAxes_EqualsFloat64(t *testing.T) {
	for _, tier := range kernel.Tiers() {
		defer kernel.Use(tier)()
		for i, s := range listShapes {
			x := opstest.Random(uint64(i), s.shape...)
			for j := range x.Float32s() {
				x.Float32s()[j] = 8*x.Float32s()[j] - 4
			}
			for _, c := range []struct {
				name      string
				attrs     ops.Attributes
				tolerance float64
			}{
				{"Softmax", nil, 1e-6}, {"LogSoftmax", nil, 2e-6}, {"LpNormalization", nil, 1e-6}, {"LpNormalization", ops.Attributes{"p": int64(1)}, 1e-6},
				{"ArgMax", nil, 0}, {"ArgMin", nil, 0}, {"ArgMax", ops.Attributes{"select_last_index": int64(1)}, 0},
				{"ReduceSum", nil, 1e-6}, {"ReduceMean", nil, 1e-6}, {"ReduceMax", nil, 0}, {"ReduceMin", nil, 0}, {"ReduceProd", nil, 1e-6},
				{"ReduceL1", nil, 1e-6}, {"ReduceL2", nil, 1e-6}, {"ReduceSumSquare", nil, 1e-6}, {"ReduceLogSumExp", nil, 2e-6},
			} {
				attributes, in := ops.Attributes{}, []*ops.Tensor{x}
				for k, v := range c.attrs {
					attributes[k] = v
				}
				var constants []int
				switch {
				case c.name == "ReduceSum":
					in, constants = append(in, opstest.Ints(int64(s.axis))), []int{1}
				case c.name[:3] == "Red":
					attributes["axes"] = []int64{int64(s.axis)}
				default:
					attributes["axis"] = int64(s.axis)
				}
				opstest.Run(t, find(t, c.name), []opstest.Case{{
					Name: fmt.Sprint(s.shape, s.axis, c.attrs, tier), Attributes: attributes, Inputs: in, Constants: constants,
					Outputs: []*ops.Tensor{inDoubles(t, c.name, 17, attributes, in...)}, Tolerance: c.tolerance,
				}})
			}
		}
	}
}

// TestReductions_OfSeveralAxes reduces axes with other ones between them.
func TestReductions_OfSeveralAxes(t *testing.T) {
	x := opstest.Random(3, 3, 4, 5, 20)
	for _, axes := range [][]int64{{0, 2}, {1, 3}, {0, 3}, {0, 1}, {2, 3}, {0, 1, 2, 3}, {1, 2}} {
		for _, name := range []string{"ReduceL2", "ReduceMax", "ReduceLogSumExp", "ReduceProd", "ReduceMean"} {
			attributes := ops.Attributes{"axes": axes}
			opstest.Run(t, find(t, name), []opstest.Case{{
				Name: fmt.Sprint(axes), Attributes: attributes, Inputs: []*ops.Tensor{x},
				Outputs: []*ops.Tensor{inDoubles(t, name, 17, attributes, x)}, Tolerance: 2e-6,
			}})
		}
	}
}

func TestAlongAxes_OfSpecialNumbers(t *testing.T) {
	nan := float32(math.NaN())
	rows := opstest.F32([]int{5, 3}, 1, nan, 2, nan, 1, nan, -inf, -inf, -inf, inf, 1, inf, 3, 3, 1)
	columns := constantTensor(0, 3, 20)
	for i := range columns.Float32s() {
		columns.Float32s()[i] = rows.Float32s()[i%20%5*3+i/20]
	}
	for _, x := range []struct {
		x    *ops.Tensor
		axis int64
	}{{rows, 1}, {columns, 0}} {
		for _, name := range []string{"ReduceMax", "ReduceMin", "ReduceLogSumExp", "ReduceL1", "ArgMax", "ArgMin"} {
			for _, last := range []int64{0, 1} {
				attributes := ops.Attributes{"axes": []int64{x.axis}}
				if name[:3] == "Arg" {
					attributes = ops.Attributes{"axis": x.axis, "select_last_index": last}
				}
				opstest.Run(t, find(t, name), []opstest.Case{{
					Name: fmt.Sprint(x.axis, last), Attributes: attributes, Inputs: []*ops.Tensor{x.x},
					Outputs: []*ops.Tensor{inDoubles(t, name, 17, attributes, x.x)}, Tolerance: 1e-6,
				}})
			}
		}
	}
}

// TestLpNormalization_OfTinyNumbers has norms whose inverse, or who themselves, are no normal float32.
func TestLpNormalization_OfTinyNumbers(t *testing.T) {
	tiny, huge := float32(3e-42), float32(3e38)
	for axis, shape := range [][]int{{2, 3}, {3, 2}} {
		opstest.Run(t, find(t, "LpNormalization"), []opstest.Case{{
			Name: fmt.Sprint(axis), Attributes: ops.Attributes{"axis": int64(1 - axis)}, Tolerance: 1e-6,
			Inputs:  []*ops.Tensor{opstest.F32(shape, [][]float32{{tiny, 0, 0, huge, huge, huge}, {tiny, huge, 0, huge, 0, huge}}[axis]...)},
			Outputs: []*ops.Tensor{opstest.F32(shape, [][]float32{{1, 0, 0, 0.57735026, 0.57735026, 0.57735026}, {1, 0.57735026, 0, 0.57735026, 0, 0.57735026}}[axis]...)},
		}})
	}
}

func TestNormalizations_EqualFloat64(t *testing.T) {
	x := opstest.Random(5, 2, 6, 50)
	for i := range x.Float32s() {
		x.Float32s()[i] += 100 // a mean that is large, compared with the deviation
	}
	vector := func(n int) *ops.Tensor { return opstest.Random(uint64(n), n) }
	for _, c := range []struct {
		name  string
		opset int
		attrs ops.Attributes
		in    []*ops.Tensor
	}{
		{"LayerNormalization", 17, nil, []*ops.Tensor{x, vector(50), vector(50)}},
		{"LayerNormalization", 17, nil, []*ops.Tensor{x, vector(50)}},
		{"LayerNormalization", 17, ops.Attributes{"axis": int64(1)}, []*ops.Tensor{x, vector(50)}},
		{"RMSNormalization", 23, nil, []*ops.Tensor{x, vector(50)}},
		{"InstanceNormalization", 17, nil, []*ops.Tensor{x, vector(6), vector(6)}},
		{"GroupNormalization", 18, ops.Attributes{"num_groups": int64(3)}, []*ops.Tensor{x, vector(3), vector(3)}},
		{"GroupNormalization", 21, ops.Attributes{"num_groups": int64(3)}, []*ops.Tensor{x, vector(6), vector(6)}},
		{"MeanVarianceNormalization", 17, ops.Attributes{"axes": []int64{0, 2}}, []*ops.Tensor{x}},
		{"MeanVarianceNormalization", 17, ops.Attributes{"axes": []int64{0, 1}}, []*ops.Tensor{x}},
	} {
		opstest.Run(t, find(t, c.name), []opstest.Case{{
			Name: fmt.Sprint(c.opset, c.attrs, len(c.in)), Opset: c.opset, Attributes: c.attrs, Inputs: c.in, Tolerance: 2e-6,
			Outputs: []*ops.Tensor{inDoubles(t, c.name, c.opset, c.attrs, c.in...)},
		}})
	}
}

func TestTranspose_OfManyShapes(t *testing.T) {
	for _, c := range []struct {
		shape []int
		perm  []int64
	}{
		{[]int{70, 130}, []int64{1, 0}}, {[]int{3, 20, 5}, []int64{0, 2, 1}}, {[]int{6, 7, 8}, []int64{2, 1, 0}}, {[]int{2, 9, 5, 6}, []int64{0, 2, 3, 1}},
		{[]int{2, 5, 6, 9}, []int64{0, 3, 1, 2}}, {[]int{4, 5, 6, 7}, []int64{3, 0, 2, 1}}, {[]int{5, 4, 3}, []int64{1, 0, 2}}, {[]int{200, 2}, []int64{1, 0}},
	} {
		x := opstest.Random(8, c.shape...)
		attributes := ops.Attributes{"perm": c.perm}
		opstest.Run(t, find(t, "Transpose"), []opstest.Case{{
			Name: fmt.Sprint(c), Attributes: attributes, Inputs: []*ops.Tensor{x}, Outputs: []*ops.Tensor{inDoubles(t, "Transpose", 17, attributes, x)},
		}})
	}
}

// TestConversions_EqualLoadAndStore compares the loops for common conversions with those for all types.
// Lists without large numbers take other ways than those with some.
func TestConversions_EqualLoadAndStore(t *testing.T) {
	numbers := []float64{0, 1, -1, 0.5, -0.5, 1.5, 127, 128, 255, 255.5, 256, -128.5, -129, -0.75, 2147483520, -2147483648, 9.223371e18, 65504, 65520, 1e-7, 6e-8, 2e-8, 1e9, 2147483648, -2147483904, 1e19, -1e19, 3e38, 1e-40,
		math.Inf(1), math.Inf(-1), math.NaN(), math.Copysign(0, -1), 2049, 2051, 1.00390625, 1.01171875}
	for c, convert := range conversions {
		for seed, n := range []int{70, 70, 1024, 1500, 3000, 5000} {
			r := rand.New(rand.NewPCG(uint64(seed), 77))
			v := make([]float64, n)
			for i := range v {
				switch {
				case seed == 0:
					v[i] = numbers[i%len(numbers)]
				case seed > 2 && r.IntN(1500) == 0:
					v[i] = numbers[r.IntN(len(numbers))]
				default:
					v[i] = math.Ldexp(r.Float64()-0.5, r.IntN(32))
				}
			}
			x, _ := ops.Zeros(c.from, []int{n})
			store(x, 0, 1, v)
			lo := 1 + r.IntN(20)
			hi := n - r.IntN(20)
			if seed == 0 {
				hi = n
			}
			requireSameConversion(t, c, convert, lo, hi, x)
		}
	}
}

func requireSameConversion(t *testing.T, c conversion, convert func(lo, hi int, out, x *ops.Tensor), lo, hi int, x *ops.Tensor) {
	t.Helper()
	n := x.Len()
	want, _ := ops.Zeros(c.to, []int{n})
	if isFloat(c.from) {
		castElements[float64](lo, hi, want, x)
	} else {
		castElements[int64](lo, hi, want, x)
	}
	a, b := make([]float64, n), make([]float64, n)
	load(a, want, 0, 1)
	for _, tier := range kernel.Tiers() {
		undo := kernel.Use(tier)
		got, _ := ops.Zeros(c.to, []int{n})
		convert(lo, hi, got, x)
		undo()
		load(b, got, 0, 1)
		for i := range n {
			require.True(t, math.Float64bits(a[i]) == math.Float64bits(b[i]) || a[i] != a[i] && b[i] != b[i], "%v, %v to %v: number %d of %d is %v, want %v",
				tier, c.from, c.to, i, n, b[i], a[i])
		}
	}
}
