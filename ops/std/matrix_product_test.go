package std

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

// TestProducts_InFloat32AreThoseInFloat64 compares random nodes Gemm and MatMul in both types. A constant
// second matrix, and another number of workers, change no bit.
func TestProducts_InFloat32AreThoseInFloat64(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 73))
		size := func() int { return 1 + r.IntN([]int{1, 4, 40, 150}[r.IntN(4)]) }
		random := func(shape ...int) *ops.Tensor {
			v := make([]float64, numElements(shape))
			for i := range v {
				v[i] = float64(float32(r.Float64() - 0.5))
			}
			return tensor(shape, v)
		}
		m, k, n := size(), size(), size()
		if seed == 0 {
			m, k, n = mostRows+3, 5, mostColumns+9
		}
		name, a := "Gemm", ops.Attributes{}
		var in []*ops.Tensor
		if seed%2 == 0 {
			x, y := []int{m, k}, []int{k, n}
			if r.IntN(2) == 0 {
				a["transA"], x = int64(1), []int{k, m}
			}
			if r.IntN(2) == 0 {
				a["transB"], y = int64(1), []int{n, k}
			}
			in = []*ops.Tensor{random(x...), random(y...)}
			if bias := [][]int{nil, {n}, {1, n}, {m, 1}, {1, 1}, {}, {m, n}}[r.IntN(7)]; bias != nil {
				in = append(in, random(bias...))
			}
			if r.IntN(3) == 0 {
				a["alpha"], a["beta"] = float32(0.5), float32(r.IntN(2))
			}
		} else {
			name = "MatMul"
			x := [][]int{{m, k}, {k}, {3, m, k}, {2, 1, m, k}}[r.IntN(4)]
			y := [][]int{{k, n}, {k}, {3, k, n}, {1, k, n}}[r.IntN(4)]
			in = []*ops.Tensor{random(x...), random(y...)}
		}
		text := fmt.Sprintf("seed %d: %s of %v and %v, %v", seed, name, in[0].Shape(), in[1].Shape(), a)
		op, err := find(t, name).New(ops.Node{Opset: 13, Attributes: a, NumInputs: len(in), NumOutputs: 1})
		require.NoError(t, err, text)
		want, err := ops.Run(op, ops.NewContext(t.Context(), 1), in)
		require.NoError(t, err, text)
		single := toFloat32(in)
		got, err := ops.Run(op, ops.NewContext(t.Context(), 1), single)
		require.NoError(t, err, text)
		expected, _ := ops.Data[float64](want[0])
		require.Equal(t, want[0].Shape(), got[0].Shape(), text)
		for i, v := range got[0].Float32s() {
			require.InDelta(t, expected[i], v, 1e-5*math.Sqrt(float64(k)), "%s: element %d", text, i)
		}
		constant := ops.NewContext(t.Context(), 2)
		constant.Constants = []bool{false, true}
		for range 2 {
			again, err := ops.Run(op, constant, single)
			require.NoError(t, err, text)
			require.Equal(t, got[0].Float32s(), again[0].Float32s(), text)
		}
		constant.Close()
	}
}
