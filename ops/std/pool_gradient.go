package std

import "github.com/spike-by-spike/sbs/ops"

// windowGradient adds the gradient g of the result of one window to grad, the gradient of
// the pixels of a channel. image holds these pixels.
type windowGradient func(grad, image []float32, width int, rows, cols span, g float32)

// maxPoolGradient gives the gradient to the first of the largest pixels of each window.
func maxPoolGradient(ctx *ops.Context, k operation, in []*ops.Tensor, _ *ops.Tensor, g []float32, gradIn [][]float32) error {
	return k.(*pool).gradient(ctx, in[0], g, gradIn[0], func(grad, image []float32, width int, rows, cols span, g float32) {
		best := -1
		for i := range rows.count {
			at := (rows.first+i*rows.step)*width + cols.first
			for range cols.count {
				if v := image[at]; best < 0 || v > image[best] || v != v { // as in maxOfWindow
					best = at
				}
				at += cols.step
			}
		}
		if best >= 0 { // the window has at least one pixel
			grad[best] += g
		}
	})
}

// averagePoolGradient divides the gradient equally among the pixels of each window.
func averagePoolGradient(ctx *ops.Context, k operation, in []*ops.Tensor, _ *ops.Tensor, g []float32, gradIn [][]float32) error {
	p := k.(*pool)
	return p.gradient(ctx, in[0], g, gradIn[0], func(grad, _ []float32, width int, rows, cols span, g float32) {
		g /= float32(divisor(rows, cols, p.includePads))
		for i := range rows.count {
			at := (rows.first+i*rows.step)*width + cols.first
			for j := range cols.count {
				grad[at+j*cols.step] += g
			}
		}
	})
}

func (p *pool) gradient(ctx *ops.Context, x *ops.Tensor, g, grad []float32, addWindow windowGradient) error {
	axes, err := p.axes(ops.Dims(x.Shape()...))
	if err != nil {
		return err
	}
	if len(axes) > 2 {
		return errSpatial
	}
	rows, cols := rowsAndColumns(axes)
	pixels, positions := rows.in*cols.in, rows.out*cols.out
	images := x.Float32s()
	return ctx.For(x.Shape()[0]*x.Shape()[1], max(1, grain/pixels), func(lo, hi int) error {
		watching, spans := cancelCheck{ctx: ctx}, make([]span, cols.out)
		for j := range spans {
			spans[j] = cols.span(j)
		}
		for c := lo; c < hi; c++ {
			image, to, from := images[c*pixels:][:pixels], grad[c*pixels:][:pixels], g[c*positions:][:positions]
			for i := range rows.out {
				r := rows.span(i)
				for j, s := range spans {
					addWindow(to, image, cols.in, r, s, from[i*cols.out+j])
				}
				if err := watching.after(cols.out * r.count * min(cols.kernel, cols.in)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
