package portmath_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

func TestSingle_IsTheNearestNumber(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 5))
	check := func(v uint64) {
		want, _ := new(big.Float).SetUint64(v).Float32()
		require.Equal(t, want, portmath.Single(v), "%d", v)
		if v <= math.MaxInt64 {
			require.Equal(t, want, portmath.Single(int64(v)), "%d", v)
			require.Equal(t, -want, portmath.Single(-int64(v)), "-%d", v)
			require.Equal(t, float32(float64(v)), portmath.Single(float64(v)))
		}
	}
	for length := range 65 {
		for range 200 {
			v := r.Uint64() >> (64 - length)
			check(v)
			check(v &^ 1)
		}
		for _, d := range []uint64{0, 1, 2, 3, 1 << 20, 1<<22 - 1, 1 << 22, 1<<22 + 1, 1 << 39} { // halfway between neighbors, and beside it
			check(uint64(1)<<min(length, 63) + d)
			check(uint64(1)<<min(length, 63) - d)
		}
	}
	check(uint64(12864518) * 8856928)
}
