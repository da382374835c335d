package std

import (
	"sync"

	kernels "github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// convolution is one run of a conv, as a product of matrices: the weights of
// each group, (filters, taps), by (taps, columns) of pixels. A column is an
// output position of an image, and a tap a place in the window of a channel.
type convolution struct {
	x, w, bias, out   []float32
	images            int
	channels, filters int // of one group
	group             int
	rows, cols        axis
}

// Workers take blocks: a part of the positions of one image or, when there are
// few, all positions of some images. A block of at most maxBlock columns keeps
// its pixels in the second-level cache, and minBlock are whole vectors of every
// tier.
const (
	minBlock = 32
	maxBlock = 256
)

// blocks is how the columns of a convolution are divided.
type blocks struct {
	images    int // of a block
	positions int // of an image in a block
	parts     int // of an image
	count     int
}

func (c *convolution) blocks() blocks {
	positions := c.rows.out * c.cols.out
	// A single image, too, is worth several blocks.
	width := min(max(minBlock, c.images*positions/16), maxBlock)
	b := blocks{images: min(max(1, width/positions), c.images), positions: positions, parts: 1}
	if b.images == 1 && positions > width {
		b.positions = width / minBlock * minBlock
		b.parts = (positions + b.positions - 1) / b.positions
	}
	b.count = (c.images + b.images - 1) / b.images * b.parts
	return b
}

var paddedImages = sync.Pool{New: func() any { return new([]float32) }}

// run computes the output. Each of its elements is the bias and then tap after
// tap, so that neither blocks nor workers have a say in it.
func (c *convolution) run(ctx *ops.Context) error {
	filters := kernels.NewFilters(c.group, c.filters, c.taps(), c.w)
	defer filters.Release()
	if c.rows.before+c.rows.behind+c.cols.before+c.cols.behind > 0 {
		if !c.padsLittle() {
			return c.runGathered(ctx, filters)
		}
		padded := paddedImages.Get().(*[]float32)
		defer paddedImages.Put(padded)
		if err := c.pad(ctx, padded); err != nil {
			return err
		}
	}
	b := c.blocks()
	// Blocks of other images differ in where they start only, so that what is
	// known of the columns of one serves them all.
	columns := make([]*kernels.Columns, b.parts, b.parts+1)
	taps := c.tapOffsets()
	for i := range columns {
		first := i * b.positions
		columns[i] = c.columns(taps, b.images, first, min(first+b.positions, c.rows.out*c.cols.out))
	}
	if c.images%b.images != 0 {
		columns = append(columns, c.columns(taps, c.images%b.images, 0, b.positions))
	}
	defer func() {
		for _, l := range columns {
			l.Release()
		}
	}()
	return ctx.For(b.count*c.group, 1, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			block, group := i/c.group, i%c.group
			image := block / b.parts * b.images
			part := columns[block%b.parts]
			if image+b.images > c.images {
				part = columns[len(columns)-1]
			}
			pixels := c.x[(image*c.group+group)*c.channels*c.rows.in*c.cols.in:]
			c.multiply(filters, part, pixels, image, group)
		}
		return nil
	})
}

func (c *convolution) taps() int { return c.channels * c.rows.kernel * c.cols.kernel }

// multiply computes columns that are counted from an image; so are pixels.
func (c *convolution) multiply(filters *kernels.Filters, columns *kernels.Columns, pixels []float32, image, group int) {
	positions := c.rows.out * c.cols.out
	var bias []float32
	if c.bias != nil {
		bias = c.bias[group*c.filters:][:c.filters]
	}
	out := c.out[(image*c.group+group)*c.filters*positions:]
	filters.Convolve(group, columns, pixels, bias, out, positions)
}

// tapOffsets says where the taps of a window are, from its first.
func (c *convolution) tapOffsets() []int {
	taps := make([]int, 0, c.taps())
	for channel := range c.channels {
		for ky := range c.rows.kernel {
			row := (channel*c.rows.in + ky*c.rows.dilation) * c.cols.in
			for kx := range c.cols.kernel {
				taps = append(taps, row+kx*c.cols.dilation)
			}
		}
	}
	return taps
}

