package std

import (
	"github.com/spike-by-spike/sbs/ops"
)

// copyNearest copies one element of X to each element of the output.
func (k *resize) copyNearest(ctx *ops.Context, x, out *ops.Tensor, plans []axisPlan) error {
	if x.DType() == ops.Float32 && !k.crops() {
		return copyNearestRows(ctx, x.Float32s(), out.Float32s(), x.Shape(), out.Shape(), plans)
	}
	fill, err := ops.Zeros(x.DType(), []int{1})
	if err != nil {
		return err
	}
	store(fill, 0, 1, []float64{k.outside})
	strides := rowMajor(x.Shape())
	return take(ctx, out, x, fill, 1, func(first int, places []int) error {
		c := coordinatesAt(first, out.Shape())
		for i := range places {
			places[i] = 0
			for d, at := range c.at {
				p := &plans[d]
				if p.outside != nil && p.outside[at] {
					places[i] = nowhere
					break
				}
				if p.taps != 0 {
					at = p.index[at]
				}
				places[i] += at * strides[d]
			}
			c.next()
		}
		return nil
	})
}

// copyNearestRows is copyNearest row by row. Neighboring rows of the output that are copies of the
// same row of X are copies of each other.
func copyNearestRows(ctx *ops.Context, x, out []float32, from, to []int, plans []axisPlan) error {
	last := len(to) - 1
	if last < 0 {
		copy(out, x)
		return nil
	}
	width, strides, p := to[last], rowMajor(from), &plans[last]
	return ctx.For(len(out)/width, max(1, grain/width), func(lo, hi int) error {
		watching := cancelCheck{ctx: ctx}
		c := coordinatesAt(lo, to[:last])
		before := -1 // the place of the row before
		for i := lo; i < hi; i++ {
			place := 0
			for d, at := range c.at {
				if plans[d].taps != 0 {
					at = plans[d].index[at]
				}
				place += at * strides[d]
			}
			c.next()
			row := out[i*width:][:width]
			for first := 0; first < width; first += stepsPerCheck {
				end := min(first+stepsPerCheck, width)
				switch pixels := x[place:][:from[last]]; {
				case place == before:
					copy(row[first:end], out[(i-1)*width+first:])
				case p.taps == 0:
					copy(row[first:end], pixels[first:])
				default:
					for j, at := range p.index[first:end] {
						row[first+j] = pixels[at]
					}
				}
				if err := watching.after(end - first); err != nil {
					return err
				}
			}
			before = place
		}
		return nil
	})
}

// applyPlan resizes one axis of src, whose shape is given.
func applyPlan[T float32 | float64](ctx *ops.Context, p *axisPlan, dst, src []T, shape []int) error {
	inner := numElements(shape[p.axis+1:])
	outer := shape[p.axis] * inner // elements of src per index of the axes before
	if inner == 1 {
		weights, err := ops.Temporary[T](ctx, len(p.weight))
		if err != nil {
			return err
		}
		defer ops.Free(ctx, weights)
		if err := inPieces(ctx, len(weights), func(lo, hi int) {
			for i, w := range p.weight[lo:hi] {
				weights[lo+i] = T(w)
			}
		}); err != nil {
			return err
		}
		return ctx.For(len(dst)/p.size, max(1, grain/(p.size*p.taps)), func(lo, hi int) error {
			watching := cancelCheck{ctx: ctx}
			for i := lo; i < hi; i++ {
				if err := resizeRow(&watching, p, dst[i*p.size:][:p.size], src[i*outer:][:outer], weights); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return ctx.For(len(dst)/inner, max(1, grain/inner), func(lo, hi int) error {
		watching := cancelCheck{ctx: ctx}
		for i := lo; i < hi; i++ {
			to, rows := dst[i*inner:][:inner], src[i/p.size*outer:][:outer]
			at := i % p.size * p.taps
			for first := 0; first < inner; first += stepsPerCheck {
				last := min(first+stepsPerCheck, inner)
				if p.taps == 2 {
					a, b := rows[p.index[at]*inner:][first:last], rows[p.index[at+1]*inner:][first:last]
					addTwoWeighted(to[first:last], a, b, T(p.weight[at]), T(p.weight[at+1]))
					if err := watching.after(last - first); err != nil {
						return err
					}
					continue
				}
				for j := range p.taps {
					addWeighted(to[first:last], rows[p.index[at+j]*inner:][first:last], T(p.weight[at+j]), j == 0)
					if err := watching.after(last - first); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

// addWeighted adds w times the elements of src to those of dst, or to 0 if they are the first.
func addWeighted[T float32 | float64](dst, src []T, w T, first bool) {
	src = src[:len(dst)]
	if first {
		for i, v := range src {
			dst[i] = T(w * v) //nolint:unconvert // the conversion rounds
		}
		return
	}
	for i, v := range src {
		dst[i] += T(w * v) //nolint:unconvert // the conversion rounds
	}
}

// resizeRow computes a row along the axis.
func resizeRow[T float32 | float64](watching *cancelCheck, p *axisPlan, to, row, weights []T) error {
	if p.taps == 2 { // mode linear
		for first := 0; first < len(to); first += stepsPerCheck {
			part := to[first:min(first+stepsPerCheck, len(to))]
			index, w := p.index[2*first:][:2*len(part)], weights[2*first:][:2*len(part)]
			for i := range part {
				part[i] = T(w[2*i]*row[index[2*i]]) + T(w[2*i+1]*row[index[2*i+1]]) //nolint:unconvert // the conversions round
			}
			if err := watching.after(len(part)); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range to {
		var sum T
		for first, end := i*p.taps, (i+1)*p.taps; first < end; first += stepsPerCheck {
			last := min(first+stepsPerCheck, end)
			w := weights[first:last]
			for j, at := range p.index[first:last] {
				sum += T(w[j] * row[at]) //nolint:unconvert // the conversion rounds
			}
			if err := watching.after(last - first); err != nil {
				return err
			}
		}
		to[i] = sum
	}
	return nil
}

// addTwoWeighted sets dst to the sum of v times the elements of a and w times those of b.
func addTwoWeighted[T float32 | float64](dst, a, b []T, v, w T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = T(v*a[i]) + T(w*b[i]) //nolint:unconvert // the conversions round
	}
}
