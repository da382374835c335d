//go:build amd64 && !purego

package kernel

type (
	totalsFunc     func(totals, x *float32, starts *[MaxSpans]int, lanes *[MaxSpans]uint32, offsets *int32, k int)
	thresholdsFunc func(dst, lasts *uint32, room, n int, totals, x *float32, starts *[MaxSpans]int, lanes *[MaxSpans]uint32, offsets *int32, k int)
)

// rowFuncs holds the assembly functions for one number of spans.
type rowFuncs struct {
	totals     totalsFunc
	thresholds thresholdsFunc
}

// assemblyRow is a rowDrawer in assembly.
type assemblyRow struct {
	lanes int
	spans [MaxSpans + 1]rowFuncs // by the number of spans; the first read only within the patches

	coarse  func(l *Layer, s *Scratch, g int)        // fills the coarse table of a position
	coarses func(coarse, lasts *uint32, step, n int) // fills those of n positions
}

var (
	rowAVX512 = &assemblyRow{16, [...]rowFuncs{
		{totalsRowMaskedAVX512, thresholdsRowMaskedAVX512},
		{totalsRow1AVX512, thresholdsRow1AVX512},
		{totalsRow2AVX512, thresholdsRow2AVX512},
		{totalsRow3AVX512, thresholdsRow3AVX512},
	}, coarseAVX512, lookRowAVX512}
	rowAVX2 = &assemblyRow{8, [...]rowFuncs{
		{totalsRowMaskedAVX2, thresholdsRowMaskedAVX2},
		{totalsRow1AVX2, thresholdsRow1AVX2},
		{totalsRow2AVX2, thresholdsRow2AVX2},
		{totalsRow3AVX2, thresholdsRow3AVX2},
	}, coarseAVX2, lookRowAVX2}
)

func (a *assemblyRow) positions() int { return a.lanes }

func (a *assemblyRow) draw(s *Scratch, r *row, g, n int, x []float32, offsets []int32, masked bool) {
	l := s.l
	if r.lasts == nil {
		r.lasts = make([]uint32, coarse*l.layout.block)
		for i := range r.lasts { // rows after the last one keep this value
			r.lasts[i] = fullShare
		}
	}
	f := a.spans[r.count]
	if masked {
		f = a.spans[0]
	}
	f.totals(&r.totals[0], &x[0], &r.starts, &r.lanes, &offsets[0], l.k)
	f.thresholds(&s.thresholds[g*l.layout.room], &r.lasts[0], l.layout.room, n, &r.totals[0], &x[0], &r.starts, &r.lanes, &offsets[0], l.k)
	if step := l.layout.block / a.lanes; step > 0 {
		a.coarses(&s.coarse[g*coarse], &r.lasts[0], step, n)
	} else {
		for i := range n {
			a.coarse(l, s, g+i)
		}
	}
	a.drawTiny(s, r, g, x, offsets)
}

// drawTiny computes the tables of positions whose totals are too small for the assembly.
func (a *assemblyRow) drawTiny(s *Scratch, r *row, g int, x []float32, offsets []int32) {
	l, i := s.l, 0
	for _, p := range r.spans[:r.count] {
		for start := p.Start; start < p.Start+p.N; start++ {
			if t := r.totals[i]; t > 0 && t < leastTotal {
				if r.sums == nil {
					r.sums = make([]float32, l.k)
				}
				CumulateAt(r.sums, x[start:], offsets[:l.k])
				Thresholds(s.thresholds[(g+i)*l.layout.room:][:l.k], r.sums)
				a.coarse(l, s, g+i)
			}
			i++
		}
	}
}
