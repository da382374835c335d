package kernel

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLookup_DrawsTheSpikesOfSample draws in parts, from distributions with entries of 0 and with
// very different entries.
func TestLookup_DrawsTheSpikesOfSample(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 25, 784, 1 << 17} {
		for range 5 {
			x := uniform(r, n)
			for i := range x {
				switch r.IntN(4) {
				case 0:
					x[i] = 0
				case 1:
					x[i] *= 1e-20
				}
			}
			x[r.IntN(n)] = 1
			sums := make([]float32, n)
			cumulate(sums, x)
			thresholds := make([]uint32, n)
			Thresholds(thresholds, sums)
			want := make([]int32, 5001)
			Sample(want, thresholds, 9)

			l := NewLookup(n)
			l.Prepare(sums)
			got := make([]uint32, len(want))
			for first := 0; first < len(got); first += 1000 {
				l.Sample(got[first:min(first+1000, len(got))], 9, first)
			}
			for i, k := range want {
				require.Equal(t, uint32(k), got[i], "%d entries, spike %d", n, i)
			}
		}
	}
}
