package portmath

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExpSingle_IsAccurate(t *testing.T) {
	worst := 0.0
	for bits := uint32(0); bits < 0x7f80_0000; bits += 9973 {
		for _, x := range []float32{math.Float32frombits(bits), -math.Float32frombits(bits)} {
			got, want := ExpSingle(x), math.Exp(float64(x))
			switch {
			case want < 0x1p-126:
				require.LessOrEqual(t, got, float32(0x1.00001p-126), "e**%v", x)
			case want > math.MaxFloat32:
				require.True(t, math.IsInf(float64(got), 1), "e**%v = %v", x, got)
			default:
				unit := float64(math.Nextafter32(float32(want), float32(math.Inf(1)))) - float64(float32(want))
				worst = max(worst, math.Abs(float64(got)-want)/unit)
			}
		}
	}
	require.Less(t, worst, 2.0)
	for _, c := range [][2]float64{{math.Inf(1), math.Inf(1)}, {math.Inf(-1), 0}, {0, 1}, {math.Copysign(0, -1), 1}} {
		require.Equal(t, float32(c[1]), ExpSingle(float32(c[0])))
	}
	require.True(t, math.IsNaN(float64(ExpSingle(float32(math.NaN())))))
}

func BenchmarkExpSingle(b *testing.B) {
	x := make([]float32, 1024)
	for i := range x {
		x[i] = -float32(i) / 50
	}
	for b.Loop() {
		for _, v := range x {
			x[0] += ExpSingle(v)
		}
		for _, v := range x {
			x[0] += ExpSingle(v)
		}
	}
}
