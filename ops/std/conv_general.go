package std

import (
	"github.com/spike-by-spike/sbs/ops"
)

// filtering is a convolution, or the transpose of one, with any number of spatial axes in a
// wide type. Conv uses it for everything but float32 images with one or two axes;
// ConvInteger, QLinearConv and ConvTranspose always use it. Along an axis, the input has
// the size in and the output the size out; for a transposed convolution it is the other way
// around.
type filtering[W wide] struct {
	x, w, bias        []W // bias may be nil
	images, group     int
	channels, filters int // of one group
	axes              []spatialAxis
	transposed        bool // w is (C, M/group, ...) instead of (M, C/group, ...)
}

// run calls done with every plane of the output and its index.
func (f *filtering[W]) run(ctx *ops.Context, done func(number int, plane []W) error) error {
	ins, outs, taps := make([]int, len(f.axes)), make([]int, len(f.axes)), make([]int, len(f.axes))
	for i, a := range f.axes {
		ins[i], outs[i], taps[i] = a.in, a.out, a.kernel
	}
	from, to := numElements(ins), numElements(outs)
	if f.transposed {
		from, to = to, from
	}
	window := numElements(taps)
	return ctx.For(f.images*f.group*f.filters, 1, func(lo, hi int) error {
		plane, err := ops.Temporary[W](ctx, to)
		if err != nil {
			return err
		}
		defer ops.Free(ctx, plane)
		watching := cancelCheck{ctx: ctx}
		for ; lo < hi; lo++ {
			filter := lo % (f.group * f.filters)
			group := filter / f.filters
			var start W
			if f.bias != nil {
				start = f.bias[filter]
			}
			if err := inPieces(ctx, to, func(lo, hi int) {
				for i := range plane[lo:hi] {
					plane[lo+i] = start
				}
			}); err != nil {
				return err
			}
			for c := range f.channels {
				image := f.x[((lo/(f.group*f.filters)*f.group+group)*f.channels+c)*from:][:from]
				w := f.w[(filter*f.channels+c)*window:]
				if f.transposed {
					w = f.w[((group*f.channels+c)*f.filters+filter%f.filters)*window:]
				}
				if err := f.add(&watching, plane, image, w[:window], coordinates{shape: taps, at: make([]int, len(taps))}); err != nil {
					return err
				}
			}
			if err := done(lo, plane); err != nil {
				return err
			}
		}
		return nil
	})
}

// add adds the contribution of one input channel to a plane of the output.
func (f *filtering[W]) add(watching *cancelCheck, plane, image, weights []W, tap coordinates) error {
	last := len(f.axes) - 1
	step := f.axes[last].stride
	for _, w := range weights {
		err := f.rows(tap.at, func(small, large, n int) error {
			for ; n > stepsPerCheck; n -= stepsPerCheck {
				f.addRow(w, plane, image, small, large, stepsPerCheck, step)
				small, large = small+stepsPerCheck, large+stepsPerCheck*step
				if err := watching.after(stepsPerCheck); err != nil {
					return err
				}
			}
			f.addRow(w, plane, image, small, large, n, step)
			return watching.after(1 + n)
		})
		if err == nil {
			err = watching.after(1) // the tap may lie on no position
		}
		if err != nil {
			return err
		}
		tap.next()
	}
	return nil
}

// addRow adds the contribution of a tap of weight w to n neighboring positions.
func (f *filtering[W]) addRow(w W, plane, image []W, small, large, n, step int) {
	if f.transposed {
		for i := range n {
			plane[large+i*step] += product(w, image[small+i])
		}
		return
	}
	for i := range n {
		plane[small+i] += product(w, image[large+i*step])
	}
}

// rows calls row for the positions of the window at which a tap lies on the image. Each
// call covers n neighboring positions: small is the first of them, and large is the place
// of the tap at this position.
func (f *filtering[W]) rows(tap []int, row func(small, large, n int) error) error {
	last := len(f.axes) - 1
	lo, hi := f.axes[last].reach(tap[last])
	if lo >= hi {
		return nil
	}
	a := f.axes[last]
	var outer func(axis, small, large int) error
	outer = func(axis, small, large int) error {
		if axis == last {
			return row(small*a.out+lo, large*a.in+lo*a.stride-a.before+tap[last]*a.dilation, hi-lo)
		}
		b := f.axes[axis]
		first, end := b.reach(tap[axis])
		for p := first; p < end; p++ {
			if err := outer(axis+1, small*b.out+p, large*b.in+p*b.stride-b.before+tap[axis]*b.dilation); err != nil {
				return err
			}
		}
		return nil
	}
	return outer(0, 0, 0)
}

// reach returns the positions lo to hi-1 of the window at which a tap lies on the image.
func (a *spatialAxis) reach(tap int) (lo, hi int) {
	offset := tap*a.dilation - a.before
	if offset < 0 {
		lo = (-offset + a.stride - 1) / a.stride
	}
	if a.in > offset {
		hi = min(a.out, (a.in-offset+a.stride-1)/a.stride)
	}
	return lo, hi
}

// runGeneral computes the cases that the fast path does not support: float64, and more than
// two spatial axes.
func (c *conv) runGeneral(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	x, w := in[0], in[1]
	axes, err := c.axes(ops.Dims(x.Shape()...), ops.Dims(w.Shape()...))
	if err != nil {
		return err
	}
	if x.DType() == ops.Float32 && x.Len() > 0 {
		if done, err := c.runVolumes(ctx, axes, in, out); done || err != nil {
			return err
		}
	}
	t := temporary{ctx: ctx}
	f := filtering[float64]{
		x: elementsOf[float64](&t, x), w: elementsOf[float64](&t, w),
		images: x.Shape()[0], group: c.group, channels: w.Shape()[1], filters: w.Shape()[0] / c.group, axes: axes,
	}
	if len(in) == 3 && in[2] != nil {
		f.bias = elementsOf[float64](&t, in[2])
	}
	if t.err != nil {
		return t.err
	}
	return f.run(ctx, func(number int, plane []float64) error { return storeAll(ctx, out, number*len(plane), 1, plane) })
}
