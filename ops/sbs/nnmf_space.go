package sbs

import (
	"context"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
)

// nnmfSpace is the temporary memory of a worker for one chunk of (image, output position) pairs.
// Its matrices have a column per pair. The letters are those of NNMFParams.
type nnmfSpace struct {
	k, n  int
	first int // the first pair
	count int // number of pairs

	runs    []columnRun
	sources []columnSource

	p      []float32 // p~, (K, count)
	s      []float32 // R and then p~/(R+tiny), (K, count)
	h      []float32 // (N, count)
	v      []float32 // W'*s and then z, (N, count)
	total  []float32 // P
	sums   []float32 // of z, then their reciprocals
	hidden *kernel.Columns
	inputs *kernel.Columns
	taps   struct{ n, k, offsets []int }
}

// nnmfElements returns about the number of float32 elements that a column of a nnmfSpace takes.
func nnmfElements(g *geometry) int { return 2*g.k + 2*g.n + 2 + sourceElements*g.places/g.ow }

// sourceElements is the size of a columnSource in float32 elements.
const sourceElements = 8

func nnmfSpaceBytes(g *geometry, columns int) int64 {
	return 4*int64(columns)*int64(2*g.k+2*g.n+2) + 8*int64(g.k+g.n) + 4*sourceElements*int64(g.places)*int64(maxRuns(g, columns))
}

// maxRuns returns the largest number of runs of so many columns: they may begin and end within a
// row of the output.
func maxRuns(g *geometry, columns int) int { return min(columns, columns/g.ow+2) }

func newNNMFSpace(g *geometry, columns int) *nnmfSpace {
	runs := maxRuns(g, columns)
	s := &nnmfSpace{
		k: g.k, n: g.n,
		runs: make([]columnRun, 0, runs), sources: make([]columnSource, 0, runs*g.places),
		p: make([]float32, g.k*columns), s: make([]float32, g.k*columns),
		h: make([]float32, g.n*columns), v: make([]float32, g.n*columns),
		total: make([]float32, columns), sums: make([]float32, columns),
	}
	s.taps.n, s.taps.k, s.taps.offsets = make([]int, g.n), make([]int, g.k), make([]int, columns)
	for i := range s.taps.offsets {
		s.taps.offsets[i] = i
	}
	return s
}

// place sets the pairs of the chunk.
func (s *nnmfSpace) place(g *geometry, first, count int) {
	if s.count != count {
		if s.hidden != nil {
			s.hidden.Release()
			s.inputs.Release()
		}
		for i := range s.taps.n {
			s.taps.n[i] = i * count
		}
		for i := range s.taps.k {
			s.taps.k[i] = i * count
		}
		offsets := s.taps.offsets[:count]
		s.hidden, s.inputs = kernel.NewColumns(s.taps.n, offsets, offsets), kernel.NewColumns(s.taps.k, offsets, offsets)
	}
	s.first, s.count = first, count
	s.p, s.s = s.p[:s.k*count], s.s[:s.k*count]
	s.h, s.v = s.h[:s.n*count], s.v[:s.n*count]
	s.total, s.sums = s.total[:count], s.sums[:count]
	s.runs, s.sources = g.cutRuns(s.runs[:0], s.sources[:0], first, count)
}

// patches sets p and total from the images x.
func (s *nnmfSpace) patches(ctx context.Context, g *geometry, x []float32, least float32) error {
	clear(s.total)
	for k := range s.k {
		row := s.p[k*s.count:][:s.count]
		sources, plane := s.sources[k%g.places*len(s.runs):], k/g.places*g.height*g.width
		for i, r := range s.runs {
			g.gather(row[r.column:][:r.count], x, sources[i], plane)
		}
		for i, v := range row {
			s.total[i] += v
		}
	}
	for i, total := range s.total {
		if !(total <= math.MaxFloat32) {
			pair := s.first + i
			return g.tooLarge(pair/g.positions, pair%g.positions)
		}
	}
	for k := range s.k {
		row := s.p[k*s.count:][:s.count]
		kernel.Quotients(row, row, s.total, least)
	}
	return ctx.Err()
}

// start sets h to 1/N.
func (s *nnmfSpace) start(h []float32) {
	for i := range h {
		h[i] = 1 / float32(s.n)
	}
}

// ratios sets s.s to R for h, quotient, which may be s.s, to p~/(R+tiny), and s.v to v =
// W'*quotient.
func (s *nnmfSpace) ratios(ctx context.Context, l *nnmf, f *nnmfFactors, h, quotient []float32) error {
	if err := f.down.Convolve(ctx, 0, s.hidden, h, nil, s.s, s.count); err != nil {
		return err
	}
	kernel.Quotients(quotient, s.p, s.s, l.TinyReconstruction)
	return f.up.Convolve(ctx, 0, s.inputs, quotient, nil, s.v, s.count)
}

// update sets next to h after one more iteration. next may be h.
func (s *nnmfSpace) update(ctx context.Context, l *nnmf, f *nnmfFactors, next, h []float32) error {
	if err := s.ratios(ctx, l, f, h, s.s); err != nil {
		return err
	}
	s.grow(l, h)
	for n := range s.n {
		kernel.Products(next[n*s.count:][:s.count], s.v[n*s.count:][:s.count], s.sums)
	}
	return nil
}

// grow sets s.v from v to z, and sums to the reciprocals 1/(sum z + tiny).
func (s *nnmfSpace) grow(l *nnmf, h []float32) {
	keep, scale := l.step()
	clear(s.sums)
	for n := range s.n {
		kernel.Grow(s.v[n*s.count:][:s.count], h[n*s.count:][:s.count], s.sums, keep, scale)
	}
	for i, sum := range s.sums {
		s.sums[i] = 1 / (sum + l.TinySum)
	}
}

// resetEmpty sets h to 1/N where the patch is all zero.
func (s *nnmfSpace) resetEmpty(h []float32) {
	for i, total := range s.total {
		if total > 0 {
			continue
		}
		for n := range s.n {
			h[n*s.count+i] = 1 / float32(s.n)
		}
	}
}

// eachPart calls f for the parts of the chunk that lie in one image, with the column and the
// number of pairs of a part, and the index of its first pair in an array of shape (B, N, OH, OW),
// for neuron 0.
func (s *nnmfSpace) eachPart(g *geometry, f func(column, count, at int)) {
	for column := 0; column < s.count; {
		pair := s.first + column
		image, pos := pair/g.positions, pair%g.positions
		count := min(s.count-column, g.positions-pos)
		f(column, count, image*g.n*g.positions+pos)
		column += count
	}
}

// store copies h to the output.
func (s *nnmfSpace) store(g *geometry, out []float32) {
	s.eachPart(g, func(column, count, at int) {
		for n := range s.n {
			copy(out[at+n*g.positions:][:count], s.h[n*s.count+column:])
		}
	})
}

// load sets dst, (N, count), from an array of shape (B, N, OH, OW).
func (s *nnmfSpace) load(g *geometry, dst, from []float32) {
	s.eachPart(g, func(column, count, at int) {
		for n := range s.n {
			copy(dst[n*s.count+column:][:count], from[at+n*g.positions:])
		}
	})
}
