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

// Blocks of columns are what workers take. They are whole vectors of every tier,
// and a single image, too, is worth several.
const (
	minBlock = 32
	maxBlock = 256
)

// convolutionScratch is the memory of a worker.
type convolutionScratch struct {
	columns, places, taps []int
	pixels                []float32
}

var (
	convolutionScratches = sync.Pool{New: func() any { return new(convolutionScratch) }}
	paddedImages         = sync.Pool{New: func() any { return new([]float32) }}
)

// run computes the output. Each of its elements is the bias and then tap after
// tap, so that neither blocks nor workers have a say in it.
func (c *convolution) run(ctx *ops.Context) error {
	taps := c.channels * c.rows.kernel * c.cols.kernel
	filters := kernels.NewFilters(c.group, c.filters, taps, c.w)
	defer filters.Release()
	gathered := false
	if c.rows.before+c.rows.behind+c.cols.before+c.cols.behind > 0 {
		if gathered = !c.padsLittle(); !gathered {
			padded := paddedImages.Get().(*[]float32)
			defer paddedImages.Put(padded)
			if err := c.pad(ctx, padded); err != nil {
				return err
			}
		}
	}
	columns := c.images * c.rows.out * c.cols.out
	width := min(max(minBlock, columns/16/minBlock*minBlock), maxBlock)
	if gathered {
		width = max(1, min(width, 1<<18/max(1, taps)))
	}
	blocks := (columns + width - 1) / width
	return ctx.For(c.group*blocks, 1, func(lo, hi int) error {
		s := convolutionScratches.Get().(*convolutionScratch)
		defer convolutionScratches.Put(s)
		for i := lo; i < hi; i++ {
			group, first := i/blocks, i%blocks*width
			last := min(first+width, columns)
			p := kernels.Product{Out: c.out, Stride: c.rows.out * c.cols.out}
			if gathered {
				c.gatherBlock(s, &p, group, first, last)
			} else {
				c.locate(s, &p, group, first, last)
			}
			c.place(s, &p, group, first, last)
			filters.Convolve(group, p)
		}
		return nil
	})
}

// place says where the columns lo to hi go.
func (c *convolution) place(s *convolutionScratch, p *kernels.Product, group, lo, hi int) {
	positions := c.rows.out * c.cols.out
	first := group * c.filters
	s.places = s.places[:0]
	for at := lo; at < hi; {
		image, position := at/positions, at%positions
		next := min(hi, (image+1)*positions)
		for to := (image*c.group*c.filters+first)*positions + position; at < next; at++ {
			s.places = append(s.places, to)
			to++
		}
	}
	p.Places = s.places
	if c.bias != nil {
		p.Bias = c.bias[first:][:c.filters]
	}
}

// locate says where the pixels of the columns lo to hi are, in images that need
// no padding.
func (c *convolution) locate(s *convolutionScratch, p *kernels.Product, group, lo, hi int) {
	height, width := c.rows.in, c.cols.in
	s.taps = s.taps[:0]
	for channel := range c.channels {
		for ky := range c.rows.kernel {
			row := (channel*height + ky*c.rows.dilation) * width
			for kx := range c.cols.kernel {
				s.taps = append(s.taps, row+kx*c.cols.dilation)
			}
		}
	}
	positions := c.rows.out * c.cols.out
	s.columns = s.columns[:0]
	for at := lo; at < hi; {
		image, position := at/positions, at%positions
		i, j := position/c.cols.out, position%c.cols.out
		row := ((image*c.group+group)*c.channels*height + i*c.rows.stride) * width
		next := min(hi, at+c.cols.out-j)
		for ; at < next; at++ {
			s.columns = append(s.columns, row+j*c.cols.stride)
			j++
		}
	}
	p.X, p.Taps, p.Columns = c.x, s.taps, s.columns
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

// gatherBlock copies the pixels of the columns lo to hi, for windows that reach
// far beyond the images.
func (c *convolution) gatherBlock(s *convolutionScratch, p *kernels.Product, group, lo, hi int) {
	taps := c.channels * c.rows.kernel * c.cols.kernel
	s.taps, s.columns, s.pixels = s.taps[:0], s.columns[:0], s.pixels[:0]
	for t := range taps {
		s.taps = append(s.taps, t)
	}
	for at := lo; at < hi; at++ {
		s.columns = append(s.columns, len(s.pixels))
		s.pixels = c.gather(s.pixels, group, at)
	}
	p.X, p.Taps, p.Columns = s.pixels, s.taps, s.columns
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
