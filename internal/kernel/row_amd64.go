//go:build amd64 && !purego

package kernel

import (
	"math"
	"unsafe"
)

// rowAVX512 is the rowDrawer for AVX-512.
type rowAVX512 struct{}

func (rowAVX512) cumulate(s *Scratch, x []float32, offsets []int32) {
	var starts [MaxSpans]int
	var lanes [MaxSpans]uint32
	first := 0
	for i, p := range s.spans {
		starts[i] = p.Start - first
		lanes[i] = (1<<p.N - 1) << first
		first += p.N
	}
	cumulateRowAVX512(&s.row[0], &x[0], &starts, &lanes, &offsets[0], len(offsets))
}

func (rowAVX512) draw(s *Scratch, g, n int) {
	l := s.l
	thresholdRowAVX512(&s.row[0], l.k, &s.rowScales, n > RowLen/2)
	last := s.row[(l.k-1)*RowLen:][:RowLen]
	for i := range last {
		last[i] = math.Float32frombits(1<<32 - 1)
	}
	t := s.thresholds[g*l.layout.room:]
	floats := unsafe.Slice((*float32)(unsafe.Pointer(&t[0])), len(t)) // copied as bits
	columns := min(roundUp(n, 4), len(s.thresholds)/l.layout.room-g)
	transposeAVXAll(floats, l.layout.room, s.row, RowLen, len(s.row)/RowLen, columns)
	for i := range n {
		lookAVX512(l, s, g+i)
	}
}

// transposeAVXAll is transpose with assembly for the part of the matrix that
// consists of whole blocks of 4 x 4.
func transposeAVXAll(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	r, c := rows&^3, cols&^3
	if r > 0 && c > 0 {
		_, _ = dst[(c-1)*dstStride+r-1], src[(r-1)*srcStride+c-1]
		transposeAVX(&dst[0], 4*dstStride, &src[0], 4*srcStride, r, c)
	}
	if c < cols {
		transpose(dst[c*dstStride:], dstStride, src[c:], srcStride, r, cols-c)
	}
	if r < rows {
		transpose(dst[r:], dstStride, src[r*srcStride:], srcStride, rows-r, cols)
	}
}
