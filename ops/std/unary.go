package std

import (
	"cmp"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// newRelu returns Relu (opsets 1, 6, 13, 14): max(x, 0) for each element. NaN stays NaN. X
// has any type but bool. There are no attributes.
func newRelu(n ops.Node) (operation, error) {
	return rectifier{unary{
		ops.Float32: eachNative(kernel.Relu),
		ops.Float64: eachNative(relu[float64]),
		ops.Int32:   eachNative(relu[int32]),
	}.integers(func(x int64) int64 { return max(x, 0) }, func(x uint64) uint64 { return x })}, n.Attributes.Only()
}

// rectifier is the operation of Relu, which Fuse has to know.
type rectifier struct{ unary }

// newNeg returns Neg (opsets 6, 13): -x for each element. X has any type but bool; integers
// wrap around. There are no attributes.
func newNeg(n ops.Node) (operation, error) {
	return unary{
		ops.Float32: mapped(kernel.Neg),
		ops.Float64: eachNative(neg[float64]),
		ops.Int32:   eachNative(neg[int32]),
	}.integers(func(x int64) int64 { return -x }, nil), n.Attributes.Only()
}

// newAbs returns Abs (opsets 6, 13): the absolute value of each element. X has any type but
// bool; the smallest integer stays unchanged. There are no attributes.
func newAbs(n ops.Node) (operation, error) {
	return eachMapped(kernel.Abs, math.Abs).integers(func(x int64) int64 { return max(x, -x) }, func(x uint64) uint64 { return x }), n.Attributes.Only()
}

// newSign returns Sign (opsets 9, 13): -1, 0 or 1 for each element. X has any type but
// bool; NaN stays NaN. There are no attributes.
func newSign(n ops.Node) (operation, error) {
	return eachMapped(kernel.Sign, func(x float64) float64 {
		switch {
		case x > 0:
			return 1
		case x < 0:
			return -1
		}
		return x
	}).integers(func(x int64) int64 { return int64(cmp.Compare(x, 0)) }, func(x uint64) uint64 { return min(x, 1) }), n.Attributes.Only()
}

// newFunction returns the constructor of an operation without attributes that applies f to
// each element, float32 or float64. float32 is computed in float64.
func newFunction(f func(float64) float64) func(ops.Node) (operation, error) {
	return func(n ops.Node) (operation, error) { return eachFloat(f), n.Attributes.Only() }
}

// newMapped returns the constructor of an operation without attributes that applies a function to
// each element. single computes it in float32, and f in float64.
func newMapped(single kernel.Function, f func(float64) float64) func(ops.Node) (operation, error) {
	return func(n ops.Node) (operation, error) { return eachMapped(single, f), n.Attributes.Only() }
}

// newPeriodic is newMapped for functions that single computes only up to kernel.MostRadians.
func newPeriodic(single kernel.Function, f func(float64) float64) func(ops.Node) (operation, error) {
	compute := func(out, x []float32) {
		for len(x) > 0 {
			n := min(len(x), chunk)
			part, to := x[:n], out[:n]
			x, out = x[n:], out[n:]
			low, high := kernel.Bounds(part, 0, 0)
			if max(-low, high) <= kernel.MostRadians {
				kernel.Map(single, to, part, nil)
				continue
			}
			var kept [chunk]float32 // out may be x
			copy(kept[:], part)
			kernel.Map(single, to, part, nil)
			for i, v := range kept[:n] {
				if math.Abs(float64(v)) > kernel.MostRadians {
					to[i] = float32(f(float64(v)))
				}
			}
		}
	}
	return func(n ops.Node) (operation, error) {
		return unary{ops.Float32: eachNative(compute), ops.Float64: eachWide(f)}, n.Attributes.Only()
	}
}

// newErf returns Erf (opsets 9, 13): the error function of each element. X has any type but
// bool; the results for integers are truncated. There are no attributes.
func newErf(n ops.Node) (operation, error) {
	k := eachMapped(kernel.Erf, math.Erf)
	for _, d := range integerTypes {
		k[d] = k[ops.Float64]
	}
	return k, n.Attributes.Only()
}

func sigmoid(x float64) float64 { return 1 / (1 + portmath.Exp(-x)) }

// softplus is log(1 + exp(x)), computed without overflow.
func softplus(x float64) float64 { return max(x, 0) + portmath.Log1p(portmath.Exp(-math.Abs(x))) }

func softsign(x float64) float64 { return x / (1 + math.Abs(x)) }

func hardSwish(x float64) float64 { return x * max(0, min(1, x/6+0.5)) }

func reciprocal(x float64) float64 { return 1 / x }

// unary holds a function for each supported element type that computes the elements lo to
// hi-1.
type unary map[ops.DType]func(lo, hi int, out, x *ops.Tensor)

func (k unary) infer(in []*ops.Input) (ops.Type, error) {
	return in[0].Type, in[0].Type.CheckDType("X", sortedTypes(k)...)
}

func (k unary) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	l := ops.Scratch[unaryLoop](ctx)
	*l = unaryLoop{out: out, x: in[0], compute: k[in[0].DType()]}
	return ctx.Do(out.Len(), grain, l)
}

