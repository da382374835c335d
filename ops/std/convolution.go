package std

import (
	"sync"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// convolution is a conv for inputs of one shape, computed as a product of matrices: the
// weights of each group, (filters, taps), times the pixels, (taps, columns). A column is an
// output position of an image, and a tap is a place in the window of a channel.
type convolution struct {
	of            *conv
	ctx           *ops.Context // of the current run
	image, window []int        // shapes of X and W

	x, w, bias, out   []float32 // of the current run, as are padded and product
	images            int
	channels, filters int // of one group
	group             int
	rows, cols        spatialAxis

	source  pixelSource
	inner   [2]spatialAxis // rows and cols of padded images
	padded  []float32      // x with padding
	blocks  blocks
	columns []*kernel.Columns // of each part of an image, then of a smaller last block
	memory  int64             // of the columns
	ordinal []int             // 0, 1, 2 and so on: the offsets of gathered taps
	product *kernel.Filters
	kept    bool        // product serves later runs, too
	loose   keptWeights // of the current run, unless they are kept

	stages []stage // are applied to each part of the output
	pools  bool    // the output is made of the maxima of 2 x 2 positions, without negative numbers

	planes  *planeWindows // nil unless each channel has filters of its own
	windows *windowBlocks // nil if the pixels are copied to columns instead
}

// pixelSource says where a convolution reads its pixels from.
type pixelSource int

const (
	fromImages   pixelSource = iota
	fromPadded               // from a padded copy of the images
	fromGathered             // one by one, because the padding is far larger than the images
)

// Workers compute blocks. A block holds a part of the positions of one image or, if an
// image has few positions, all positions of some images. The pixels of maxBlock columns
// stay in the second-level cache, and minBlock columns fill whole vectors of every
// instruction set.
const (
	minBlock = 32
	maxBlock = 256
)

// blocks says how the columns of a convolution are divided.
type blocks struct {
	images    int // of a block
	positions int // of an image in a block
	parts     int // of an image
	count     int
}

func (c *convolution) divide() blocks {
	positions := c.rows.out * c.cols.out
	// Even a single image is divided into several blocks.
	width := min(max(minBlock, c.images*positions/16), maxBlock)
	b := blocks{images: min(max(1, width/positions), c.images), positions: positions, parts: 1}
	if b.images == 1 && positions > width {
		b.positions = width / minBlock * minBlock
		b.parts = (positions + b.positions - 1) / b.positions
	}
	b.count = (c.images + b.images - 1) / b.images * b.parts
	return b
}

// prepare computes everything that is the same for every run.
func (c *convolution) prepare(ctx *ops.Context) error {
	if c.channels == 1 && c.group > 1 && c.filters < minWindowFilters {
		if c.planes = newPlaneWindows(c.rows, c.cols); c.planes != nil {
			return nil
		}
	}
	c.inner = [2]spatialAxis{c.rows, c.cols}
	if c.rows.before+c.rows.after+c.cols.before+c.cols.after > 0 {
		if !c.padsLittle() {
			c.source = fromGathered
			c.blocks = c.divideGathered()
			for t := range c.taps() {
				c.ordinal = append(c.ordinal, t)
			}
			return nil
		}
		c.source = fromPadded
		for i, a := range c.inner {
			c.inner[i] = spatialAxis{in: a.before + a.in + a.after, out: a.out, kernel: a.kernel, stride: a.stride, dilation: a.dilation}
		}
	}
	if suitsTiles(c.filters, c.taps()) && !c.suitsColumns() {
		c.windows = c.divideWindows()
		return nil
	}
	b := c.divide()
	c.blocks = b
	// The blocks of all images have the same columns, except for the place where
	// they start.
	taps := c.tapOffsets()
	c.memory = 8 * int64(len(taps))
	add := func(images, first, last int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		most := int64(images*(last-first)) * maxColumnBytes
		if err := ctx.Reserve(most); err != nil {
			return err
		}
		columns := c.locate(taps, images, first, last)
		c.columns = append(c.columns, columns)
		c.memory += columns.Bytes()
		ctx.Release(most - columns.Bytes())
		return nil
	}
	for i := range b.parts {
		first := i * b.positions
		if err := add(b.images, first, min(first+b.positions, c.rows.out*c.cols.out)); err != nil {
			return err
		}
	}
	if c.images%b.images != 0 {
		return add(c.images%b.images, 0, b.positions)
	}
	return nil
}

// maxColumnBytes is about the largest memory of a column.
const maxColumnBytes = 400

// compute computes the output, with the stages and the pool that are set. They apply to one run
// only.
func (c *convolution) compute(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	c.x, c.w, c.bias, c.out = in[0].Float32s(), in[1].Float32s(), nil, out.Float32s()
	if len(in) == 3 && in[2] != nil {
		c.bias = in[2].Float32s()
	}
	c.ctx = ctx
	defer c.forget()
	return c.run(ctx)
}

// run computes the output. Each element is the bias plus one tap after the other, so that
// it depends neither on the blocks nor on the number of workers.
func (c *convolution) run(ctx *ops.Context) error {
	if p := c.planes; p != nil {
		work := p.band * p.width * len(p.taps) / 8
		return ctx.Do(c.images*c.group*p.bands, max(1, grain/max(1, work)), (*depthwiseLoop)(c))
	}
	if err := c.layOut(ctx); err != nil {
		return err
	}
	n := c.blocks.count * c.group
	switch c.source {
	case fromGathered:
		return ctx.Do(n, 1, (*gatheredLoop)(c))
	case fromPadded:
		p := paddedImages.Get().(*[]float32)
		defer paddedImages.Put(p)
		images, size := c.images*c.group*c.channels, c.inner[0].in*c.inner[1].in
		if err := ctx.Reserve(4 * int64(images) * int64(size)); err != nil {
			return err
		}
		if cap(*p) < images*size {
			*p = make([]float32, images*size)
		}
		c.padded = (*p)[:images*size]
		if err := ctx.Do(images, max(1, grain/size), (*paddingLoop)(c)); err != nil {
			return err
		}
		c.x = c.padded
	}
	if c.windows != nil {
		return ctx.Do(c.windows.count(), 1, (*windowLoop)(c))
	}
	return ctx.Do(n, 1, c)
}

// paddedImages holds the memory of padded images. Convolutions share it, so that a network
// needs only as much as its largest convolution.
var paddedImages = sync.Pool{New: func() any { return new([]float32) }}

// forget releases everything that belongs to one run only.
func (c *convolution) forget() {
	if c.product != nil && !c.kept {
		c.product.Release()
		c.loose.columns = nil
	}
	c.ctx, c.x, c.w, c.bias, c.out, c.padded, c.product = nil, nil, nil, nil, nil, nil, nil
	c.stages, c.pools = nil, false
	if c.windows != nil {
		c.windows.filters, c.loose.windows = nil, nil
	}
}

// Part implements parallel.Loop over the blocks of all groups.
func (c *convolution) Part(lo, hi int) error {
	b := c.blocks
	for i := lo; i < hi; i++ {
		block, group := i/c.group, i%c.group
		image := block / b.parts * b.images
		columns := c.columns[block%b.parts]
		if image+b.images > c.images {
			columns = c.columns[len(c.columns)-1]
		}
		pixels := c.x[(image*c.group+group)*c.channels*c.inner[0].in*c.inner[1].in:]
		if err := c.multiply(columns, pixels, image, group); err != nil {
			return err
		}
		first := block % b.parts * b.positions
		if err := c.finish(image, min(image+b.images, c.images), group, first, min(first+b.positions, c.rows.out*c.cols.out)); err != nil {
			return err
		}
	}
	return nil
}

// finish applies the stages to the positions first to last-1 of some images.
func (c *convolution) finish(image, end, group, first, last int) error {
	if c.stages == nil {
		return nil
	}
	watching := cancelCheck{ctx: c.ctx}
	for ; image < end; image++ {
		for f := range c.filters {
			at := ((image*c.group+group)*c.filters + f) * c.rows.out * c.cols.out
			if err := apply(&watching, c.stages, at+first, at+last); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *convolution) taps() int { return c.channels * c.rows.kernel * c.cols.kernel }

// multiply computes columns. They and pixels count from the given image.
func (c *convolution) multiply(columns *kernel.Columns, pixels []float32, image, group int) error {
	positions := c.rows.out * c.cols.out
	var bias []float32
	if c.bias != nil {
		bias = c.bias[group*c.filters:][:c.filters]
	}
	out := c.out[(image*c.group+group)*c.filters*positions:]
	return c.product.Convolve(c.ctx, group, columns, pixels, bias, out, positions)
}

// tapOffsets returns the distance of each tap of a window from the first one.
func (c *convolution) tapOffsets() []int {
	taps := make([]int, 0, c.taps())
	for channel := range c.channels {
		for ky := range c.rows.kernel {
			row := (channel*c.inner[0].in + ky*c.rows.dilation) * c.inner[1].in
			for kx := range c.cols.kernel {
				taps = append(taps, row+kx*c.cols.dilation)
			}
		}
	}
	return taps
}

// locate returns the columns of the positions first to last-1 of some images: where their
// windows start, and where their outputs go. The padding is part of the images.
func (c *convolution) locate(taps []int, images, first, last int) *kernel.Columns {
	n := images * (last - first)
	offsets, places := make([]int, 0, n), make([]int, 0, n)
	for image := range images {
		pixels := image * c.group * c.channels * c.inner[0].in * c.inner[1].in
		outputs := image * c.group * c.filters * c.rows.out * c.cols.out
		for at := first; at < last; at++ {
			i, j := at/c.cols.out, at%c.cols.out
			offsets = append(offsets, pixels+i*c.rows.stride*c.inner[1].in+j*c.cols.stride)
			places = append(places, outputs+at)
		}
	}
	return kernel.NewColumns(taps, offsets, places)
}

// padsLittle reports whether padded images are not much larger than the images. Without
// this check a small file could ask for a lot of memory.
func (c *convolution) padsLittle() bool {
	const factor, free = 4, 1 << 18
	height, width := c.rows.before+c.rows.in+c.rows.after, c.cols.before+c.cols.in+c.cols.after
	most := factor*c.rows.in*c.cols.in + free/max(1, c.images*c.group*c.channels)
	return height <= most && width <= most/height
}

// paddingLoop copies images into padded images.
type paddingLoop convolution

func (c *paddingLoop) Part(lo, hi int) error {
	height, width := c.inner[0].in, c.inner[1].in
	for i := lo; i < hi; i++ {
		image := c.padded[i*height*width:][:height*width]
		clear(image) // faster than clearing the padding of each row
		watching := cancelCheck{ctx: c.ctx}
		for y := range c.rows.in {
			if err := watching.after(c.cols.in); err != nil {
				return err
			}
			copy(image[(c.rows.before+y)*width+c.cols.before:], c.x[(i*c.rows.in+y)*c.cols.in:][:c.cols.in])
		}
	}
	return nil
}

// gatheredLoop computes blocks whose pixels are copied one by one.
type gatheredLoop convolution

func (c *convolution) divideGathered() blocks {
	const elements = 1 << 18 // per block
	positions := c.rows.out * c.cols.out
	b := blocks{images: 1, positions: min(max(1, elements/max(1, c.taps())), maxBlock, positions)}
	b.parts = (positions + b.positions - 1) / b.positions
	b.count = c.images * b.parts
	return b
}

func (g *gatheredLoop) Part(lo, hi int) error {
	c, b := (*convolution)(g), g.blocks
	positions := c.rows.out * c.cols.out
	for i := lo; i < hi; i++ {
		image, part, group := i/c.group/b.parts, i/c.group%b.parts, i%c.group
		room := (min((part+1)*b.positions, positions) - part*b.positions) * c.taps()
		pixels, err := ops.Temporary[float32](c.ctx, room)
		if err != nil {
			return err
		}
		pixels = pixels[:0]
		watching := cancelCheck{ctx: c.ctx}
		var windows, places []int
		for at := part * b.positions; at < min((part+1)*b.positions, positions); at++ {
			windows, places = append(windows, len(pixels)), append(places, at)
			if pixels, err = c.gather(&watching, pixels, group, image*positions+at); err != nil {
				return err
			}
		}
		columns := kernel.NewColumns(c.ordinal, windows, places)
		if err = c.multiply(columns, pixels, image, group); err == nil {
			err = c.finish(image, image+1, group, part*b.positions, min((part+1)*b.positions, positions))
		}
		columns.Release()
		ops.Free(c.ctx, pixels)
		if err != nil {
			return err
		}
	}
	return nil
}

// gather appends the pixels of one column.
func (c *convolution) gather(watching *cancelCheck, pixels []float32, group, column int) ([]float32, error) {
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
			if err := watching.after(c.cols.kernel); err != nil {
				return nil, err
			}
		}
	}
	return pixels, nil
}
