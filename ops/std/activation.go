package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// floatAttrs returns float attributes in the order of names, with their defaults. The node
// may have no other attributes.
func floatAttrs(a ops.Attributes, names []string, standard ...float32) ([]float64, error) {
	if err := a.Only(names...); err != nil {
		return nil, err
	}
	values := make([]float64, len(names))
	for i, name := range names {
		v, err := ops.Attr(a, name, standard[i])
		if err != nil {
			return nil, err
		}
		values[i] = float64(v)
	}
	return values, nil
}

// newParametric returns the constructor of an operation that applies f to each element,
// float32 or float64. p holds the values of the named float attributes.
func newParametric(names []string, standard []float32, f func(p []float64, x float64) float64) func(ops.Node) (operation, error) {
	return newMappedParametric(names, standard, f, 0, func([]float64) []float32 { return nil })
}

// newMappedParametric is newParametric, but float32 is computed by single, with the parameters that
// parameters returns, unless they are nil.
func newMappedParametric(names []string, standard []float32, f func(p []float64, x float64) float64, single kernel.Function, parameters func(p []float64) []float32) func(ops.Node) (operation, error) {
	return func(n ops.Node) (operation, error) {
		p, err := floatAttrs(n.Attributes, names, standard...)
		if err != nil {
			return nil, err
		}
		k := eachFloat(func(x float64) float64 { return f(p, x) })
		if p32 := parameters(p); p32 != nil {
			k[ops.Float32] = mapped(single, p32...)
		}
		return k, nil
	}
}

// singles returns numbers in float32.
func singles(p []float64) []float32 {
	v := make([]float32, len(p))
	for i, x := range p {
		v[i] = float32(x)
	}
	return v
}

// newLeakyRelu returns LeakyRelu (opsets 1, 6, 16): x where it is at least 0, and alpha*x
// elsewhere. As for all operators in this file, X is float32 or float64 and has any shape.
//
// Attributes: alpha (default 0.01).
func newLeakyRelu(n ops.Node) (operation, error) {
	return newMappedParametric([]string{"alpha"}, []float32{0.01}, leakyRelu, kernel.LeakyRelu, singles)(n)
}

func leakyRelu(p []float64, x float64) float64 {
	if x < 0 {
		return p[0] * x
	}
	return x
}

// newElu returns Elu (opsets 1, 6, 22): alpha*(exp(x) - 1) where x is negative, and x elsewhere.
//
// Attributes: alpha (default 1).
func newElu(n ops.Node) (operation, error) {
	return newMappedParametric([]string{"alpha"}, []float32{1}, elu, kernel.Elu, func(p []float64) []float32 { return []float32{float32(p[0]), 1, 1} })(n)
}

func elu(p []float64, x float64) float64 {
	if x < 0 {
		return p[0] * portmath.Expm1(x)
	}
	return x
}

// newCelu returns Celu (opset 12): max(0, x) + min(0, alpha*(exp(x/alpha) - 1)).
//
// Attributes: alpha (default 1).
func newCelu(n ops.Node) (operation, error) {
	return newMappedParametric([]string{"alpha"}, []float32{1}, func(p []float64, x float64) float64 {
		return max(0, x) + min(0, p[0]*portmath.Expm1(x/p[0]))
	}, kernel.Elu, func(p []float64) []float32 {
		inverse := float32(1 / p[0])
		if !(p[0] > 0) || math.IsInf(float64(inverse), 0) {
			return nil
		}
		return []float32{float32(p[0]), inverse, 1}
	})(n)
}

// newSelu returns Selu (opsets 1, 6, 22): gamma times Elu.
//
// Attributes: alpha (default 1.67326..., or 1.6732 before opset 6), gamma (default 1.05070...,
// or 1.0507 before opset 6).
func newSelu(n ops.Node) (operation, error) {
	standard := []float32{1.67326319217681884765625, 1.05070102214813232421875}
	if n.Opset < 6 {
		standard = []float32{1.6732, 1.0507}
	}
	return newMappedParametric([]string{"alpha", "gamma"}, standard, func(p []float64, x float64) float64 {
		return p[1] * elu(p, x)
	}, kernel.Elu, func(p []float64) []float32 { return []float32{float32(p[0] * p[1]), 1, float32(p[1])} })(n)
}

// newHardSigmoid returns HardSigmoid (opsets 1, 6, 22): max(0, min(1, alpha*x + beta)).
//
// Attributes: alpha (default 0.2), beta (default 0.5).
func newHardSigmoid(n ops.Node) (operation, error) {
	return newMappedParametric([]string{"alpha", "beta"}, []float32{0.2, 0.5}, hardSigmoid, kernel.HardSigmoid, singles)(n)
}

func hardSigmoid(p []float64, x float64) float64 { return max(0, min(1, float64(p[0]*x)+p[1])) }

// newThresholdedRelu returns ThresholdedRelu (opsets 1, 10, 22): x where it is greater than alpha,
// and 0 elsewhere.
//
// Attributes: alpha (default 1).
func newThresholdedRelu(n ops.Node) (operation, error) {
	return newMappedParametric([]string{"alpha"}, []float32{1}, thresholdedRelu, kernel.ThresholdedRelu, singles)(n)
}

func thresholdedRelu(p []float64, x float64) float64 {
	if x > p[0] {
		return x
	}
	return 0
}