// integers adds the integer types that k does not have yet. They are computed by signed or,
// for uint64, by unsigned; unsigned may be nil if the sign makes no difference.
func (k unary) integers(signed func(int64) int64, unsigned func(uint64) uint64) unary {
	for _, d := range integerTypes {
		switch {
		case k[d] != nil:
		case d == ops.Uint64 && unsigned != nil:
			k[d] = eachWide(unsigned)
		default:
			k[d] = eachWide(signed)
		}
	}
	return k
}

type unaryLoop struct {
	out, x  *ops.Tensor
	compute func(lo, hi int, out, x *ops.Tensor)
}

func (l *unaryLoop) Part(lo, hi int) error { l.compute(lo, hi, l.out, l.x); return nil }

// eachNative applies f to slices of elements of their own type.
func eachNative[T nativeNumber](f func(out, x []T)) func(lo, hi int, out, x *ops.Tensor) {
	return func(lo, hi int, out, x *ops.Tensor) {
		o, _ := ops.Data[T](out)
		d, _ := ops.Data[T](x)
		f(o[lo:hi], d[lo:hi])
	}
}

// eachWide applies f to elements that are converted to W and back.
func eachWide[W wide](f func(W) W) func(lo, hi int, out, x *ops.Tensor) {
	return func(lo, hi int, out, x *ops.Tensor) {
		var v [chunk]W
		for ; lo < hi; lo += chunk {
			m := min(chunk, hi-lo)
			load(v[:m], x, lo, 1)
			for i, e := range v[:m] {
				v[i] = f(e)
			}
			store(out, lo, 1, v[:m])
		}
	}
}

// eachFloat applies f to float32 and float64 elements.
func eachFloat(f func(float64) float64) unary {
	compute := eachWide(f)
	return unary{ops.Float32: compute, ops.Float64: compute}
}

// mapped applies a function with parameters to each float32 element.
func mapped(f kernel.Function, p ...float32) func(lo, hi int, out, x *ops.Tensor) {
	return eachNative(func(out, x []float32) { kernel.Map(f, out, x, p) })
}

// eachMapped applies a function to each element: single, with the parameters p, in float32, also for
// float16 and bfloat16, and f in float64.
func eachMapped(single kernel.Function, f func(float64) float64, p ...float32) unary {
	halves := eachHalf(func(out, x []float32) { kernel.Map(single, out, x, p) })
	return unary{ops.Float32: mapped(single, p...), ops.Float64: eachWide(f), ops.Float16: halves, ops.BFloat16: halves}
}

func relu[T nativeNumber](out, x []T) {
	for i, v := range x {
		out[i] = max(v, 0)
	}
}

func neg[T nativeNumber](out, x []T) {
	for i, v := range x {
		out[i] = -v
	}
}
