package ml

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

type (
	attrs   = ops.Attributes
	tensors = []*ops.Tensor
)

func find(t testing.TB, name string) ops.Operator {
	t.Helper()
	i := slices.IndexFunc(Operators(), func(o ops.Operator) bool { return o.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return Operators()[i]
}

func words(shape []int, values ...string) *ops.Tensor { return opstest.Tensor(shape, values...) }

var nan = float32(math.NaN())

// run checks cases of several operators.
func run(t *testing.T, cases map[string][]opstest.Case) {
	t.Helper()
	for name, list := range cases {
		t.Run(name, func(t *testing.T) { opstest.Run(t, find(t, name), list) })
	}
}

func TestOperators_RejectUnknownAttributes(t *testing.T) {
	for _, o := range Operators() {
		version := 4
		if o.Name == "TreeEnsemble" {
			version = 5
		}
		_, err := o.New(ops.Node{Opset: version, NumInputs: 1, Attributes: attrs{"color": int64(1)}})
		require.ErrorIs(t, err, ops.ErrAttribute, o.Name)
		require.ErrorContains(t, err, "color", o.Name)
		require.Equal(t, Domain, o.Domain)
	}
	_, err := find(t, "TreeEnsemble").New(ops.Node{Opset: 4, NumInputs: 1})
	require.ErrorContains(t, err, "it exists since version 5")
	_, err = find(t, "TreeEnsembleRegressor").New(ops.Node{Opset: 5, NumInputs: 1})
	require.ErrorContains(t, err, "TreeEnsemble replaces it")
}

func TestScaling(t *testing.T) {
	x := opstest.F32([]int{2, 2}, 1, -2, 3, 4)
	run(t, map[string][]opstest.Case{
		"Scaler": {
			{Name: "per feature", Attributes: attrs{"offset": []float32{1, 2}, "scale": []float32{2, 0.5}}, Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2}, 0, -2, 4, 1)}},
			{Name: "one for all, integers", Attributes: attrs{"offset": []float32{1}}, Inputs: tensors{opstest.I64([]int{3, 1, 2}, 1, 2, 3, 4, 5, 6)}, Outputs: tensors{opstest.F32([]int{3, 1, 2}, 0, 1, 2, 3, 4, 5)}},
			{Name: "float64", Attributes: attrs{"offset": []float32{1}, "scale": []float32{1 << 24}}, Inputs: tensors{opstest.F64([]int{1}, 1+1.0/(1<<30))}, Outputs: tensors{opstest.F32([]int{1}, 1.0/(1<<6))}},
			{Name: "wrong number", Attributes: attrs{"scale": []float32{1, 2, 3}}, Inputs: tensors{x}, WantErr: "X is float32(2, 2), but scale has 3 entries"},
			{Name: "strings", Inputs: tensors{words(nil, "a")}, WantErr: "X is string(), want float32"},
		},
		"Normalizer": {
			{Name: "largest", Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2}, 1, -2, 0.75, 1)}},
			{Name: "sum", Attributes: attrs{"norm": "L1"}, Inputs: tensors{x}, Tolerance: 1e-6, Outputs: tensors{opstest.F32([]int{2, 2}, 1./3, -2./3, 3./7, 4./7)}},
			{Name: "root of squares", Attributes: attrs{"norm": "L2"}, Inputs: tensors{opstest.I32([]int{3, 2}, 3, 4, 0, 0, -6, 8)}, Outputs: tensors{opstest.F32([]int{3, 2}, 0.6, 0.8, 0, 0, -0.6, 0.8)}},
			{Name: "unknown norm", Attributes: attrs{"norm": "L3"}, Inputs: tensors{x}, WantErr: `norm is "L3", want MAX or L1 or L2`},
		},
		"Binarizer": {
			{Name: "threshold", Attributes: attrs{"threshold": float32(1)}, Inputs: tensors{x}, Outputs: tensors{opstest.F32([]int{2, 2}, 0, 0, 1, 1)}},
			{Name: "int64", Inputs: tensors{opstest.Ints(-1, 0, 5)}, Outputs: tensors{opstest.Ints(0, 0, 1)}},
		},
		"Imputer": {
			{Name: "NaN", Attributes: attrs{"imputed_value_floats": []float32{7, 8}, "replaced_value_float": nan}, Inputs: tensors{opstest.F32([]int{2, 2}, nan, 1, 2, nan)}, Outputs: tensors{opstest.F32([]int{2, 2}, 7, 1, 2, 8)}},
			{Name: "integers", Attributes: attrs{"imputed_value_int64s": []int64{7}, "replaced_value_int64": int64(-1)}, Inputs: tensors{opstest.I32([]int{3}, -1, 0, 1)}, Outputs: tensors{opstest.I32([]int{3}, 7, 0, 1)}},
			{Name: "both", Attributes: attrs{"imputed_value_int64s": []int64{7}, "imputed_value_floats": []float32{7}}, Inputs: tensors{x}, WantErr: "either"},
			{Name: "wrong type", Attributes: attrs{"imputed_value_int64s": []int64{7}}, Inputs: tensors{x}, WantErr: "X is float32(2, 2), want int32 or int64"},
		},
		"FeatureVectorizer": {
			{
				Name: "cut and filled", Attributes: attrs{"inputdimensions": []int64{1, 3}}, Inputs: tensors{x, opstest.I64([]int{2, 2}, 5, 6, 7, 8)}, Batch: []int{0, 1},
				Outputs: tensors{opstest.F32([]int{2, 4}, 1, 5, 6, 0, 3, 7, 8, 0)},
			},
			{Name: "vector", Inputs: tensors{opstest.F32([]int{2}, 1, 2)}, Outputs: tensors{opstest.F32([]int{1, 2}, 1, 2)}},
			{Name: "rows differ", Inputs: tensors{x, opstest.F32([]int{1, 1}, 1)}, WantErr: "input 1 is float32(1, 1), but the inputs before it have 2 rows"},
		},
		"ArrayFeatureExtractor": {
			{Name: "columns", Inputs: tensors{x, opstest.I64([]int{1, 3}, 1, 0, 1)}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 3}, -2, 1, -2, 4, 3, 4)}},
			{Name: "vector of strings", Inputs: tensors{words([]int{2}, "a", "b"), opstest.Ints(1)}, Outputs: tensors{words([]int{1, 1}, "b")}},
			{Name: "out of range", Inputs: tensors{x, opstest.Ints(2)}, WantRunErr: "index 2, element 0 of Y, is out of range"},
		},
	})
}

