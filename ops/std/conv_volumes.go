package std

import (
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// volumes is a Conv of float32 with more than two spatial axes, for inputs of one shape, as a product
// of matrices. A column of the second matrix is the window at an output position of the padded input.
// Columns of a block of rows, along the last two axes, lie in the same way in every block: only the
// place where the block begins differs.
type volumes struct {
	image, window     []int // shapes of X and W
	ctx               *ops.Context
	x, bias, out      []float32 // of the current run
	axes              []spatialAxis
	images, group     int
	channels, filters int                // of one group
	sizes, strides    []int              // of the padded input, along the spatial axes
	size, positions   int                // elements of a padded channel, and of a channel of the output
	outer             []int              // sizes of the output along the axes before the last two
	rows, blocks      int                // rows of a block, and blocks of the last two axes
	columns           [2]*kernel.Columns // of a block, and of the last block
	memory            int64
	padded            bool
	product           *kernel.Filters
}

// newVolumes returns volumes for inputs of some shapes, and nil if the padding is far larger than the
// images.
func newVolumes(ctx *ops.Context, c *conv, x, w []int, axes []spatialAxis) (*volumes, error) {
	v := &volumes{
		image: slices.Clone(x), window: slices.Clone(w), axes: axes, images: x[0], group: c.group, channels: w[1], filters: w[0] / c.group,
		size: 1, positions: 1,
	}
	const factor, free = 4, 1 << 18
	inputs := 1
	for _, a := range axes {
		size := a.before + a.in + a.after
		inputs *= a.in
		if size == 0 || size > (factor*inputs+free/max(1, v.images*x[1]))/v.size {
			return nil, nil
		}
		v.padded = v.padded || size != a.in
		v.sizes = append(v.sizes, size)
		v.size *= size
		v.positions *= a.out
	}
	v.strides = rowMajor(v.sizes)
	n := len(axes)
	h, width := &axes[n-2], &axes[n-1]
	for _, a := range axes[:n-2] {
		v.outer = append(v.outer, a.out)
	}
	v.rows = min(h.out, max(1, maxBlock/width.out))
	v.blocks = (h.out + v.rows - 1) / v.rows
	var taps []int
	window := make([]int, n)
	for i, a := range axes {
		window[i] = a.kernel
	}
	if err := ctx.Reserve(8 * int64(v.channels) * int64(numElements(window))); err != nil {
		return nil, err
	}
	watching := cancelCheck{ctx: ctx}
	for channel := range v.channels {
		at := coordinates{shape: window, at: make([]int, n)}
		for range numElements(window) {
			tap := channel * v.size
			for i, a := range axes {
				tap += at.at[i] * a.dilation * v.strides[i]
			}
			taps = append(taps, tap)
			at.next()
			if err := watching.after(n); err != nil {
				return nil, err
			}
		}
	}
	for i, rows := range []int{v.rows, h.out - (v.blocks-1)*v.rows} {
		if err := ctx.Reserve(int64(rows*width.out) * maxColumnBytes); err != nil {
			return nil, err
		}
		var offsets, places []int
		for y := range rows {
			for x := range width.out {
				offsets, places = append(offsets, y*h.stride*v.strides[n-2]+x*width.stride), append(places, y*width.out+x)
			}
		}
		v.columns[i] = kernel.NewColumns(taps, offsets, places)
		v.memory += v.columns[i].Bytes()
	}
	v.memory += 8 * int64(len(taps))
	return v, nil
}

// runVolumes computes a Conv of float32, or returns false if it does not.
func (c *conv) runVolumes(ctx *ops.Context, axes []spatialAxis, in []*ops.Tensor, out *ops.Tensor) (bool, error) {
	x, w := in[0], in[1]
	kept := ops.Scratch[*volumes](ctx)
	v := *kept
	if v == nil || !slices.Equal(v.image, x.Shape()) || !slices.Equal(v.window, w.Shape()) {
		var err error
		if v, err = newVolumes(ctx, c, x.Shape(), w.Shape(), axes); v == nil {
			return false, err
		}
		*kept = v
	} else if err := ctx.Reserve(v.memory); err != nil {
		return true, err
	}
	taps := v.channels * numElements(w.Shape()[2:])
	if err := ctx.Reserve(kernel.FiltersBytes(v.group, v.filters, taps)); err != nil {
		return true, err
	}
	if v.product == nil || !ctx.Constant(1) {
		v.product = nil
		product, err := kernel.NewFilters(ctx, v.group, v.filters, taps, w.Float32s())
		if err != nil {
			return true, err
		}
		v.product = product
	}
	v.ctx, v.x, v.bias, v.out = ctx, x.Float32s(), nil, out.Float32s()
	if b := optionalInput(in, 2); b != nil {
		v.bias = b.Float32s()
	}
	defer func() { v.ctx, v.x, v.bias, v.out = nil, nil, nil, nil }()
	if v.padded {
		padded, err := ops.Temporary[float32](ctx, v.images*v.group*v.channels*v.size)
		if err != nil {
			return true, err
		}
		defer ops.Free(ctx, padded)
		if err := v.pad(padded); err != nil {
			return true, err
		}
		v.x = padded
	}
	return true, ctx.Do(v.images*v.group*numElements(v.outer)*v.blocks, 1, v)
}

// pad copies the rows of X into the padded input, whose other elements are 0.
func (v *volumes) pad(padded []float32) error {
	last := len(v.axes) - 1
	width := v.axes[last].in
	var outer []int
	for _, a := range v.axes[:last] {
		outer = append(outer, a.in)
	}
	rows := numElements(outer)
	return v.ctx.For(v.images*v.group*v.channels*rows, max(1, grain/max(1, width)), func(lo, hi int) error {
		watching := cancelCheck{ctx: v.ctx}
		at := coordinatesAt(lo%rows, outer)
		for i := lo; i < hi; i++ {
			place := i/rows*v.size + v.axes[last].before
			for d, y := range at.at {
				place += (y + v.axes[d].before) * v.strides[d]
			}
			copy(padded[place:][:width], v.x[i*width:])
			at.next()
			if err := watching.after(1 + width); err != nil {
				return err
			}
		}
		return nil
	})
}

// Part implements parallel.Loop over the blocks of all groups and images.
func (v *volumes) Part(lo, hi int) error {
	n := len(v.axes)
	inner := v.axes[n-2].out * v.axes[n-1].out
	outer := numElements(v.outer)
	for ; lo < hi; lo++ {
		block, plane, group := lo%v.blocks, lo/v.blocks%outer, lo/v.blocks/outer
		from := group*v.channels*v.size + block*v.rows*v.axes[n-2].stride*v.strides[n-2]
		for d, at := range coordinatesAt(plane, v.outer).at {
			from += at * v.axes[d].stride * v.strides[d]
		}
		to := group*v.filters*v.positions + plane*inner + block*v.rows*v.axes[n-1].out
		columns := v.columns[0]
		if block == v.blocks-1 {
			columns = v.columns[1]
		}
		var bias []float32
		if v.bias != nil {
			bias = v.bias[group%v.group*v.filters:]
		}
		if err := v.product.Convolve(v.ctx, group%v.group, columns, v.x[from:], bias, v.out[to:], v.positions); err != nil {
			return err
		}
	}
	return nil
}
