package kernel

import "math"

// RowLen is the most positions whose patches CumulateRow sums up together, and
// MaxSpans the most spans that they come in.
const (
	RowLen   = 16
	MaxSpans = 3
)

// Span is some positions side by side: entry k of the patch of the i-th of the N
// positions is x[Start+i+offsets[k]].
type Span struct{ Start, N int }

// DrawsRows reports whether there is a faster way for positions side by side
// than Draw for each.
func (l *Layer) DrawsRows() bool { return l.up.row != nil }

// rowDrawer sums up patches side by side, one in each lane.
type rowDrawer interface {
	cumulate(s *Scratch, x []float32, offsets []int32) // of s.spans into s.row

	// draw writes the thresholds of positions g, g+1, ..., n of them and a few more
	// of the group, from s.row and s.rowScales. It overwrites the sums.
	draw(s *Scratch, g, n int)
}

// CumulateRow forms the running sums of the patches of all positions of the spans
// as CumulateAt does, and returns their totals. The offsets ascend from 0. DrawRow
// is to follow.
func (s *Scratch) CumulateRow(x []float32, spans []Span, offsets []int32) (totals [RowLen]float32) {
	l := s.l
	if s.row == nil {
		s.row = make([]float32, roundUp(l.k, 4)*RowLen)
		for i := l.k * RowLen; i < len(s.row); i++ {
			s.row[i] = math.Float32frombits(1<<32 - 1) // the thresholds behind the last
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

// DrawRow makes the positions g, g+1, ... of the group, one for each key, draw
// their spikes from the patches that CumulateRow has summed up. epsXY holds the
// part of epsilon_xy of each.
func (s *Scratch) DrawRow(g int, totals *[RowLen]float32, keys []uint64, epsXY *[RowLen][]float32) {
	l := s.l
	for i, key := range keys {
		s.jobs[g+i] = job{key: key, epsXY: epsXY[i]}
		s.rowScales[i] = (1 << 32) / float64(totals[i])
	}
	l.up.row.draw(s, g, len(keys))
}
