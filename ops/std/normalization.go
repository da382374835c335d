package std

import (
	"context"
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// meanVariance returns the mean and the variance (the mean squared distance from the mean)
// of numbers.
func meanVariance(ctx context.Context, v []float64) (mean, variance float64, err error) {
	if err = inPieces(ctx, len(v), func(lo, hi int) { mean += sumOfNumbers(v[lo:hi]) }); err != nil {
		return 0, 0, err
	}
	mean /= float64(len(v))
	err = inPieces(ctx, len(v), func(lo, hi int) { variance += sumOfSquares(v[lo:hi], mean) })
	return mean, variance / float64(len(v)), err
}

// meanSquare returns 0 and the mean of the squares of numbers.
func meanSquare(ctx context.Context, v []float64) (zero, mean float64, err error) {
	err = inPieces(ctx, len(v), func(lo, hi int) { mean += sumOfSquares(v[lo:hi], 0) })
	return 0, mean / float64(len(v)), err
}

// sumOfNumbers returns the sum of numbers, in four parts: an addition need not wait for the
// previous one.
func sumOfNumbers(v []float64) float64 {
	var a, b, c, d float64
	for ; len(v) >= 4; v = v[4:] {
		a += v[0]
		b += v[1]
		c += v[2]
		d += v[3]
	}
	for _, x := range v {
		a += x
	}
	return (a + b) + (c + d)
}

// sumOfSquares returns the sum of the squared distances of numbers from a center.
func sumOfSquares(v []float64, center float64) float64 {
	var a, b, c, d float64
	for ; len(v) >= 4; v = v[4:] {
		x, y, z, w := v[0]-center, v[1]-center, v[2]-center, v[3]-center
		a += float64(x * x)
		b += float64(y * y)
		c += float64(z * z)
		d += float64(w * w)
	}
	for _, e := range v {
		x := e - center
		a += float64(x * x)
	}
	return (a + b) + (c + d)
}

// checkPerChannel checks X (N, C, ...) and the inputs after it, which are vectors with one
// number per channel of X.
func checkPerChannel(in []*ops.Input, names ...string) error {
	x := in[0].Type
	if err := x.CheckDType("X", floatTypes...); err != nil {
		return err
	}
	if len(x.Shape) < 2 {
		return fmt.Errorf("%w: X is %v, want at least 2 dimensions", ops.ErrShape, x)
	}
	channels := x.Shape[1]
	for i, name := range names {
		t := in[i+1].Type
		if err := t.CheckDType(name, floatTypes...); err != nil {
			return err
		}
		ok := len(t.Shape) == 1
		if ok {
			channels, ok = mergeDims(channels, t.Shape[0])
		}
		if !ok {
			return fmt.Errorf("%w: X is %v but %s is %v", ops.ErrShape, x, name, t)
		}
	}
	return nil
}

// forEachPlane calls f with the pixels of each channel of each image of X (N, C, ...), and
// stores the pixels, which f changes, in out.
func forEachPlane(ctx *ops.Context, x, out *ops.Tensor, f func(channel int, plane []float64) error) error {
	shape := x.Shape()
	size, channels := numElements(shape[2:]), shape[1]
	if x.Len() == 0 {
		return nil
	}
	return ctx.For(shape[0]*channels, max(1, grain/size), func(lo, hi int) error {
		plane, err := ops.Temporary[float64](ctx, size)
		if err != nil {
			return err
		}
		defer ops.Free(ctx, plane)
		for i := lo; i < hi; i++ {
			if err := loadAll(ctx, plane, x, i*size, 1); err != nil {
				return err
			}
			if err := f(i%channels, plane); err != nil {
				return err
			}
			if err := storeAll(ctx, out, i*size, 1, plane); err != nil {
				return err
			}
		}
		return nil
	})
}

// shiftAndScale replaces each pixel v by (v-mean)*factor + bias.
func shiftAndScale(ctx context.Context, plane []float64, mean, factor, bias float64) error {
	return inPieces(ctx, len(plane), func(lo, hi int) {
		for i, v := range plane[lo:hi] {
			plane[lo+i] = float64((v-mean)*factor) + bias
		}
	})
}

// noBias changes no number that it is added to: +0 would change -0.
var noBias = math.Copysign(0, -1)

// newInstanceNormalization returns InstanceNormalization (opsets 1, 6): scale * (X - mean)
// / sqrt(variance + epsilon) + B, with the mean and variance of each channel of each image
// of X (N, C, ...), float32 or float64.
//
// Attributes: epsilon (default 1e-5).
func newInstanceNormalization(n ops.Node) (operation, error) {
	p, err := floatAttrs(n.Attributes, []string{"epsilon"}, 1e-5)
	if err != nil {
		return nil, err
	}
	return instanceNormalization{p[0]}, nil
}

type instanceNormalization struct{ epsilon float64 }

func (k instanceNormalization) infer(in []*ops.Input) (ops.Type, error) {
	return in[0].Type, checkPerChannel(in, "scale", "B")
}

func (k instanceNormalization) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	t := temporary{ctx: ctx}
	scale, bias := elementsOf[float64](&t, in[1]), elementsOf[float64](&t, in[2])
	if t.err != nil {
		return t.err
	}
	if x, y := in[0].Float32s(), out.Float32s(); x != nil && y != nil {
		size := numElements(in[0].Shape()[2:])
		return normalizePlanes(ctx, y, x, size, 1, k.epsilon, func(plane, _ int) (float64, float64) {
			c := plane % len(scale)
			return scale[c], bias[c]
		})
	}
	return forEachPlane(ctx, in[0], out, func(c int, plane []float64) error {
		mean, variance, err := meanVariance(ctx, plane)
		if err != nil {
			return err
		}
		return shiftAndScale(ctx, plane, mean, scale[c]/math.Sqrt(variance+k.epsilon), bias[c])
	})
}

