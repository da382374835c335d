package std

import (
	"sync"

	"github.com/spike-by-spike/sbs/internal/kernel"
)

// windowBlocks says how a convolution without columns is divided: into blocks of neighboring
// output positions of an image, for each panel of filters. Images with one output position are
// divided into blocks of images instead.
type windowBlocks struct {
	filters      *kernel.WindowFilters // of the current run
	taps         kernel.Taps
	images       int // that are not in the columns of a block
	group        int
	panels       int
	rows, cols   int // of a block
	down, across int // blocks of an image
}

// count returns the number of blocks.
func (b *windowBlocks) count() int { return b.images * b.group * b.down * b.across * b.panels }

const (
	// A tile of windows has as many filters as a vector has lanes, or more, and all of its
	// products run without a check of the context.
	minWindowFilters = 8
	minWindowTaps    = 16
	maxWindowTaps    = 1 << 16

	// The sums of a block stay in the first-level cache, or nearly.
	blockWindows = 256
)

// suitsTiles reports whether a convolution reads its pixels from the images, with the filters of a
// group in the lanes of vectors. It needs no copies of the pixels, but its sums have to be
// transposed: with few taps or few filters, that would take longer.
func suitsTiles(filters, taps int) bool {
	return filters >= minWindowFilters && taps >= minWindowTaps && taps <= maxWindowTaps
}

// suitsColumns reports whether the windows are all pixels of images with many pixels. Copying them
// to columns is then faster than transposing the sums.
func (c *convolution) suitsColumns() bool {
	const many = 512
	return c.rows.kernel*c.cols.kernel == 1 && c.source == fromImages && c.rows.out == c.rows.in && c.cols.out == c.cols.in && c.rows.in*c.cols.in >= many
}

// divideWindows returns the blocks of the convolution.
func (c *convolution) divideWindows() *windowBlocks {
	rows := kernel.FilterPanels(c.filters)
	b := &windowBlocks{taps: kernel.NewTaps(c.tapOffsets()), images: c.images, group: c.group, panels: rows, rows: c.rows.out, cols: c.cols.out, down: 1, across: 1}
	if c.single() {
		b.rows, b.cols = 1, min(c.images, blockWindows)
		b.images, b.across = 1, (c.images+b.cols-1)/b.cols
		return b
	}
	// An even number of rows and columns fills tiles, and windows of a pool.
	b.cols, b.across = evenParts(b.cols, blockWindows/2)
	b.rows, b.down = evenParts(b.rows, blockWindows/b.cols)
	return b
}

// evenParts divides n items into parts of about equal size, which is at most the given even or
// odd size, but at least 2. Unless there is only one part, its size is even.
func evenParts(n, most int) (size, parts int) {
	if n <= most {
		return n, 1
	}
	parts = (n + most&^1 - 1) / (most &^ 1)
	size = ((n+parts-1)/parts + 1) &^ 1
	return size, (n + size - 1) / size
}

// single reports whether every image has one output position, so that a block can hold many
// images.
func (c *convolution) single() bool { return c.rows.out*c.cols.out == 1 }

// windowLoop is a parallel.Loop over the blocks of a convolution.
type windowLoop convolution

// windowSums holds the sums of a block.
type windowSums struct {
	sums, spare [blockWindows * kernel.MaxWidth]float32
}

var windowSumsPool = sync.Pool{New: func() any { return new(windowSums) }}

func (l *windowLoop) Part(lo, hi int) error {
	s := windowSumsPool.Get().(*windowSums)
	defer windowSumsPool.Put(s)
	for i := lo; i < hi; i++ {
		if err := (*convolution)(l).windowBlock(i, s); err != nil {
			return err
		}
	}
	return nil
}

// windowBlock computes a block. Neighboring blocks read the same pixels.
func (c *convolution) windowBlock(i int, s *windowSums) error {
	b := c.windows
	panel, i := i%b.panels, i/b.panels
	col, i := i%b.across*b.cols, i/b.across
	row, i := i%b.down*b.rows, i/b.down
	group, image := i%c.group, i/c.group
	size := c.inner[0].in * c.inner[1].in
	perImage := c.group * c.channels * size
	pixels := c.x[image*perImage+group*c.channels*size:]
	var bias []float32
	if c.bias != nil {
		bias = c.bias[group*c.filters:][:c.filters]
	}
	g := kernel.Grid{ColStep: perImage, Rows: 1, Cols: min(b.cols, c.images-col)}
	if !c.single() {
		g = kernel.Grid{
			Rows: min(b.rows, c.rows.out-row), RowStep: c.rows.stride * c.inner[1].in,
			Cols: min(b.cols, c.cols.out-col), ColStep: c.cols.stride,
		}
		pixels = pixels[row*g.RowStep:]
	}
	pixels = pixels[col*g.ColStep:]
	width := b.filters.Width(panel)
	sums := s.sums[:g.Rows*g.Cols*width]
	if err := b.filters.Convolve(c.ctx, group, panel, b.taps, pixels, bias, g, sums); err != nil {
		return err
	}
	first, last := b.filters.Panel(panel)
	n := last - first
	watching := cancelCheck{ctx: c.ctx}
	if c.single() {
		for j := range g.Cols {
			at := ((col+j)*c.group+group)*c.filters + first
			copy(c.out[at:][:n], sums[j*width:])
			if err := apply(&watching, c.stages, at, at+n); err != nil {
				return err
			}
		}
		return nil
	}
	if c.pools {
		positions := (c.rows.out / 2) * (c.cols.out / 2)
		c.poolBlock(c.out[((image*c.group+group)*c.filters+first)*positions:], positions, sums, s.spare[:], g, width, n, row, col)
		return nil
	}
	positions := c.rows.out * c.cols.out
	at := ((image*c.group+group)*c.filters + first) * positions
	if g.Cols == c.cols.out { // the rows are adjacent
		kernel.Transpose(c.out[at+row*c.cols.out:], positions, sums, width, g.Rows*g.Cols, n)
	} else {
		for r := range g.Rows {
			kernel.Transpose(c.out[at+(row+r)*c.cols.out+col:], positions, sums[r*g.Cols*width:], width, g.Cols, n)
		}
	}
	if c.stages == nil {
		return nil
	}
	for f := range n {
		for r := 0; r < g.Rows; r++ {
			lo := at + f*positions + (row+r)*c.cols.out + col
			hi := lo + g.Cols
			if g.Cols == c.cols.out {
				hi, r = lo+g.Rows*g.Cols, g.Rows
			}
			if err := apply(&watching, c.stages, lo, hi); err != nil {
				return err
			}
		}
	}
	return nil
}
