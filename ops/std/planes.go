package std

import (
	"sync"

	"github.com/spike-by-spike/sbs/internal/kernel"
)

// planeWindows says how the windows on the pixels of one channel are computed for many output
// positions at once. The pixels are copied, with their padding, so that each tap reads the pixels
// of neighboring positions from neighboring places. With a stride s, every s-th row and column
// form an image of their own, a phase. Positions at the end of a row that are no output positions
// are computed, too, and dropped.
type planeWindows struct {
	rows, cols         spatialAxis
	rowPhase, colPhase []int // the phases that windows use
	width              int   // distance between the rows of a phase
	height             int   // rows of a phase for one band
	taps               []int // row by row
	band               int   // rows of the output that are computed together
	bands              int
}

const (
	maxPlane     = 1 << 20 // numbers of all phases
	bandNumbers  = 1 << 14 // numbers of all phases that stay in the caches
	maxPlaneTaps = 1 << 10
	planeRoom    = 16 // whole vectors write beyond the last position
)

// newPlaneWindows returns planeWindows for windows that slide along two axes, or nil if they would
// need many taps or much memory.
func newPlaneWindows(rows, cols spatialAxis) *planeWindows {
	if rows.kernel > maxPlaneTaps || cols.kernel > maxPlaneTaps/rows.kernel || cols.out > maxPlane ||
		rows.dilation > maxPlane || cols.dilation > maxPlane || rows.stride > maxPlane || cols.stride > maxPlane {
		return nil
	}
	p := &planeWindows{rows: rows, cols: cols}
	var down, across []int // phase and place of each tap along an axis
	reach := func(a spatialAxis, phases *[]int, taps *[]int) int {
		last := 0
		for k := range a.kernel {
			phase, place := k*a.dilation%a.stride, k*a.dilation/a.stride
			at := 0
			for at < len(*phases) && (*phases)[at] != phase {
				at++
			}
			if at == len(*phases) {
				*phases = append(*phases, phase)
			}
			*taps = append(*taps, at, place)
			last = max(last, place)
		}
		return last
	}
	below := reach(rows, &p.rowPhase, &down)
	p.width = cols.out + reach(cols, &p.colPhase, &across)
	phases := len(p.rowPhase) * len(p.colPhase)
	if p.width > maxPlane/phases/(below+1) {
		return nil
	}
	p.band = min(max(1, bandNumbers/(p.width*phases)-below), rows.out)
	p.bands = (rows.out + p.band - 1) / p.band
	p.height = p.band + below
	for i := range rows.kernel {
		for j := range cols.kernel {
			phase := down[2*i]*len(p.colPhase) + across[2*j]
			p.taps = append(p.taps, (phase*p.height+down[2*i+1])*p.width+across[2*j+1])
		}
	}
	return p
}

// planeBuffers holds the phases of a band and its results.
type planeBuffers struct{ phases, results, even, odd []float32 }

var planePool = sync.Pool{New: func() any { return new(planeBuffers) }}

// bytes returns the memory of the buffers.
func (p *planeWindows) bytes() int64 {
	return 4 * int64(p.phaseNumbers()+p.resultNumbers()+2*p.dealtNumbers())
}

// dealtNumbers returns the number of pixels in even or odd columns of a band.
func (p *planeWindows) dealtNumbers() int {
	if !p.dealsAll() {
		return 0
	}
	return min(p.rows.in, (p.band-1)*p.rows.stride+(p.rows.kernel-1)*p.rows.dilation+1) * (p.cols.in / 2)
}

func (p *planeWindows) phaseNumbers() int {
	return len(p.rowPhase)*len(p.colPhase)*p.height*p.width + planeRoom
}

func (p *planeWindows) resultNumbers() int { return p.band*p.width + planeRoom }

// buffers returns buffers for the windows.
func (p *planeWindows) buffers() *planeBuffers {
	b := planePool.Get().(*planeBuffers)
	for _, v := range []struct {
		list *[]float32
		n    int
	}{{&b.phases, p.phaseNumbers()}, {&b.results, p.resultNumbers()}, {&b.even, p.dealtNumbers()}, {&b.odd, p.dealtNumbers()}} {
		if cap(*v.list) < v.n {
			*v.list = make([]float32, v.n)
		}
		*v.list = (*v.list)[:v.n]
	}
	return b
}

// rowsOf returns the rows first to last-1 of the output in a band.
func (p *planeWindows) rowsOf(band int) (first, last int) {
	return band * p.band, min((band+1)*p.band, p.rows.out)
}

// positions returns the number of positions that are computed for a band. Those of a row begin
// width after those of the row before.
func (p *planeWindows) positions(band int) int {
	first, last := p.rowsOf(band)
	return min((last-first-1)*p.width+p.cols.out+planeRoom-1, (last-first)*p.width+planeRoom-1) &^ (planeRoom - 1)
}