func TestEncoding(t *testing.T) {
	x := words([]int{2, 2}, "a", "b", "c", "a")
	mapping := attrs{"keys_strings": []string{"a", "b", "a"}, "values_int64s": []int64{5, 6, 7}}
	run(t, map[string][]opstest.Case{
		"LabelEncoder": {
			{Name: "version 1, strings", Attributes: attrs{"classes_strings": []string{"b", "a"}}, Inputs: tensors{x}, Outputs: tensors{opstest.I64([]int{2, 2}, 1, 0, -1, 1)}},
			{Name: "version 1, integers", Attributes: attrs{"classes_strings": []string{"b", "a"}, "default_string": "?"}, Inputs: tensors{opstest.Ints(1, 2)}, Outputs: tensors{words([]int{2}, "a", "?")}},
			{Name: "version 2", Opset: 2, Attributes: mapping, Inputs: tensors{x}, Outputs: tensors{opstest.I64([]int{2, 2}, 5, 6, -1, 5)}},
			{Name: "version 4", Opset: 4, Attributes: mapping, Inputs: tensors{x}, Outputs: tensors{opstest.I64([]int{2, 2}, 7, 6, -1, 7)}},
			{
				Name: "tensors", Opset: 4, Attributes: attrs{"keys_tensor": opstest.F64([]int{2}, math.NaN(), 1), "values_tensor": opstest.Tensor([]int{2}, int16(3), int16(4)), "default_tensor": opstest.Tensor([]int{1}, int16(9))},
				Inputs: tensors{opstest.F64([]int{3}, 1, math.NaN(), 2)}, Outputs: tensors{opstest.Tensor([]int{3}, int16(4), int16(3), int16(9))},
			},
			{Name: "lengths differ", Opset: 2, Attributes: attrs{"keys_int64s": []int64{1}, "values_floats": []float32{1, 2}}, Inputs: tensors{opstest.Ints(1)}, WantErr: "there are 1 keys, but 2 values"},
			{Name: "two lists", Opset: 2, Attributes: attrs{"keys_int64s": []int64{1}, "keys_floats": []float32{1}, "values_floats": []float32{1}}, Inputs: tensors{opstest.Ints(1)}, WantErr: "want one of the lists of keys"},
			{Name: "type of X", Opset: 2, Attributes: mapping, Inputs: tensors{opstest.Ints(1)}, WantErr: "X is int64(1), want string"},
		},
		"CategoryMapper": {
			{Name: "strings", Attributes: attrs{"cats_int64s": []int64{4, 5}, "cats_strings": []string{"a", "b"}}, Inputs: tensors{x}, Outputs: tensors{opstest.I64([]int{2, 2}, 4, 5, -1, 4)}},
			{Name: "integers", Attributes: attrs{"cats_int64s": []int64{4, 5}, "cats_strings": []string{"a", "b"}}, Inputs: tensors{opstest.Ints(5, 6)}, Outputs: tensors{words([]int{2}, "b", "_Unused")}},
		},
		"OneHotEncoder": {
			{Name: "strings", Attributes: attrs{"cats_strings": []string{"a", "b"}}, Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2, 2}, 1, 0, 0, 1, 0, 0, 1, 0)}},
			{Name: "truncated", Attributes: attrs{"cats_int64s": []int64{1, 2}}, Inputs: tensors{opstest.F32([]int{3}, 1.9, nan, 2)}, Outputs: tensors{opstest.F32([]int{3, 2}, 1, 0, 0, 0, 0, 1)}},
			{Name: "not listed", Attributes: attrs{"cats_strings": []string{"a", "b"}, "zeros": int64(0)}, Inputs: tensors{x}, WantRunErr: "element 2 of X is c"},
		},
	})
}

