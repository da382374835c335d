package std

import (
	"context"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// momentsOf is meanVariance of float32 numbers.
func momentsOf(ctx context.Context, x []float32) (mean, variance float64, err error) {
	if err = inPieces(ctx, len(x), func(lo, hi int) { mean += kernel.Total(kernel.Numbers, x[lo:hi], 0) }); err != nil {
		return 0, 0, err
	}
	mean /= float64(len(x))
	err = inPieces(ctx, len(x), func(lo, hi int) { variance += kernel.Total(kernel.Squares, x[lo:hi], mean) })
	return mean, variance / float64(len(x)), err
}

// squaresOf is meanSquare of float32 numbers.
func squaresOf(ctx context.Context, x []float32) (zero, mean float64, err error) {
	err = inPieces(ctx, len(x), func(lo, hi int) { mean += kernel.Total(kernel.Squares, x[lo:hi], 0) })
	return 0, mean / float64(len(x)), err
}

// normalizing holds the parameters of kernel.Normalize and kernel.NormalizeRow.
type normalizing [4]float32

// set sets the parameters for (x - mean)*factor + bias. The mean has two parts, so that it is as precise
// as the numbers are near it.
func (p *normalizing) set(mean, factor, bias float64) {
	high := float32(mean)
	*p = normalizing{high, float32(mean - float64(high)), float32(factor), float32(bias)}
}

// apply computes y = (x - mean)*factor + bias.
func (p *normalizing) apply(ctx context.Context, y, x []float32) error {
	return inPieces(ctx, len(x), func(lo, hi int) { kernel.Map(kernel.Normalize, y[lo:hi], x[lo:hi], p[:]) })
}

// normalizePlanes computes (x - mean)/sqrt(variance + epsilon)*scale + bias for groups of planes of size
// numbers. affine returns the scale and the bias of a plane of a group.
func normalizePlanes(ctx *ops.Context, y, x []float32, size, planes int, epsilon float64, affine func(group, plane int) (scale, bias float64)) error {
	all := size * planes
	if len(x) == 0 {
		return nil
	}
	return ctx.For(len(x)/all, max(1, grain/all), func(lo, hi int) error {
		p := new(normalizing)
		for ; lo < hi; lo++ {
			to, from := y[lo*all:][:all], x[lo*all:][:all]
			mean, variance, err := momentsOf(ctx, from)
			if err != nil {
				return err
			}
			for i := range planes {
				scale, bias := affine(lo, i)
				p.set(mean, scale/math.Sqrt(variance+epsilon), bias)
				if err := p.apply(ctx, to[i*size:][:size], from[i*size:][:size]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// rowsOf computes the rows lo to hi-1 of float32 numbers.
func (r *rowNormalizing) rowsOf(y, x []float32, lo, hi int) error {
	measure := squaresOf
	if r.centered {
		measure = momentsOf
	}
	p := new(normalizing)
	for row := lo; row < hi; row++ {
		to, from := y[row*r.size:][:r.size], x[row*r.size:][:r.size]
		mean, variance, err := measure(r.ctx, from)
		if err != nil {
			return err
		}
		factor := 1 / math.Sqrt(variance+r.epsilon)
		r.done(row, mean, factor)
		p.set(mean, factor, noBias)
		if r.scales == nil {
			err = p.apply(r.ctx, to, from)
		} else {
			err = inPieces(r.ctx, r.size, func(lo, hi int) {
				biases := r.biases
				if len(biases) == r.size {
					biases = biases[lo:]
				}
				kernel.NormalizeRow(to[lo:hi], from[lo:hi], r.scales[lo:hi], biases[:hi-lo], p[:])
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isNormal reports whether float32 holds a positive number with its full precision.
func isNormal(v float64) bool { return v >= 0x1p-126 && v <= math.MaxFloat32 }

// normSingles divides rows of float32 numbers by their norms. Rows with the norm 0 stay as they are.
func normSingles(ctx *ops.Context, y, x []float32, size int, of kernel.Summand) error {
	if len(x) == 0 {
		return nil
	}
	return ctx.For(len(x)/size, max(1, grain/size), func(lo, hi int) error {
		for ; lo < hi; lo++ {
			to, from, norm := y[lo*size:][:size], x[lo*size:][:size], 0.0
			err := inPieces(ctx, size, func(lo, hi int) { norm += kernel.Total(of, from[lo:hi], 0) })
			if err != nil {
				return err
			}
			if of == kernel.Squares {
				norm = math.Sqrt(norm)
			}
			if norm == 0 {
				norm = 1
			}
			divisor := [1]float32{float32(norm)}
			err = inPieces(ctx, size, func(lo, hi int) {
				if isNormal(norm) {
					kernel.Combine(kernel.Div, to[lo:hi], from[lo:hi], divisor[:], 1, 0)
					return
				}
				for i, v := range from[lo:hi] {
					to[lo+i] = float32(float64(v) / norm)
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// runLists computes MeanVarianceNormalization of float32 elements, of which those of a mean are in
// lists.
func (k meanVarianceNormalization) runLists(ctx *ops.Context, l *reduceLoop, y, x []float32) error {
	next := l.kept.inner()[1]
	return ctx.For(l.kept.total, max(1, grain/l.reduced.total), func(lo, hi int) error {
		p := new(normalizing)
		// each calls f with the lists of one mean.
		each := func(first int, f func(at, n int)) error {
			watching := cancelCheck{ctx: ctx}
			return l.reduced.walk(0, l.reduced.total, func(at [maxOperands]int, count int) error {
				for i := 0; i < count; i += stepsPerCheck {
					n := min(stepsPerCheck, count-i)
					f(first+at[0]+i, n)
					if err := watching.after(n); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return l.kept.walk(lo, hi, func(to [maxOperands]int, count int) error {
			for i := range count {
				first := to[1] + i*next
				mean, variance, total := 0.0, 0.0, float64(l.reduced.total)
				if err := each(first, func(at, n int) { mean += kernel.Total(kernel.Numbers, x[at:][:n], 0) }); err != nil {
					return err
				}
				mean /= total
				if err := each(first, func(at, n int) { variance += kernel.Total(kernel.Squares, x[at:][:n], mean) }); err != nil {
					return err
				}
				p.set(mean, k.deviation(variance/total), noBias)
				if err := each(first, func(at, n int) { kernel.Map(kernel.Normalize, y[at:][:n], x[at:][:n], p[:]) }); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// normColumns divides float32 numbers along an axis by their norms, where consecutive numbers have
// different norms.
func normColumns(ctx *ops.Context, y, x []float32, size, step int, of kernel.Summand) error {
	if len(x) == 0 {
		return nil
	}
	blocks := (step + columnBlock - 1) / columnBlock
	return ctx.For(len(x)/(size*step)*blocks, max(1, grain/size/min(step, columnBlock)), func(lo, hi int) error {
		watching := cancelCheck{ctx: ctx}
		var room [columnBlock]float64
		var divisorRoom [columnBlock]float32
		for ; lo < hi; lo++ {
			column := lo % blocks * columnBlock
			n := min(columnBlock, step-column)
			first, norms, divisors := lo/blocks*size*step+column, room[:n], divisorRoom[:n]
			clear(norms)
			for i := range size {
				kernel.Accumulate(of, norms, x[first+i*step:][:n])
				if err := watching.after(n); err != nil {
					return err
				}
			}
			for i, v := range norms {
				if of == kernel.Squares {
					v = math.Sqrt(v)
				}
				if v == 0 {
					v = 1
				}
				norms[i], divisors[i] = v, float32(v)
			}
			for i := range size {
				at := first + i*step
				kernel.Combine(kernel.Div, y[at:][:n], x[at:][:n], divisors, 1, 1)
				if err := watching.after(n); err != nil {
					return err
				}
			}
			for i, norm := range norms {
				for j := 0; j < size && !isNormal(norm); j++ {
					at := first + i + j*step
					y[at] = float32(float64(x[at]) / norm)
					if err := watching.after(1); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}