// tapsPerCheck is about the number of products or comparisons between two checks of the context.
const tapsPerCheck = 1 << 19

// inPieces calls f for consecutive pieces of n positions, and looks at the context after some of them.
func (p *planeWindows) inPieces(watching *cancelCheck, n int, f func(lo, hi int)) error {
	most := max(planeRoom, tapsPerCheck/len(p.taps)&^(planeRoom-1))
	for lo := 0; lo < n; lo += most {
		hi := min(lo+most, n)
		f(lo, hi)
		if err := watching.after((hi - lo) * (1 + len(p.taps)/8)); err != nil {
			return err
		}
	}
	return nil
}

// fill copies the pixels of a channel that the windows of a band cover. pad is the value of the
// padding. It is in place already if the buffers hold another channel, and there is one band.
func (p *planeWindows) fill(b *planeBuffers, pixels []float32, band int, pad float32, again bool) {
	if !again || p.bands > 1 {
		setAll(b.phases, pad)
	}
	first, last := p.rowsOf(band)
	if p.dealsAll() {
		p.fillDealt(b, pixels, first, last)
		return
	}
	for r, phase := range p.rowPhase {
		to := b.phases[r*len(p.colPhase)*p.height*p.width:]
		// Row i of the phase is row i*stride + offset of the image.
		offset := first*p.rows.stride + phase - p.rows.before
		lo, hi := inside(p.rows.in, p.rows.stride, offset, last-first+p.height-p.band)
		for i := lo; i < hi; i++ {
			y := i*p.rows.stride + offset
			p.fillRow(to[i*p.width:], pixels[y*p.cols.in:][:p.cols.in])
		}
	}
}

// inside returns the i from lo to hi-1, and below n, for which i*stride + offset is at least 0 and
// less than size.
func inside(size, stride, offset, n int) (lo, hi int) {
	if offset < 0 {
		lo = (stride - 1 - offset) / stride
	}
	if offset < size {
		hi = min(n, (size-offset+stride-1)/stride)
	}
	return lo, hi
}

// fillRow copies a row of pixels to the rows of its column phases.
func (p *planeWindows) fillRow(to, pixels []float32) {
	if p.cols.stride == 1 {
		if before := p.cols.before; before < p.width {
			copy(to[before:p.width], pixels)
		}
		return
	}
	for c, phase := range p.colPhase {
		row := to[c*p.height*p.width:][:p.width]
		offset := phase - p.cols.before
		lo, hi := inside(len(pixels), p.cols.stride, offset, p.width)
		for q := lo; q < hi; q++ {
			row[q] = pixels[q*p.cols.stride+offset]
		}
	}
}

// dealsAll reports whether even and odd columns are separated for all rows of a band at once.
func (p *planeWindows) dealsAll() bool {
	return p.cols.stride == 2 && p.cols.in%2 == 0 && p.rows.stride <= 2
}

// fillDealt is fill for the rows first to last-1 of the output, if dealsAll.
func (p *planeWindows) fillDealt(b *planeBuffers, pixels []float32, first, last int) {
	// The rows top to bottom-1 of the image.
	top := max(0, first*p.rows.stride-p.rows.before)
	bottom := min(p.rows.in, (last-1)*p.rows.stride-p.rows.before+(p.rows.kernel-1)*p.rows.dilation+1)
	if top >= bottom {
		return
	}
	half := p.cols.in / 2
	n := (bottom - top) * half
	kernel.Deal(b.even[:n], b.odd[:n], pixels[top*p.cols.in:bottom*p.cols.in])
	for r, phase := range p.rowPhase {
		offset := first*p.rows.stride + phase - p.rows.before
		rowLo, rowHi := inside(bottom, p.rows.stride, offset, last-first+p.height-p.band)
		for c, phase := range p.colPhase {
			from, shift := b.even, phase-p.cols.before // pixel q of a row is pixel 2*q + shift
			if shift&1 != 0 {
				from = b.odd
			}
			lo, hi := inside(p.cols.in, 2, shift, p.width)
			if lo >= hi {
				continue
			}
			at := (2*lo + shift) / 2
			to := b.phases[(r*len(p.colPhase)+c)*p.height*p.width+lo:]
			for i := rowLo; i < rowHi; i++ {
				y := i*p.rows.stride + offset - top
				copy(to[i*p.width:][:hi-lo], from[y*half+at:])
			}
		}
	}
}

func setAll(v []float32, x float32) {
	if x == 0 {
		clear(v)
		return
	}
	for i := range v[:min(len(v), 16)] {
		v[i] = x
	}
	for n := 16; n < len(v); n *= 2 {
		copy(v[n:], v[:n])
	}
}

// store copies the results of a band to the output of the channel.
func (p *planeWindows) store(out []float32, b *planeBuffers, band int) {
	first, last := p.rowsOf(band)
	for i := range last - first {
		copy(out[(first+i)*p.cols.out:][:p.cols.out], b.results[i*p.width:])
	}
}
