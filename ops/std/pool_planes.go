package std

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// planeLoop is a parallel.Loop over the bands of all channels of a pool of float32 images.
type planeLoop struct {
	*planeWindows
	ctx    *ops.Context
	x, out []float32
	counts []float64 // for means: what the sum of each position is divided by
}

// newPlaneLoop returns the loop of a pool, or nil if another way is better: windows of very many
// pixels, or few positions next to each other.
func (p *pool) newPlaneLoop(rows, cols spatialAxis) *planeLoop {
	const least = 4
	w := newPlaneWindows(rows, cols)
	if w == nil || cols.out < least || rows.out > maxPlane/w.width {
		return nil
	}
	return &planeLoop{planeWindows: w}
}

// count sets the counts of a mean.
func (l *planeLoop) count(includePads bool) {
	for i := range l.counts {
		l.counts[i] = 1 // of positions that are dropped
	}
	for i := range l.rows.out {
		r := l.rows.span(i)
		for j := range l.cols.out {
			l.counts[i*l.width+j] = float64(max(1, divisor(r, l.cols.span(j), includePads)))
		}
	}
}

func (l *planeLoop) run(ctx *ops.Context, p *pool, x, out *ops.Tensor) error {
	if p.average {
		n := l.rows.out*l.width + planeRoom
		if err := ctx.Reserve(8 * int64(n)); err != nil {
			return err
		}
		if l.counts == nil {
			l.counts = make([]float64, n)
			l.count(p.includePads)
		}
	}
	l.ctx, l.x, l.out = ctx, x.Float32s(), out.Float32s()
	defer func() { l.ctx, l.x, l.out = nil, nil, nil }()
	work := l.band * l.width * len(l.taps) / 8
	return ctx.Do(x.Shape()[0]*x.Shape()[1]*l.bands, max(1, grain/max(1, work)), l)
}

func (l *planeLoop) Part(lo, hi int) error {
	if err := l.ctx.Reserve(l.bytes()); err != nil {
		return err
	}
	defer l.ctx.Release(l.bytes())
	b := l.buffers()
	defer planePool.Put(b)
	size, positions := l.rows.in*l.cols.in, l.rows.out*l.cols.out
	watching := cancelCheck{ctx: l.ctx}
	lowest := float32(math.Inf(-1))
	for i := lo; i < hi; i++ {
		band, plane := i%l.bands, i/l.bands
		n := l.positions(band)
		if l.counts == nil {
			l.fill(b, l.x[plane*size:][:size], band, lowest, i > lo)
		} else {
			l.fill(b, l.x[plane*size:][:size], band, 0, i > lo)
		}
		first, _ := l.rowsOf(band)
		err := l.inPieces(&watching, n, func(from, to int) {
			if l.counts == nil {
				kernel.MaxTaps(b.results[from:to], b.phases[from:], l.taps, lowest)
			} else {
				kernel.MeanTaps(b.results[from:to], b.phases[from:], l.taps, l.counts[first*l.width+from:])
			}
		})
		if err != nil {
			return err
		}
		l.store(l.out[plane*positions:][:positions], b, band)
	}
	return nil
}