// columns says where the windows at positions first to last-1 of some images
// start, and where their outputs go. The images need no padding.
func (c *convolution) columns(taps []int, images, first, last int) *kernels.Columns {
	n := images * (last - first)
	offsets, places := make([]int, 0, n), make([]int, 0, n)
	for image := range images {
		pixels := image * c.group * c.channels * c.rows.in * c.cols.in
		outputs := image * c.group * c.filters * c.rows.out * c.cols.out
		for at := first; at < last; at++ {
			i, j := at/c.cols.out, at%c.cols.out
			offsets = append(offsets, pixels+i*c.rows.stride*c.cols.in+j*c.cols.stride)
			places = append(places, outputs+at)
		}
	}
	return kernels.NewColumns(taps, offsets, places)
}

// runGathered is for windows that reach far beyond the images: it copies their
// pixels one by one.
func (c *convolution) runGathered(ctx *ops.Context, filters *kernels.Filters) error {
	const elements = 1 << 18 // of a block
	taps, positions := c.taps(), c.rows.out*c.cols.out
	width := min(max(1, elements/max(1, taps)), maxBlock, positions)
	parts := (positions + width - 1) / width
	offsets := make([]int, taps)
	for i := range offsets {
		offsets[i] = i
	}
	return ctx.For(c.images*parts*c.group, 1, func(lo, hi int) error {
		pixels := make([]float32, 0, width*taps)
		windows, places := make([]int, 0, width), make([]int, 0, width)
		for i := lo; i < hi; i++ {
			image, part, group := i/c.group/parts, i/c.group%parts, i%c.group
			pixels, windows, places = pixels[:0], windows[:0], places[:0]
			for at := part * width; at < min((part+1)*width, positions); at++ {
				windows, places = append(windows, len(pixels)), append(places, at)
				pixels = c.gather(pixels, group, image*positions+at)
			}
			columns := kernels.NewColumns(offsets, windows, places)
			c.multiply(filters, columns, pixels, image, group)
			columns.Release()
		}
		return nil
	})
}

// padsLittle reports whether images with their padding are not much larger than
// without: else a small file could ask for a lot of memory.
func (c *convolution) padsLittle() bool {
	const factor, free = 4, 1 << 10
	height, width := c.rows.before+c.rows.in+c.rows.behind, c.cols.before+c.cols.in+c.cols.behind
	most := factor*c.rows.in*c.cols.in + free
	return height <= most && width <= most/height
}

// pad replaces the images by ones with their padding.
func (c *convolution) pad(ctx *ops.Context, padded *[]float32) error {
	rows, cols := c.rows, c.cols
	height, width := rows.before+rows.in+rows.behind, cols.before+cols.in+cols.behind
	n := c.images * c.group * c.channels
	if cap(*padded) < n*height*width {
		*padded = make([]float32, n*height*width)
	}
	to, x := (*padded)[:n*height*width], c.x
	c.x = to
	c.rows = axis{in: height, out: rows.out, kernel: rows.kernel, stride: rows.stride, dilation: rows.dilation}
	c.cols = axis{in: width, out: cols.out, kernel: cols.kernel, stride: cols.stride, dilation: cols.dilation}
	return ctx.For(n, max(1, grain/(height*width)), func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			image := to[i*height*width:][:height*width]
			clear(image[:rows.before*width])
			for y := range rows.in {
				row := image[(rows.before+y)*width:][:width]
				clear(row[:cols.before])
				copy(row[cols.before:], x[(i*rows.in+y)*cols.in:][:cols.in])
				clear(row[cols.before+cols.in:])
			}
			clear(image[(rows.before+rows.in)*width:])
		}
		return nil
	})
}

// gather appends the pixels of one column.
func (c *convolution) gather(pixels []float32, group, column int) []float32 {
	height, width := c.rows.in, c.cols.in
	positions := c.rows.out * c.cols.out
	image, position := column/positions, column%positions
	top := position/c.cols.out*c.rows.stride - c.rows.before
	left := position%c.cols.out*c.cols.stride - c.cols.before
	first := (image*c.group + group) * c.channels
	for channel := range c.channels {
		in := c.x[(first+channel)*height*width:][:height*width]
		for ky := range c.rows.kernel {
			y := top + ky*c.rows.dilation
			for kx := range c.cols.kernel {
				x := left + kx*c.cols.dilation
				var v float32
				if uint(y) < uint(height) && uint(x) < uint(width) {
					v = in[y*width+x]
				}
				pixels = append(pixels, v)
			}
		}
	}
	return pixels
}
