//go:build amd64 && !purego

package kernel

type (
	totalsFunc     func(totals, x *float32, starts *[MaxSpans]int, lanes *[MaxSpans]uint32, offsets *int32, k int)
	thresholdsFunc func(dst *uint32, room, n int, totals, x *float32, starts *[MaxSpans]int, lanes *[MaxSpans]uint32, offsets *int32, k int)
)

// rowFuncs holds the assembly functions for one number of spans.
type rowFuncs struct {
	totals     totalsFunc
	thresholds thresholdsFunc
}

var (
	rowAVX512 = rowDrawer{16, drawRow([...]rowFuncs{
		{totalsRowMaskedAVX512, thresholdsRowMaskedAVX512},
		{totalsRow1AVX512, thresholdsRow1AVX512},
		{totalsRow2AVX512, thresholdsRow2AVX512},
		{totalsRow3AVX512, thresholdsRow3AVX512},
	}, coarseAVX512)}
	rowAVX2 = rowDrawer{8, drawRow([...]rowFuncs{
		{totalsRowMaskedAVX2, thresholdsRowMaskedAVX2},
		{totalsRow1AVX2, thresholdsRow1AVX2},
		{totalsRow2AVX2, thresholdsRow2AVX2},
		{totalsRow3AVX2, thresholdsRow3AVX2},
	}, coarseAVX2)}
)

// drawRow returns the function draw of a rowDrawer. funcs holds the assembly by the number
// of spans, with the functions that read only within the patches first.
func drawRow(funcs [MaxSpans + 1]rowFuncs, tables func(s *Scratch, g, n int)) func(s *Scratch, r *row, g, n int, x []float32, offsets []int32, masked bool) {
	return func(s *Scratch, r *row, g, n int, x []float32, offsets []int32, masked bool) {
		l := s.l
		f := funcs[r.count]
		if masked {
			f = funcs[0]
		}
		f.totals(&r.totals[0], &x[0], &r.starts, &r.lanes, &offsets[0], l.k)
		f.thresholds(&s.thresholds[g*l.layout.room], l.layout.room, n, &r.totals[0], &x[0], &r.starts, &r.lanes, &offsets[0], l.k)
		i := 0
		for _, p := range r.spans[:r.count] {
			for start := p.Start; start < p.Start+p.N; start++ {
				if r.totals[i] < leastTotal { // too small for the assembly
					sums := make([]float32, l.k)
					CumulateAt(sums, x[start:], offsets[:l.k])
					Thresholds(s.thresholds[(g+i)*l.layout.room:][:l.k], sums)
				}
				i++
			}
		}
		tables(s, g, n)
	}
}