// newLRN returns LRN (opsets 1, 13): X divided by (bias + alpha/size * s) to the power of
// beta, where s is the sum of the squares of the size channels around each channel. X (N,
// C, ...) is float32 or float64.
//
// Attributes: size (required), alpha (default 0.0001), beta (default 0.75), bias (default
// 1).
func newLRN(n ops.Node) (operation, error) {
	a := n.Attributes
	if err := a.Only("alpha", "beta", "bias", "size"); err != nil {
		return nil, err
	}
	size, err := ops.Attr(a, "size", int64(0))
	if err != nil {
		return nil, err
	}
	if size < 1 || size > ops.MaxElements {
		return nil, fmt.Errorf("%w: size %d is out of range", ops.ErrAttribute, size)
	}
	k := &lrn{size: int(size)}
	for _, p := range []struct {
		name     string
		standard float32
		value    *float64
	}{{"alpha", 0.0001, &k.alpha}, {"beta", 0.75, &k.beta}, {"bias", 1, &k.bias}} {
		v, err := ops.Attr(a, p.name, p.standard)
		if err != nil {
			return nil, err
		}
		*p.value = float64(v)
	}
	return k, nil
}

type lrn struct {
	size              int
	alpha, beta, bias float64
}

func (k *lrn) infer(in []*ops.Input) (ops.Type, error) { return in[0].Type, checkPerChannel(in) }

// power returns v to the power of beta.
func (k *lrn) power(v float64) float64 {
	if k.beta == 0.75 { // the default
		root := math.Sqrt(v)
		return root * math.Sqrt(root)
	}
	return portmath.Pow(v, k.beta)
}

func (k *lrn) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return forEachLine(ctx, in[0], 1, func(l *line[float64]) error {
		n := len(l.elements)
		result, err := ops.Temporary[float64](ctx, n)
		if err != nil {
			return err
		}
		defer ops.Free(ctx, result)
		watching := cancelCheck{ctx: ctx}
		for c := range n {
			sum := 0.0
			window := l.elements[max(0, c-(k.size-1)/2):min(n, c+k.size/2+1)]
			if err := inPieces(ctx, len(window), func(lo, hi int) {
				for _, v := range window[lo:hi] {
					sum += float64(v * v)
				}
			}); err != nil {
				return err
			}
			result[c] = l.elements[c] / k.power(k.bias+float64(k.alpha/float64(k.size)*sum))
			if err := watching.after(16 + len(window)); err != nil {
				return err
			}
		}
		return storeAll(ctx, out, l.first, l.step, result)
	})
}

// newMeanVarianceNormalization returns MeanVarianceNormalization (opsets 1, 9, 13): X minus
// its mean over some axes, divided by its standard deviation over these axes plus 1e-9. X
// is float32 or float64.
//
// Attributes: axes (default 0, 2, 3). For those before opset 9, see
// newOldMeanVarianceNormalization.
func newMeanVarianceNormalization(n ops.Node) (operation, error) {
	if n.Opset < 9 {
		return newOldMeanVarianceNormalization(n)
	}
	if err := n.Attributes.Only("axes"); err != nil {
		return nil, err
	}
	axes, err := ops.Attr(n.Attributes, "axes", []int64{0, 2, 3})
	return meanVarianceNormalization{axes: axes}, err
}

type meanVarianceNormalization struct {
	axes []int64
	only bool // subtract the mean only
}

func (k meanVarianceNormalization) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("X", floatTypes...); err != nil {
		return x, err
	}
	_, err := axisSet(k.axes, len(x.Shape))
	return x, err
}

func (k meanVarianceNormalization) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	x := in[0]
	reduced, err := axisSet(k.axes, len(x.Shape()))
	if err != nil {
		return err
	}
	var l reduceLoop
	l.plan(x.Shape(), reduced)
	if l.reduced.total == 0 {
		return nil
	}
	next, step := l.kept.inner()[1], l.reduced.inner()[0]
	if from, to := x.Float32s(), out.Float32s(); from != nil && step == 1 {
		return k.runLists(ctx, &l, to, from)
	}
	return ctx.For(l.kept.total, max(1, grain/l.reduced.total), func(lo, hi int) error {
		all, err := ops.Temporary[float64](ctx, l.reduced.total)
		if err != nil {
			return err
		}
		defer ops.Free(ctx, all)
		watching := cancelCheck{ctx: ctx}
		// transfer calls f for the parts of the elements of one mean.
		transfer := func(first int, f func(part []float64, at int)) error {
			done := 0
			return l.reduced.walk(0, l.reduced.total, func(at [maxOperands]int, count int) error {
				for i := 0; i < count; i += stepsPerCheck {
					n := min(stepsPerCheck, count-i)
					f(all[done:done+n], first+at[0]+i*step)
					done += n
					if err := watching.after(1 + n); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return l.kept.walk(lo, hi, func(to [maxOperands]int, count int) error {
			for i := range count {
				first := to[1] + i*next
				if err := transfer(first, func(part []float64, at int) { load(part, x, at, step) }); err != nil {
					return err
				}
				mean, variance, err := meanVariance(ctx, all)
				if err != nil {
					return err
				}
				if err := shiftAndScale(ctx, all, mean, k.deviation(variance), noBias); err != nil {
					return err
				}
				if err := transfer(first, func(part []float64, at int) { store(out, at, step, part) }); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
