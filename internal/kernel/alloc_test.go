//go:build !race

package kernel

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGemm_DoesNotAllocate is not built with the race detector, under which a
// sync.Pool drops objects at random.
func TestGemm_DoesNotAllocate(t *testing.T) {
	v := make([]float32, 300*300)
	require.Zero(t, testing.AllocsPerRun(20, func() { _ = Gemm(context.Background(), false, true, 100, 100, 300, v, 300, v, 300, v, 300, true) }))
}

// TestDrawRow_DoesNotAllocate draws from patches that are all zero, and from others.
func TestDrawRow_DoesNotAllocate(t *testing.T) {
	for _, tier := range Tiers() {
		undo := Use(tier)
		l := newLayer(constants(25*8, 1), 8, Schedule{Eps: constants(10, 1)})
		if s := l.NewScratch(); l.RowPositions() > 0 {
			n := l.RowPositions() / 2
			offsets, spans, keys := make([]int32, 32), []Span{{Start: 3, N: n}}, make([]uint64, n)
			for i := range offsets[:25] {
				offsets[i] = int32(i)
			}
			for _, v := range []float32{0, 1} {
				x := constants(100, v)
				require.Zero(t, testing.AllocsPerRun(20, func() { s.DrawRow(0, x, spans, offsets, keys, nil) }), "%v, %v", tier, v)
			}
		}
		undo()
	}
}
