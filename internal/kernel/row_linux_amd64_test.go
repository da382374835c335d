//go:build !purego

package kernel

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDrawRow_EqualsDraw compares the tables that DrawRow computes for adjacent
// positions with those that Draw computes for each position.
func TestDrawRow_EqualsDraw(t *testing.T) {
	rows := 0
	for _, tier := range Tiers() {
		defer Use(tier)()
		for seed := range uint64(300) {
			r := rand.New(rand.NewPCG(seed, 3))
			k, n := 1+r.IntN(90), 1+r.IntN(40)
			weights := make([]float32, k*n)
			for i := range weights {
				weights[i] = r.Float32() + 0.1
			}
			l := NewLayer(weights, n, Schedule{Eps: []float32{1, 0.5}})
			if !l.DrawsRows() {
				continue
			}
			rows++
			offsets := make([]int32, k)
			for i := range offsets[1:] {
				offsets[i+1] = offsets[i] + int32(1+r.IntN(5))
			}
			group := l.Positions()
			g := r.IntN(group)
			count := 1 + r.IntN(min(RowLen, group-g))
			x := make([]float32, 3*int(offsets[k-1])+count)
			for i := range x {
				x[i] = max(0, r.Float32()-0.3)
			}
			guarded(t, &x)
			together, alone := l.NewScratch(), l.NewScratch()
			sums := make([]float32, l.SumsLen())
			var spans []Span
			var starts []int // of each position
			for len(starts) < count {
				p := Span{Start: r.IntN(len(x) - int(offsets[k-1]) - count + 1), N: 1 + r.IntN(count-len(starts))}
				if len(spans) == MaxSpans-1 {
					p.N = count - len(starts)
				}
				for i := range p.N {
					starts = append(starts, p.Start+i)
				}
				spans = append(spans, p)
			}
			totals := together.CumulateRow(x, spans, offsets)
			guarded(t, &together.thresholds)
			guarded(t, &together.row)
			keys := make([]uint64, count)
			for i := range keys {
				keys[i] = r.Uint64()
				want := CumulateAt(sums, x[starts[i]:], offsets)
				require.Equal(t, want, totals[i])
				if want > 0 {
					alone.Draw(g+i, sums, keys[i], nil)
				}
			}
			together.DrawRow(g, &totals, keys, new([RowLen][]float32))
			for i := range keys {
				if totals[i] == 0 {
					continue
				}
				p := g + i
				require.Equal(t, alone.jobs[p], together.jobs[p])
				require.Equal(t, alone.coarse[p*coarse:][:coarse], together.coarse[p*coarse:][:coarse])
				size := l.layout.room
				require.Equal(t, alone.thresholds[p*size:][:size], together.thresholds[p*size:][:size], "k %d, position %d of %d", k, i, count)
			}
		}
	}
	t.Log(rows, "rows")
}
