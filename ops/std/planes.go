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
// padding.
func (p *planeWindows) fill(b *planeBuffers, pixels []float32, band int, pad float32) {
	first, last := p.rowsOf(band)
	for r, phase := range p.rowPhase {
		to := b.phases[r*len(p.colPhase)*p.height*p.width:]
		for i := range last - first + p.height - p.band {
			y := (first+i)*p.rows.stride + phase - p.rows.before
			if uint(y) < uint(p.rows.in) {
				p.fillRow(b, to[i*p.width:], pixels[y*p.cols.in:][:p.cols.in], pad)
				continue
			}
			for c := range p.colPhase {
				setAll(to[c*p.height*p.width+i*p.width:][:p.width], pad)
			}
		}
	}
	setAll(b.phases[len(b.phases)-planeRoom:], pad)
}

// fillRow copies a row of pixels to the rows of its column phases.
func (p *planeWindows) fillRow(b *planeBuffers, to, pixels []float32, pad float32) {
	if p.cols.stride == 2 && len(pixels) > 8 {
		kernel.Deal(b.even, b.odd, pixels)
	}
	for c, phase := range p.colPhase {
		row := to[c*p.height*p.width:][:p.width]
		switch offset := phase - p.cols.before; { // pixel q of the row is pixel q*stride + offset
		case p.cols.stride == 1:
			copyShifted(row, pixels, -offset, pad)
		case p.cols.stride == 2 && len(pixels) > 8:
			from := b.even
			if offset&1 != 0 {
				from = b.odd
			}
			copyShifted(row, from, -(offset >> 1), pad)
		default:
			for q := range row {
				row[q] = pad
				if x := q*p.cols.stride + offset; uint(x) < uint(len(pixels)) {
					row[q] = pixels[x]
				}
			}
		}
	}
}

// copyShifted copies from[i] to to[i+shift], and sets the other numbers to pad.
func copyShifted(to, from []float32, shift int, pad float32) {
	if shift < 0 {
		from = from[min(-shift, len(from)):]
		shift = 0
	}
	shift = min(shift, len(to))
	setAll(to[:shift], pad)
	n := copy(to[shift:], from)
	setAll(to[shift+n:], pad)
}

func setAll(v []float32, x float32) {
	for i := range v {
		v[i] = x
	}
}

// store copies the results of a band to the output of the channel.
func (p *planeWindows) store(out []float32, b *planeBuffers, band int) {
	first, last := p.rowsOf(band)
	for i := range last - first {
		copy(out[(first+i)*p.cols.out:][:p.cols.out], b.results[i*p.width:])
	}
}
