package std

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

// TestEinsum_OfMatricesInFloat32IsThatInFloat64 compares random products of two inputs in both types.
// float32 computes most of them as products of matrices. Constants and the number of workers change
// no bit.
func TestEinsum_OfMatricesInFloat32IsThatInFloat64(t *testing.T) {
	matrices := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 91))
		labels := []string{"a", "b", "c", "d", "e"}
		sizes := map[string]int{}
		for _, l := range labels {
			sizes[l] = 1 + r.IntN([]int{1, 4, 12}[r.IntN(3)])
		}
		some := func(from []string) []string {
			from = slices.Clone(from)
			r.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
			return from[:r.IntN(len(from)+1)]
		}
		terms := [][]string{some(labels), some(labels)}
		both := slices.Concat(terms...)
		slices.Sort(both)
		output := some(slices.Compact(both))
		if r.IntN(3) > 0 { // without sums over labels of one input, which are no products of matrices
			for _, l := range slices.Compact(both) {
				if slices.Contains(terms[0], l) != slices.Contains(terms[1], l) && !slices.Contains(output, l) {
					output = append(output, l)
				}
			}
		}
		var in []*ops.Tensor
		for _, term := range terms {
			shape := []int{}
			for _, l := range term {
				n := sizes[l]
				if r.IntN(20) == 0 {
					n = 1 // broadcasts
				}
				shape = append(shape, n)
			}
			v := make([]float64, numElements(shape))
			for i := range v {
				v[i] = float64(float32(r.Float64() - 0.5))
			}
			in = append(in, tensor(shape, v))
		}
		equation := strings.Join(terms[0], "") + "," + strings.Join(terms[1], "") + "->" + strings.Join(output, "")
		text := fmt.Sprintf("seed %d: %s of %v and %v", seed, equation, in[0].Shape(), in[1].Shape())
		op, err := find(t, "Einsum").New(ops.Node{Opset: 13, Attributes: ops.Attributes{"equation": equation}, NumInputs: 2, NumOutputs: 1})
		require.NoError(t, err, text)
		want, err := ops.Run(op, ops.NewContext(t.Context(), 1), in)
		require.NoError(t, err, text)
		single := toFloat32(in)
		alone := ops.NewContext(t.Context(), 1)
		got, err := ops.Run(op, alone, single)
		require.NoError(t, err, text)
		if ops.Scratch[einsumProduct](alone).fits {
			matrices++
		}
		require.Equal(t, want[0].Shape(), got[0].Shape(), text)
		expected, _ := ops.Data[float64](want[0])
		for i, v := range got[0].Float32s() {
			require.InDelta(t, expected[i], v, 1e-5*math.Sqrt(float64(numElements(slices.Collect(maps.Values(sizes))))), "%s: element %d", text, i)
		}
		for _, constant := range [][]bool{{false, false}, {true, false}, {false, true}} {
			ctx := ops.NewContext(t.Context(), 2)
			ctx.Constants = constant
			for range 2 {
				again, err := ops.Run(op, ctx, single)
				require.NoError(t, err, text)
				require.Equal(t, got[0].Float32s(), again[0].Float32s(), text)
			}
			ctx.Close()
		}
	}
	require.Greater(t, matrices, 200)
}