func mapOf(t *testing.T, keys, values *ops.Tensor) *ops.Tensor {
	t.Helper()
	m, err := ops.NewMap(keys, values)
	require.NoError(t, err)
	return m
}

func TestMaps(t *testing.T) {
	abc := words([]int{2}, "b", "a")
	x := mapOf(t, abc, opstest.F32([]int{2}, 1, 2))
	rows, err := ops.NewSequence(ops.TypeOf(x), tensors{x, mapOf(t, abc, opstest.F32([]int{2}, 3, 4))})
	require.NoError(t, err)
	numbered := mapOf(t, opstest.Ints(3, 1), opstest.F32([]int{2}, 1.5, 2.5))
	run(t, map[string][]opstest.Case{
		"ZipMap": {
			{Name: "strings", Attributes: attrs{"classlabels_strings": []string{"b", "a"}}, Inputs: tensors{opstest.F32([]int{2, 2}, 1, 2, 3, 4)}, Outputs: tensors{rows}},
			{Name: "wrong number", Attributes: attrs{"classlabels_int64s": []int64{1}}, Inputs: tensors{opstest.F32([]int{1, 2}, 1, 2)}, WantErr: "but the model has 1 features"},
		},
		"DictVectorizer": {
			{Name: "strings", Attributes: attrs{"string_vocabulary": []string{"a", "z", "b"}}, Inputs: tensors{x}, Outputs: tensors{opstest.F32([]int{1, 3}, 2, 0, 1)}},
			{Name: "integers", Attributes: attrs{"int64_vocabulary": []int64{3}}, Inputs: tensors{mapOf(t, opstest.Ints(1, 3), abc)}, Outputs: tensors{words([]int{1, 1}, "a")}},
			{Name: "type of the keys", Attributes: attrs{"int64_vocabulary": []int64{3}}, Inputs: tensors{x}, WantErr: "X is map(string, float32), want a map with keys of type int64"},
			{Name: "tensor", Attributes: attrs{"int64_vocabulary": []int64{3}}, Inputs: tensors{abc}, WantErr: "want a map"},
		},
		"CastMap": {
			{Name: "dense", Inputs: tensors{numbered}, OpenSizes: true, Outputs: tensors{opstest.F32([]int{1, 2}, 2.5, 1.5)}},
			{Name: "sparse", Attributes: attrs{"map_form": "SPARSE", "max_map": int64(5), "cast_to": "TO_INT64"}, Inputs: tensors{numbered}, Outputs: tensors{opstest.I64([]int{1, 5}, 0, 2, 0, 1, 0)}},
			{Name: "key too large", Attributes: attrs{"map_form": "SPARSE", "max_map": int64(3)}, Inputs: tensors{numbered}, WantRunErr: "the map has the key 3, want 0 to 2"},
			{Name: "from text", Inputs: tensors{mapOf(t, opstest.Ints(1, 2), words([]int{2}, "1.5", "-2"))}, OpenSizes: true, Outputs: tensors{opstest.F32([]int{1, 2}, 1.5, -2)}},
			{Name: "no number", Inputs: tensors{mapOf(t, opstest.Ints(1, 2), abc)}, WantRunErr: `the value "b" of the map is not a number`},
		},
	})
}

