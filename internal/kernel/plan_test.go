package kernel

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLayer_DividesThePrefixOfAScheduleAlike checks that a layer of fewer spikes
// performs the same operations as one of more spikes: its runs are the first ones of
// the other layer, but the last one may be shorter.
func TestLayer_DividesThePrefixOfAScheduleAlike(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 22))
		eps := make([]float32, 700)
		size := 30 * r.Float32() // large values divide chunks into several runs
		for i := range eps {
			eps[i] = size * r.Float32()
		}
		schedule := Schedule{Forgetting: float32(r.IntN(2)) * r.Float32(), Places: r.IntN(2) * 4, MaxEpsXY: 2}
		layer := func(spikes int) *Layer {
			s := schedule
			s.Eps = eps[:spikes]
			return newLayer(constants(8*3, 1), 3, s)
		}
		whole := layer(len(eps)).runs
		for range 20 {
			n := 1 + r.IntN(len(eps))
			runs := layer(n).runs
			last := len(runs) - 1
			require.Equal(t, whole[:last], runs[:last], "seed %d, %d spikes", seed, n)
			require.Equal(t, whole[last].first, runs[last].first, "seed %d, %d spikes", seed, n)
			require.Equal(t, n, runs[last].first+runs[last].n)
			if whole[last].num != nil {
				require.Equal(t, whole[last].num[:runs[last].n], runs[last].num)
			}
		}
	}
}
