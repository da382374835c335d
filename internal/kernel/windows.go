package kernel

import (
	"context"
	"fmt"
	"sync"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

// windowTiling describes how a tier computes the windows of a convolution with the filters in
// the lanes of its vectors. The pixels are read where they are: no matrix of windows is made,
// and the windows may have any distance. It suits weights that are laid out once for many
// convolutions.
type windowTiling struct {
	pixels         int // windows in half of the largest tile
	lanes, vectors int // filters of a panel are at most lanes*vectors

	// tile computes 2*pixels windows: pixel t of window i of half h is
	// x[taps[t]+i*step+h*second]. Row t of w holds the weights of width filters. The sums start
	// with start. Row i of out receives those of window i of the first half; the rows of the
	// second half start at out[next].
	tile func(pixels, width int, taps []int, x []float32, step, second int, w, start, out []float32, next int)
}

var portableWindows = windowTiling{pixels: 4, lanes: 4, vectors: 1, tile: windowsPortable}

func windowsPortable(pixels, _ int, taps []int, x []float32, step, second int, w, start, out []float32, next int) {
	w = w[:4*len(taps)]
	for h := range 2 {
		for i := range pixels {
			s0, s1, s2, s3 := start[0], start[1], start[2], start[3]
			window := x[i*step+h*second:]
			for t, tap := range taps {
				v, row := window[tap], w[4*t:4*t+4:4*t+4]
				s0 = portmath.FMA(row[0], v, s0)
				s1 = portmath.FMA(row[1], v, s1)
				s2 = portmath.FMA(row[2], v, s2)
				s3 = portmath.FMA(row[3], v, s3)
			}
			*(*[4]float32)(out[h*next+4*i:]) = [4]float32{s0, s1, s2, s3}
		}
	}
}

// WindowFilters holds matrices A (m, k) of the same shape, the filters of convolutions, in the
// memory layout of a tier. It is immutable and safe for concurrent use.
type WindowFilters struct {
	t      *windowTiling
	m, k   int
	packed []float32
}

// NewWindowFilters returns WindowFilters of count matrices A (m, k), which are consecutive in a.
// They use the tier that is active at the time of the call. NewWindowFilters panics if a is too
// short. It returns the error of ctx soon after ctx is done.
func NewWindowFilters(ctx context.Context, count, m, k int, a []float32) (*WindowFilters, error) {
	checkMatrix("A", count*m, k, len(a), k)
	t := windowsOf(active())
	f := &WindowFilters{t: t, m: m, k: k}
	f.packed = aligned(count * f.size())
	for g := range count {
		for p := range f.Panels() {
			first, last := f.Panel(p)
			width := f.Width(p)
			to := f.packed[g*f.size()+first*k:][:width*k]
			if k > 0 {
				Transpose(to, width, a[(g*m+first)*k:], k, last-first, k)
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// WindowFiltersBytes returns the memory of WindowFilters of count matrices A (m, k).
func WindowFiltersBytes(count, m, k int) int64 {
	return 4 * int64(count) * int64(k) * int64(roundUp(m, windowsOf(active()).lanes))
}

// Active reports whether the filters have the layout of the active tier.
func (f *WindowFilters) Active() bool { return f.t == windowsOf(active()) }

// size returns the length of one matrix in f.packed.
func (f *WindowFilters) size() int { return roundUp(f.m, f.t.lanes) * f.k }

// Panels returns the number of panels of rows into which a matrix is divided.
func (f *WindowFilters) Panels() int {
	rows := f.t.lanes * f.t.vectors
	return (f.m + rows - 1) / rows
}

// Panel returns the rows first to last-1 of a panel.
func (f *WindowFilters) Panel(panel int) (first, last int) {
	rows := f.t.lanes * f.t.vectors
	return panel * rows, min((panel+1)*rows, f.m)
}

// Width returns the numbers per window that Convolve writes for a panel: its rows, and
// numbers without a meaning that fill the last vector.
func (f *WindowFilters) Width(panel int) int {
	first, last := f.Panel(panel)
	return roundUp(last-first, f.t.lanes)
}

// MaxWidth is the largest number that Width returns for any tier.
const MaxWidth = 32

// startPool holds memory for the bias of a panel.
var startPool = sync.Pool{New: func() any { return new([MaxWidth]float32) }}

// Grid describes a grid of windows in an image: window (i, j) starts at the pixel with index
// i*RowStep + j*ColStep.
type Grid struct{ Rows, Cols, RowStep, ColStep int }

// Convolve computes the products of a panel of matrix number group with the windows of a grid:
// pixel t of the window that starts at pixel p is x[taps[t]+p]. out receives Width numbers per
// window, one window after the other, row by row. Each of them is a sum in float32 that starts
// with the bias of its row of A, nil stands for 0, and adds the products in ascending order of
// the taps, each with a fused multiply-add, as those of Filters.Convolve.
//
// Convolve panics if a slice is too short. Soon after ctx is done, it returns the error of
// ctx, and out is incomplete.
func (f *WindowFilters) Convolve(ctx context.Context, group, panel int, taps Taps, x, bias []float32, g Grid, out []float32) error {
	width := f.Width(panel)
	if len(taps.offsets) != f.k || !f.Active() {
		panic(fmt.Sprintf("kernel: windows of %d taps, filters of %d, or made for different tiers", len(taps.offsets), f.k))
	}
	if g.Rows == 0 || g.Cols == 0 || f.k == 0 {
		panic("kernel: a convolution without windows or taps")
	}
	last := taps.last + (g.Rows-1)*g.RowStep + (g.Cols-1)*g.ColStep
	if last >= len(x) || g.RowStep < 0 || g.ColStep < 0 {
		panic(fmt.Sprintf("kernel: pixel %d is outside of an input of %d numbers", last, len(x)))
	}
	out = out[:g.Rows*g.Cols*width]
	start := startPool.Get().(*[MaxWidth]float32)
	defer startPool.Put(start)
	*start = [MaxWidth]float32{}
	first, end := f.Panel(panel)
	if bias != nil {
		copy(start[:], bias[first:end])
	}
	w := f.packed[group*f.size()+first*f.k:][:width*f.k]
	if g.Cols*g.ColStep == g.RowStep { // all windows have the same distance
		g.Rows, g.Cols = 1, g.Rows*g.Cols
	}
	left := 0 // products before the next look at ctx
	watch := func(windows int) error {
		if left -= windows * width * f.k; left > 0 {
			return nil
		}
		left = windowProducts
		return ctx.Err()
	}
	row := 0
	for ; row+1 < g.Rows; row += 2 {
		at, to := x[row*g.RowStep:], out[row*g.Cols*width:]
		for lo, parts, i := 0, (g.Cols+f.t.pixels-1)/f.t.pixels, 0; i < parts; i++ {
			_, hi := part(g.Cols, parts, i)
			if err := watch(2 * (hi - lo)); err != nil {
				return err
			}
			f.t.tile(hi-lo, width, taps.offsets, at[lo*g.ColStep:], g.ColStep, g.RowStep, w, start[:width], to[lo*width:], g.Cols*width)
			lo = hi
		}
	}
	if row == g.Rows {
		return nil
	}
	// The halves of a tile lie in one row. If it has an odd number of windows, both halves
	// compute the one in the middle.
	at, to := x[row*g.RowStep:], out[row*g.Cols*width:]
	parts := (g.Cols + 2*f.t.pixels - 1) / (2 * f.t.pixels)
	for i := range parts {
		lo, hi := part(g.Cols, parts, i)
		half := (hi - lo + 1) / 2
		if err := watch(2 * half); err != nil {
			return err
		}
		f.t.tile(half, width, taps.offsets, at[lo*g.ColStep:], g.ColStep, (hi-lo-half)*g.ColStep, w, start[:width], to[lo*width:], (hi-lo-half)*width)
	}
	return nil
}

// windowProducts is about the number of products between two looks at the context. The portable
// tier computes them in a few milliseconds.
const windowProducts = 1 << 20

// FilterPanels returns the number of panels of WindowFilters with m rows.
func FilterPanels(m int) int {
	t := windowsOf(active())
	return (m + t.lanes*t.vectors - 1) / (t.lanes * t.vectors)
}
