package kernel

import "math"

// Limits of CumulateRow.
const (
	RowLen   = 16 // the largest number of positions
	MaxSpans = 3  // the largest number of spans that contain them
)

// Span describes N positions whose patches are adjacent in memory: entry k of the
// patch of position i of the span is x[Start+i+offsets[k]].
type Span struct{ Start, N int }

// DrawsRows reports whether the tier of the layer supports CumulateRow and DrawRow.
// They are faster than Draw for adjacent positions.
func (l *Layer) DrawsRows() bool { return l.up.row != nil }

// rowDrawer computes the running sums and thresholds of adjacent patches, one patch
// per lane of a vector.
type rowDrawer interface {
	// cumulate writes the running sums of the positions of s.spans to s.row.
	cumulate(s *Scratch, x []float32, offsets []int32)

	// draw computes the tables of positions g to g+n-1 from s.row and s.rowScales.
	// It overwrites the sums, and may overwrite the tables of following positions.
	draw(s *Scratch, g, n int)
}

// CumulateRow computes the running sums of the patches of all positions of the
// spans, as CumulateAt does, and returns their totals. It keeps the sums for
// DrawRow. The offsets must be in ascending order and begin with 0. The layer must
// have DrawsRows.
func (s *Scratch) CumulateRow(x []float32, spans []Span, offsets []int32) (totals [RowLen]float32) {
	l := s.l
	if s.row == nil {
		s.row = make([]float32, roundUp(l.k, 4)*RowLen)
		for i := l.k * RowLen; i < len(s.row); i++ {
			s.row[i] = math.Float32frombits(1<<32 - 1) // thresholds of the padding
		}
	}
	s.spans = [MaxSpans]Span{}
	for i, p := range spans {
		s.spans[i] = p
		_, _ = x[p.Start], x[p.Start+p.N-1+int(offsets[l.k-1])]
	}
	l.up.row.cumulate(s, x, offsets[:l.k])
	copy(totals[:], s.row[(l.k-1)*RowLen:])
	return totals
}

// DrawRow prepares positions g, g+1, ... of the group, one per key, to draw their
// spikes, as Draw does, from the running sums of the last CumulateRow. totals are
// the totals that it returned, and epsXY[i] is epsilon_xy of position g+i.
func (s *Scratch) DrawRow(g int, totals *[RowLen]float32, keys []uint64, epsXY *[RowLen][]float32) {
	l := s.l
	for i, key := range keys {
		s.jobs[g+i] = job{key: key, epsXY: epsXY[i]}
		s.rowScales[i] = (1 << 32) / float64(totals[i])
	}
	l.up.row.draw(s, g, len(keys))
}