func TestLinear(t *testing.T) {
	x := opstest.F32([]int{2, 2}, 1, 2, -3, 4)
	three := attrs{"coefficients": []float32{1, 0, 0, 1, 1, 1}, "intercepts": []float32{0, 1, 0}, "classlabels_strings": []string{"a", "b", "c"}}
	one := func(post string) ops.Attributes {
		return attrs{"coefficients": []float32{1, 1}, "intercepts": []float32{-2}, "classlabels_ints": []int64{10, 11}, "post_transform": post}
	}
	s := func(x float64) float32 { return float32(1 / (1 + math.Exp(-x))) }
	run(t, map[string][]opstest.Case{
		"LinearRegressor": {
			{Name: "two targets", Attributes: attrs{"coefficients": []float32{1, 0, 1, 1}, "targets": int64(2), "intercepts": []float32{0, 10}}, Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 2}, 1, 13, -3, 11)}},
			{Name: "float64 vector", Attributes: attrs{"coefficients": []float32{1, 2}}, Inputs: tensors{opstest.F64([]int{2}, 3, 4)}, Outputs: tensors{opstest.F32([]int{1, 1}, 11)}},
			{Name: "features", Attributes: attrs{"coefficients": []float32{1, 2, 3}}, Inputs: tensors{x}, WantErr: "X is float32(2, 2), but the model has 3 features"},
			{Name: "targets", Attributes: attrs{"coefficients": []float32{1, 2, 3}, "targets": int64(2)}, Inputs: tensors{x}, WantErr: "3 coefficients cannot be divided among 2 targets"},
		},
		"LinearClassifier": {
			{Name: "three classes", Attributes: three, Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{words([]int{2}, "b", "b"), opstest.F32([]int{2, 3}, 1, 3, 3, -3, 5, 1)}},
			{Name: "one of two classes", Attributes: one("NONE"), Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{opstest.Ints(11, 10), opstest.F32([]int{2, 2}, 0, 1, 2, -1)}},
			{Name: "logistic", Attributes: one("LOGISTIC"), Inputs: tensors{x}, Tolerance: 1e-6, Outputs: tensors{opstest.Ints(11, 10), opstest.F32([]int{2, 2}, s(-1), s(1), s(1), s(-1))}},
			{Name: "without labels", Attributes: attrs{"coefficients": []float32{1}}, Inputs: tensors{x}, WantErr: "want either classlabels_ints or classlabels_strings"},
		},
	})
}