// newShrink returns Shrink (opset 9): x + bias where x is less than -lambd, x - bias where
// it is greater than lambd, and 0 elsewhere. X may also be an integer type.
//
// Attributes: bias (default 0), lambd (default 0.5).
func newShrink(n ops.Node) (operation, error) {
	p, err := floatAttrs(n.Attributes, []string{"bias", "lambd"}, 0, 0.5)
	if err != nil {
		return nil, err
	}
	k := unary{}
	for _, d := range numericTypes {
		k[d] = eachWide(func(x float64) float64 {
			switch {
			case x < -p[1]:
				return x + p[0]
			case x > p[1]:
				return x - p[0]
			}
			return 0
		})
	}
	return k, nil
}

// newGelu returns Gelu (opset 20): x*P(X <= x) for a normally distributed X, 0.5*x*(1 +
// erf(x/sqrt(2))).
//
// Attributes: approximate (default none; tanh replaces erf by an approximation with tanh).
func newGelu(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("approximate"); err != nil {
		return nil, err
	}
	approximate, err := choiceAttr(n.Attributes, "approximate", "none", "tanh")
	if err != nil {
		return nil, err
	}
	if approximate == "tanh" {
		return eachMapped(kernel.GeluTanh, geluTanh), nil
	}
	return eachMapped(kernel.Gelu, gelu), nil
}

func gelu(x float64) float64 { return 0.5 * x * math.Erfc(-x/math.Sqrt2) }

// geluTanhFactor is 2*sqrt(2/pi).
const geluTanhFactor = 2 * math.Sqrt2 / math.SqrtPi

// geluTanh is 0.5*x*(1 + tanh(u)), which is x*sigmoid(2*u).
func geluTanh(x float64) float64 {
	return x * sigmoid(geluTanhFactor*(x+float64(0.044715*x*x*x)))
}

// newSwish returns Swish (opset 24): x*sigmoid(alpha*x).
//
// Attributes: alpha (default 1).
func newSwish(n ops.Node) (operation, error) {
	p, err := floatAttrs(n.Attributes, []string{"alpha"}, 1)
	if err != nil {
		return nil, err
	}
	return eachMapped(kernel.Swish, func(x float64) float64 { return x * sigmoid(p[0]*x) }, float32(p[0])), nil
}

// newHardSwish returns HardSwish (opsets 14, 22): x*max(0, min(1, x/6 + 0.5)). There are no
// attributes.
func newHardSwish(n ops.Node) (operation, error) {
	return eachMapped(kernel.HardSwish, hardSwish, 1./6, 0.5), n.Attributes.Only()
}

// mish is x*tanh(log(1 + exp(x))).
func mish(x float64) float64 {
	if x > 40 {
		return x // the factor is 1, and exp(x) may overflow
	}
	e := portmath.Exp(x)
	n := float64(e * (e + 2)) // (1+e)^2 - 1
	return x * (n / (n + 2))
}

// newClip returns Clip (opsets 1, 6, 11, 12, 13): x, but at least min and at most max, both
// optional. X has any type but bool. min and max are scalars of the same type, the second
// and third input. Before opset 11 they are float attributes.
func newClip(n ops.Node) (operation, error) {
	if n.Opset >= 11 {
		return &clip{}, n.Attributes.Only()
	}
	if n.NumInputs > 1 {
		return nil, fmt.Errorf("opset %d: min and max must be attributes, not inputs", n.Opset)
	}
	p, err := floatAttrs(n.Attributes, []string{"min", "max"}, -math.MaxFloat32, math.MaxFloat32)
	if err != nil {
		return nil, err
	}
	return &clip{p}, nil
}

type clip struct{ bounds []float64 }

func (k *clip) infer(in []*ops.Input) (ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("input", numericTypes...); err != nil {
		return x, err
	}
	for i, name := range []string{"min", "max"} {
		if i+1 < len(in) && in[i+1] != nil {
			if err := checkScalar(name, in[i+1].Type, x.DType); err != nil {
				return x, err
			}
		}
	}
	return x, nil
}

func (k *clip) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	return unary{out.DType(): k.compute(out.DType(), in)}.run(ctx, in, out)
}

// compute returns the function that computes elements of a type.
func (k *clip) compute(d ops.DType, in []*ops.Tensor) func(lo, hi int, out, x *ops.Tensor) {
	switch {
	case k.bounds != nil && d == ops.Float32:
		return mapped(kernel.Clip, singles(k.bounds)...)
	case k.bounds != nil:
		return eachWide(func(x float64) float64 { return min(max(x, k.bounds[0]), k.bounds[1]) })
	case d == ops.Float32:
		return clipSingle(in)
	case isFloat(d):
		return clipTo[float64](in)
	case d == ops.Uint64:
		return clipTo[uint64](in)
	default:
		return clipTo[int64](in)
	}
}

// clipSingle is clipTo for float32.
func clipSingle(in []*ops.Tensor) func(lo, hi int, out, x *ops.Tensor) {
	p := []float32{float32(math.Inf(-1)), float32(math.Inf(1))}
	for i := range p {
		if bound := inputAt(in, i+1); bound != nil {
			if p[i] = bound.Float32s()[0]; p[i] != p[i] {
				return clipTo[float64](in)
			}
		}
	}
	return mapped(kernel.Clip, p...)
}

func clipTo[W wide](in []*ops.Tensor) func(lo, hi int, out, x *ops.Tensor) {
	low, high := len(in) > 1 && in[1] != nil, len(in) > 2 && in[2] != nil
	var a, b W
	if low {
		a = firstElement[W](in[1])
	}
	if high {
		b = firstElement[W](in[2])
	}
	return eachWide(func(x W) W {
		if low {
			x = max(x, a)
		}
		if high {
			x = min(x, b)
		}
		return x
	})
}
