package portmath

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPowSingle_IsAccurate(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 14))
	worst := 0.0
	for range 200_000 {
		x := float32(math.Exp2(250*random.Float64() - 125))
		if random.IntN(2) == 0 {
			x = 0.5 + random.Float32()
		}
		y := float32((random.Float64()*252 - 126) / math.Log2(float64(x)))
		if x == 1 {
			continue
		}
		want := Pow(float64(x), float64(y))
		got := PowSingle(x, y)
		if want > math.MaxFloat32 || want < 0x1p-126 {
			require.Equal(t, float32(want), got)
			continue
		}
		_, e := math.Frexp(want)
		worst = max(worst, math.Abs(float64(got)-want)/math.Ldexp(1, e-24))
	}
	t.Logf("%.3f units in the last place", worst)
	require.Less(t, worst, 0.6)
}

func TestPowSingle_OfSpecialNumbers(t *testing.T) {
	inf := float32(math.Inf(1))
	list := []float32{0, float32(math.Copysign(0, -1)), 1, -1, 2, -2, 0.5, 3, -3, 0x1p-149, -0x1p-140, math.MaxFloat32, inf, -inf, float32(math.NaN()), 1e-20}
	for _, x := range list {
		for _, y := range list {
			got, want := PowSingle(x, y), float32(math.Pow(float64(x), float64(y)))
			require.True(t, sameBits(got, want), "%v to the power of %v is %v, want %v", x, y, got, want)
		}
	}
}
