//go:build (amd64 || arm64) && !purego

package kernel

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDrawRow_EqualsDraw compares the tables that DrawRow computes for adjacent
// positions with those that Draw computes for each position. The patches are between
// inaccessible pages, and so are the tables.
func TestDrawRow_EqualsDraw(t *testing.T) {
	rows := map[Tier]int{}
	for _, tier := range Tiers() {
		defer Use(tier)()
		for seed := range uint64(600) {
			r := rand.New(rand.NewPCG(seed, 3))
			k, n := 1+r.IntN([]int{150, 1500}[r.IntN(2)]), 1+r.IntN(40)
			weights := make([]float32, k*n)
			for i := range weights {
				weights[i] = r.Float32() + 0.1
			}
			l := newLayer(weights, n, Schedule{Eps: []float32{1, 0.5}})
			if l.RowPositions() == 0 {
				continue
			}
			rows[tier]++
			offsets := make([]int32, k, k+RowLen)
			for i := range offsets[1:] {
				offsets[i+1] = offsets[i] + int32(1+r.IntN(5))
			}
			group := l.Positions()
			g := r.IntN(group)
			count := 1 + r.IntN(min(l.RowPositions(), group-g))
			x := make([]float32, (1+2*r.IntN(2))*int(offsets[k-1])+count+r.IntN(40))
			size := []float32{1, 1, 1, 1e-25, 1e-44}[r.IntN(5)] // sums of tiny entries need a different scale
			for i := range x {
				x[i] = max(0, r.Float32()-0.3) * size
			}
			guarded(t, &x)
			together, alone := l.NewScratch(), l.NewScratch()
			sums := make([]float32, l.SumsLen())
			var spans []Span
			var starts []int // of each position
			for len(starts) < count {
				p := Span{N: 1 + r.IntN(count-len(starts))}
				if len(spans) == MaxSpans-1 {
					p.N = count - len(starts)
				}
				p.Start = r.IntN(len(x) - int(offsets[k-1]) - p.N + 1)
				for i := range p.N {
					starts = append(starts, p.Start+i)
				}
				spans = append(spans, p)
			}
			guarded(t, &together.thresholds)
			guarded(t, &together.coarse)
			together.row.lasts = make([]uint32, l.layout.coarse*l.layout.block)
			for i := range together.row.lasts {
				together.row.lasts[i] = fullShare
			}
			guarded(t, &together.row.lasts)
			before := append([]uint32{}, together.thresholds...)
			keys := make([]uint64, count)
			for i := range keys {
				keys[i] = r.Uint64()
			}
			totals := together.DrawRow(g, x, spans, offsets[:roundUp(k, RowLen)], keys, nil)
			room := l.layout.room
			require.Equal(t, before[:g*room], together.thresholds[:g*room], "the tables of the positions before do not change")
			require.Equal(t, before[(g+count)*room:], together.thresholds[(g+count)*room:], "the tables of the positions after do not change")
			for i, key := range keys {
				want := CumulateAt(sums, x[starts[i]:], offsets)
				require.Equal(t, want, totals[i])
				if want == 0 {
					continue
				}
				p, coarse := g+i, l.layout.coarse
				alone.Draw(p, sums, key, nil)
				require.Equal(t, alone.jobs[p], together.jobs[p])
				require.Equal(t, alone.keys[p], together.keys[p])
				require.Equal(t, alone.coarse[p*coarse:][:coarse], together.coarse[p*coarse:][:coarse])
				require.Equal(t, alone.thresholds[p*room:][:room], together.thresholds[p*room:][:room], "%v, seed %d: k %d, position %d of %d", tier, seed, k, i, count)
			}
		}
	}
	for _, tier := range Tiers()[1:] {
		require.NotZero(t, rows[tier], tier)
	}
}
