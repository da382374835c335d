package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/ops"
)

func TestTypesOf_FindsWhatOperatorsAccept(t *testing.T) {
	want := map[string]string{
		"Abs": "*float*, *int*, *uint*", "Not": "bool", "Cast": "all", "QLinearMatMul": "int8, uint8, *float8*", "Constant": "–", "If": "bool", "SbS": "float32", "Slice": "all",
		"AffineGrid": "*float*", "ConcatFromSequence": "sequence", "ScatterND": "all", "LabelEncoder": "float32, float64, int16, int32, int64, string", "Adam": "float32, float64",
		"DictVectorizer": "map", "ImageDecoder": "uint8", "OptionalGetElement": "all, sequence, optional", "TfIdfVectorizer": "int32, int64, string",
	}
	for _, o := range graph.Operators() {
		got, err := typesOf(o)
		require.NoError(t, err)
		require.NotEmpty(t, got, o.Name)
		if w, ok := want[o.Name]; ok {
			require.Equal(t, w, got, o.Name)
			delete(want, o.Name)
		}
	}
	require.Empty(t, want, "these operators do not exist")
}

// An operator whose types are not known must not get into the table.
func TestTypesOf_RefusesOperatorsThatDoNotRun(t *testing.T) {
	operators := graph.Operators()
	abs := operators[slices.IndexFunc(operators, func(o ops.Operator) bool { return o.Name == "Abs" })]
	for want, o := range map[string]ops.Operator{
		"New has no types: add them to controls": {Name: "New", MinInputs: 1, MaxInputs: 1},
		"New runs with no type: add a call":      {Name: "New", MinInputs: 2, MaxInputs: 2, New: abs.New},
		"Concat: bad attribute: unknown axis":    {Name: "Concat", MinInputs: 1, MaxInputs: 1, New: abs.New},
	} {
		_, err := typesOf(o)
		require.ErrorContains(t, err, want)
	}
}

func TestCalls_AreOfOperators(t *testing.T) {
	names := map[string]bool{}
	for _, o := range graph.Operators() {
		names[o.Name] = true
	}
	for name := range callsOf {
		require.True(t, names[name], name)
	}
	for name := range controls {
		require.True(t, names[name], name)
	}
}

func TestInput_RejectsWhatIsNoInput(t *testing.T) {
	for _, text := range []string{"number 2", "T x", "T 2 = x"} {
		_, err := input(text, ops.Float32)
		require.Error(t, err, text)
	}
}

func TestOperators_HaveVersions(t *testing.T) {
	for _, o := range graph.Operators() {
		require.NotEmpty(t, o.Versions, o.Name)
		require.IsIncreasing(t, append([]int{0}, o.Versions...), o.Name)
	}
	require.Equal(t, "1, 11", numbers([]int{1, 11}))
	require.Equal(t, "1–n", bounds(1, ops.Variadic))
	require.Equal(t, "2", bounds(2, 2))
}
