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
	if p.width*phases > maxPlane/(below+1) {
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
	return 4 * int64(p.phaseNumbers()+p.resultNumbers()+p.cols.in)
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
	}{{&b.phases, p.phaseNumbers()}, {&b.results, p.resultNumbers()}, {&b.even, (p.cols.in + 1) / 2}, {&b.odd, p.cols.in / 2}} {
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

// fill copies the pixels of a channel that the windows of a band cover. pad is the value of the
// padding. It is in place already if the buffers hold another channel, and there is one band.
func (p *planeWindows) fill(b *planeBuffers, pixels []float32, band int, pad float32, again bool) {
	if !again || p.bands > 1 {
		setAll(b.phases, pad)
	}
	first, last := p.rowsOf(band)
	for r, phase := range p.rowPhase {
		to := b.phases[r*len(p.colPhase)*p.height*p.width:]
		// Row i of the phase is row i*stride + offset of the image.
		offset := first*p.rows.stride + phase - p.rows.before
		lo, hi := inside(p.rows.in, p.rows.stride, offset, last-first+p.height-p.band)
		for i := lo; i < hi; i++ {
			y := i*p.rows.stride + offset
			p.fillRow(b, to[i*p.width:], pixels[y*p.cols.in:][:p.cols.in])
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
func (p *planeWindows) fillRow(b *planeBuffers, to, pixels []float32) {
	if p.cols.stride == 1 {
		if before := p.cols.before; before < p.width {
			copy(to[before:p.width], pixels)
		}
		return
	}
	deal := p.cols.stride == 2 && len(pixels) > 8
	if deal && p.dealRow(to, pixels) {
		return
	}
	if deal {
		kernel.Deal(b.even, b.odd, pixels)
	}
	for c, phase := range p.colPhase {
		row := to[c*p.height*p.width:][:p.width]
		offset := phase - p.cols.before
		lo, hi := inside(len(pixels), p.cols.stride, offset, p.width)
		switch {
		case lo >= hi:
		case deal && offset&1 == 0:
			copy(row[lo:hi], b.even[(2*lo+offset)/2:])
		case deal:
			copy(row[lo:hi], b.odd[(2*lo+offset)/2:])
		default:
			for q := lo; q < hi; q++ {
				row[q] = pixels[q*p.cols.stride+offset]
			}
		}
	}
}

// dealRow copies a row of pixels directly to two column phases. It returns false if they do not
// hold all pixels.
func (p *planeWindows) dealRow(to, pixels []float32) bool {
	if len(p.colPhase) != 2 {
		return false
	}
	var rows [2][]float32 // of the even and the odd pixels
	for c, phase := range p.colPhase {
		offset := phase - p.cols.before
		lo, hi := inside(len(pixels), 2, offset, p.width)
		if lo >= hi || 2*lo+offset > 1 {
			return false
		}
		rows[offset&1] = to[c*p.height*p.width:][:p.width][lo:hi]
	}
	n := len(rows[0]) + len(rows[1])
	if d := len(rows[0]) - len(rows[1]); d < 0 || d > 1 || n < len(pixels)-1 {
		return false
	}
	kernel.Deal(rows[0], rows[1], pixels[:n])
	return true
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