func TestSVM(t *testing.T) {
	x := opstest.F32([]int{2, 2}, 1, 2, -3, 4)
	run(t, map[string][]opstest.Case{
		"SVMRegressor": {
			{Name: "linear", Attributes: attrs{"coefficients": []float32{1, 2}, "rho": []float32{0.5}}, Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{opstest.F32([]int{2, 1}, 5.5, 5.5)}},
			{
				Name: "polynomial", Attributes: attrs{"kernel_type": "POLY", "kernel_params": []float32{0.5, 1, 2}, "coefficients": []float32{1, -1}, "support_vectors": []float32{2, 0, 0, 2}, "n_supports": int64(2), "rho": []float32{1}},
				Inputs: tensors{x}, Tolerance: 1e-6, Outputs: tensors{opstest.F32([]int{2, 1}, 4-9+1, 4-25+1)},
			},
			{
				Name: "one class, RBF", Attributes: attrs{"kernel_type": "RBF", "kernel_params": []float32{0.5, 0, 0}, "coefficients": []float32{1}, "support_vectors": []float32{1, 1}, "n_supports": int64(1), "rho": []float32{-0.5}, "one_class": int64(1)},
				Inputs: tensors{x}, Outputs: tensors{opstest.F32([]int{2, 1}, 1, -1)},
			},
			{Name: "vectors", Attributes: attrs{"coefficients": []float32{1}, "support_vectors": []float32{1, 1, 1}, "n_supports": int64(2), "rho": []float32{1}}, Inputs: tensors{x}, WantErr: "support_vectors has 3 entries for 2 vectors"},
		},
		"SVMClassifier": {
			{
				Name: "pairs of three classes", Attributes: attrs{
					"classlabels_strings": []string{"a", "b", "c"}, "vectors_per_class": []int64{1, 1, 1}, "support_vectors": []float32{1, 0, 0, 1, 1, 1},
					"coefficients": []float32{1, -1, -1, 1, 1, -1}, "rho": []float32{0, 0.5, 0},
				},
				Inputs: tensors{x}, Batch: []int{0}, Outputs: tensors{words([]int{2}, "c", "b"), opstest.F32([]int{2, 3}, 1-2, 1-3+0.5, 2-3, -3-4, -3-1+0.5, 4-1)},
			},
			{
				Name: "probabilities", Attributes: attrs{
					"classlabels_ints": []int64{0, 1}, "vectors_per_class": []int64{1, 1}, "support_vectors": []float32{1, 0, 0, 1},
					"coefficients": []float32{1, -1}, "rho": []float32{0}, "prob_a": []float32{-1}, "prob_b": []float32{0},
				},
				Inputs: tensors{x}, Tolerance: 1e-3, Outputs: tensors{opstest.Ints(1, 1), opstest.F32([]int{2, 2}, 0.268941, 0.731059, 0.00091105, 0.99908895)},
			},
			{Name: "rho", Attributes: attrs{"classlabels_ints": []int64{0, 1}, "coefficients": []float32{1, 1}}, Inputs: tensors{x}, WantErr: "coefficients or rho is missing"},
		},
	})
}

// TestRun_CanBeCanceled cancels a long node of each expensive operator.
func TestRun_CanBeCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	op, err := find(t, "Scaler").New(ops.Node{Opset: 1, NumInputs: 1})
	require.NoError(t, err)
	require.ErrorIs(t, op.Run(&ops.Context{Context: ctx}, tensors{opstest.Random(1, 10)}, tensors{opstest.Random(1, 10)}), context.Canceled)
}

// TestRandomNodes_NeverPanic runs nodes with random attributes and inputs. Most are invalid.
func TestRandomNodes_NeverPanic(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, o := range Operators() {
		known := knownAttributes(o)
		for range 400 {
			a := attrs{}
			for _, name := range known {
				if r.IntN(3) > 0 {
					a[name] = randomAttribute(r, name)
				}
			}
			n := ops.Node{Opset: 1 + r.IntN(5), NumInputs: max(1, o.MinInputs), NumOutputs: 1 + r.IntN(2), Attributes: a}
			op, err := o.New(n)
			if err != nil {
				continue
			}
			in := make(tensors, n.NumInputs)
			for i := range in {
				shape := make([]int, r.IntN(4))
				for d := range shape {
					shape[d] = r.IntN(4)
				}
				in[i], err = ops.Zeros([]ops.DType{ops.Float32, ops.Float64, ops.Int32, ops.Int64, ops.String}[r.IntN(5)], shape)
				require.NoError(t, err)
			}
			_, _ = ops.Run(op, &ops.Context{}, in)
		}
	}
}

// knownAttributes returns the names of the attributes of an operator, which an error lists.
func knownAttributes(o ops.Operator) []string {
	a := &attributes{}
	for version := 1; version <= Newest; version++ {
		for _, n := range names {
			_, err := o.New(ops.Node{Opset: version, NumInputs: 1, Attributes: attrs{n: "x"}})
			if err != nil && !slices.Contains(a.known, n) && !isUnknown(err, n) {
				a.known = append(a.known, n)
			}
		}
	}
	return a.known
}
