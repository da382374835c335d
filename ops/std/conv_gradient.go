package std

import (
	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
)

const (
	gradColumns = 128     // columns of one matrix product
	gradPartial = 1 << 22 // maximum number of elements of the partial sums
)

// convolutionGradient computes the gradient of a conv. The sums over all images do not
// depend on the number of workers: each image contributes a partial sum, and the partial
// sums are added in a fixed order.
type convolutionGradient struct {
	x, w, g             []float32
	gradX, gradW, gradB []float32 // nil if not wanted
	batch, positions    int
	group               int
	channels, filters   int // of one group
	taps                int // of all channels of a group
	rows, cols          spatialAxis
}

func convGradient(ctx *ops.Context, k operation, in []*ops.Tensor, _ *ops.Tensor, g []float32, gradIn [][]float32) error {
	c := k.(*conv)
	x, w := in[0], in[1]
	axes, err := c.axes(ops.Dims(x.Shape()...), ops.Dims(w.Shape()...))
	if err != nil {
		return err
	}
	if len(axes) > 2 {
		return errSpatial
	}
	d := convolutionGradient{
		x: x.Float32s(), w: w.Float32s(), g: g, gradX: gradIn[0], gradW: gradIn[1],
		batch: x.Shape()[0], group: c.group, channels: w.Shape()[1], filters: w.Shape()[0] / c.group,
	}
	if len(gradIn) == 3 {
		d.gradB = gradIn[2]
	}
	d.rows, d.cols = rowsAndColumns(axes)
	d.taps = d.channels * d.rows.kernel * d.cols.kernel
	d.positions = d.rows.out * d.cols.out
	return d.sumUp(ctx)
}

func (d *convolutionGradient) sumUp(ctx *ops.Context) error {
	sizeW, sizeB := len(d.gradW), len(d.gradB)
	wave := min(max(1, gradPartial/max(1, sizeW+sizeB)), d.batch)
	parts := make([]float32, wave*(sizeW+sizeB))
	buffers := parallel.Spares[[]float32]{New: func() []float32 { return make([]float32, gradColumns*d.taps) }}
	for first := 0; first < d.batch; first += wave {
		count := min(wave, d.batch-first)
		err := ctx.For(count*d.group, 1, func(lo, hi int) error {
			pixels := buffers.Get()
			defer buffers.Put(pixels)
			for i := lo; i < hi; i++ {
				part := parts[i/d.group*(sizeW+sizeB):][:sizeW+sizeB]
				if err := d.compute(ctx, pixels, first+i/d.group, i%d.group, part[:sizeW], part[sizeW:]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i := range count {
			part := parts[i*(sizeW+sizeB):]
			if err := addElements(ctx, d.gradW, part[:sizeW], 1); err != nil {
				return err
			}
			if err := addElements(ctx, d.gradB, part[sizeW:][:sizeB], 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// compute processes one group of one image. gradW and gradB are the partial sums of the
// image.
func (d *convolutionGradient) compute(ctx *ops.Context, pixels []float32, image, group int, gradW, gradB []float32) error {
	first := group * d.filters
	g := d.g[(image*d.group*d.filters+first)*d.positions:][:d.filters*d.positions]
	if d.gradB != nil {
		for f := range d.filters {
			var total float64
			for _, v := range g[f*d.positions:][:d.positions] {
				total += float64(v)
			}
			gradB[first+f] = float32(total)
		}
	}
	for lo := 0; lo < d.positions; lo += gradColumns {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(gradColumns, d.positions-lo)
		if d.gradW != nil {
			clear(pixels)
			for i := range n {
				column := pixels[i*d.taps:][:d.taps]
				d.eachTap(image, group, lo+i, func(tap, at int) { column[tap] = d.x[at] })
			}
			if err := kernel.Gemm(ctx, false, false, d.filters, d.taps, n, g[lo:], d.positions, pixels, d.taps, gradW[first*d.taps:], d.taps, lo > 0); err != nil {
				return err
			}
		}
		if d.gradX != nil {
			if err := kernel.Gemm(ctx, true, false, n, d.taps, d.filters, g[lo:], d.positions, d.w[first*d.taps:], d.taps, pixels, d.taps, false); err != nil {
				return err
			}
			for i := range n {
				column := pixels[i*d.taps:][:d.taps]
				d.eachTap(image, group, lo+i, func(tap, at int) { d.gradX[at] += column[tap] })
			}
		}
	}
	return nil
}

// eachTap calls f for every tap of the window at an output position that lies on the image,
// with the place of its pixel in x.
func (d *convolutionGradient) eachTap(image, group, position int, f func(tap, at int)) {
	height, width := d.rows.in, d.cols.in
	top := position/d.cols.out*d.rows.stride - d.rows.before
	left := position%d.cols.out*d.cols.stride - d.cols.before
	tap := 0
	for channel := range d.channels {
		plane := ((image*d.group+group)*d.channels + channel) * height * width
		for ky := range d.rows.kernel {
			y := top + ky*d.rows.dilation
			for kx := range d.cols.kernel {
				x := left + kx*d.cols.dilation
				if uint(y) < uint(height) && uint(x) < uint(width) {
					f(tap, plane+y*width+x)
				}
				tap++
			}
		}
	}
}
