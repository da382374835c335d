package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/ops"
)

func TestTypesOf_FindsWhatOperatorsAccept(t *testing.T) {
	want := map[string]string{
		"Abs": "*float*, *int*, *uint*", "Not": "bool", "Cast": "all", "QLinearMatMul": "int8, uint8", "Constant": "–", "If": "bool", "SbS": "float32", "Slice": "all",
	}
	for _, o := range graph.Operators() {
		if w, ok := want[o.Name]; ok {
			require.True(t, strings.HasPrefix(typesOf(o), w), "%s: %s", o.Name, typesOf(o))
			delete(want, o.Name)
		}
	}
	require.Empty(t, want, "these operators do not exist")
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
