package kernel

// Limits of DrawRow.
const (
	RowLen   = 16 // the largest number of positions
	MaxSpans = 3  // the largest number of spans that contain them
)

// Span describes N positions whose patches are adjacent in memory: entry k of the
// patch of position i of the span is x[Start+i+offsets[k]].
type Span struct{ Start, N int }

// rowDrawer computes the totals, thresholds and coarse tables of adjacent patches, one patch
// per lane of a vector.
type rowDrawer interface {
	// positions returns the number of lanes.
	positions() int

	// draw computes the totals and the tables of the first n positions of the spans in r. It
	// reads x only within the patches if masked is set, and otherwise up to a vector on both
	// sides.
	draw(s *Scratch, r *row, g, n int, x []float32, offsets []int32, masked bool)
}

// row describes positions for a rowDrawer.
type row struct {
	spans  [MaxSpans]Span
	count  int              // number of spans
	starts [MaxSpans]int    // index in x of lane 0 of each span
	lanes  [MaxSpans]uint32 // a bit for each lane of a span
	totals [RowLen]float32
	lasts  []uint32  // the last threshold of each vector of thresholds, for each lane
	sums   []float32 // running sums of one patch
}

// RowPositions returns the largest number of positions for DrawRow, or 0 if the tier of the
// layer does not support it.
func (l *Layer) RowPositions() int {
	if l.up.row == nil {
		return 0
	}
	return l.up.row.positions()
}

// DrawRow prepares positions g, g+1, ... of the group, one per key, to draw their spikes, as
// Draw does, from the patches of up to MaxSpans spans with as many positions in all. This is
// faster than Draw. It returns the totals of the patches; a position whose total is 0 or not
// finite gets undefined spikes, which are valid rows of W. The offsets of the entries of a
// patch must be in ascending order, begin with 0, and be followed by zeros up to a multiple of
// RowLen. epsXY[i] is epsilon_xy of position g+i; epsXY is nil if the layer has none.
func (s *Scratch) DrawRow(g int, x []float32, spans []Span, offsets []int32, keys []uint64, epsXY *[RowLen][]float32) (totals [RowLen]float32) {
	l, r := s.l, &s.row
	lanes, last := l.up.row.positions(), int(offsets[l.k-1])
	masked, first := false, 0
	r.count = copy(r.spans[:], spans)
	for i, p := range spans {
		_, _ = x[p.Start], x[p.Start+p.N-1+last]
		from := p.Start - first
		masked = masked || from < 0 || from+last+lanes > len(x)
		r.starts[i], r.lanes[i] = from, (1<<p.N-1)<<first
		first += p.N
	}
	clear(r.lanes[len(spans):])
	for i, key := range keys {
		var xy []float32
		if epsXY != nil {
			xy = epsXY[i]
		}
		s.prepare(g+i, key, xy)
	}
	l.up.row.draw(s, r, g, len(keys), x, offsets, masked)
	return r.totals
}
