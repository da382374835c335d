package runtime_test

import (
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// generator makes a random valid model with an operator.
type generator func(g *generated, operator string)

// elementwiseNodes are the generators of operators that compute each element by itself.
func elementwiseNodes() map[string]generator {
	m := map[string]generator{
		"Not":        unary([]ops.DType{ops.Bool}),
		"BitwiseNot": func(g *generated, o string) { g.opset = max(g.opset, 18); unary(integerTypes)(g, o) },
		"Celu":       unary([]ops.DType{ops.Float32}),
		"Neg":        unary([]ops.DType{ops.Float32, ops.Float64, ops.Int32, ops.Int64, ops.Float16, ops.Int8}),
		"Relu":       unary([]ops.DType{ops.Float32, ops.Float64, ops.Int32, ops.Float16, ops.Int8}),
		"HardSwish":  func(g *generated, o string) { g.tolerance = 1e-6; unary(floatTypes)(g, o) },  // a sixth is float32 there
		"Shrink":     func(g *generated, o string) { g.tolerance = 1e-6; unary(numberTypes)(g, o) }, // onnxruntime computes float64 in float32
		"Mish":       func(g *generated, o string) { g.opset = max(g.opset, 18); unary(floatTypes)(g, o) },
		"Swish":      func(g *generated, o string) { g.opset = 24; unary(floatTypes)(g, o) },
		"Gelu": func(g *generated, o string) {
			g.opset, g.tolerance = max(g.opset, 20), 1e-6 // onnxruntime computes float64 with constants of float32
			g.maybe(g.node(o, 1, g.special(g.dtype(floatTypes), g.shape(0, 4)...)), "approximate", oneOf(g, "none", "tanh"))
		},
		"IsInf": func(g *generated, o string) {
			n := g.node(o, 1, g.special(oneOf(g, ops.Float32, ops.Float64), g.shape(0, 4)...))
			g.maybe(g.maybe(n, "detect_negative", g.yes()), "detect_positive", g.yes())
		},
		"Clip": func(g *generated, o string) {
			d := g.dtype(numberTypes)
			in := []any{g.special(d, g.shape(0, 4)...), nil, nil}
			lo := float64(g.IntN(4))
			if g.yes() {
				in[1] = scalarOf(d, lo)
			}
			if g.yes() {
				in[2] = scalarOf(d, lo+float64(g.IntN(4)))
			}
			g.node(o, 1, in...)
		},
		"Mod": func(g *generated, o string) {
			d := g.dtype(numberTypes)
			s := g.broadcastable(2)
			y := g.within(d, 1, 6, s[1]...)
			if g.yes() && d != ops.Uint8 && d != ops.Uint32 {
				y = g.within(d, -6, -1, s[1]...)
			}
			n := g.node(o, 1, g.tensor(d, s[0]...), y)
			if d == ops.Float32 || d == ops.Float64 || d == ops.Float16 || g.yes() {
				set(n, "fmod", 1)
			}
		},
		"Div": func(g *generated, o string) {
			d := g.dtype(numberTypes)
			s := g.broadcastable(2)
			y := g.within(d, 1, 6, s[1]...)
			if g.yes() && d != ops.Uint8 && d != ops.Uint32 {
				y = g.within(d, -6, -1, s[1]...)
			}
			g.node(o, 1, g.special(d, s[0]...), y)
		},
		"Pow": func(g *generated, o string) {
			s := g.broadcastable(2)
			d := g.dtype([]ops.DType{ops.Float32, ops.Float64, ops.Int32, ops.Int64})
			e := oneOf(g, ops.Float32, ops.Float64, ops.Int32, ops.Int64)
			y := g.within(e, 0, 3, s[1]...)
			if g.yes() {
				y = scalarOf(e, oneOf(g, 0, 1, 2, 3, 0.5))
			}
			g.node(o, 1, g.within(d, 0, 5, s[0]...), y)
		},
		"BitShift": func(g *generated, o string) {
			s := g.broadcastable(2)
			d := oneOf(g, ops.Uint8, ops.Uint32, ops.Uint64)
			set(g.node(o, 1, g.within(d, 0, 200, s[0]...), g.within(d, 0, 7, s[1]...)), "direction", oneOf(g, "LEFT", "RIGHT"))
		},
		"PRelu": func(g *generated, o string) {
			d := g.dtype(floatTypes)
			s := g.shape(0, 4)
			slope := append([]int(nil), s...)
			for i := range slope {
				if g.yes() {
					slope[i] = 1
				}
			}
			g.node(o, 1, g.special(d, s...), g.tensor(d, slope[g.IntN(len(slope)+1):]...))
		},
		"Where": func(g *generated, o string) {
			s := g.broadcastable(3)
			d := g.dtype(allDTypes)
			g.node(o, 1, g.tensor(ops.Bool, s[0]...), g.special(d, s[1]...), g.special(d, s[2]...))
		},
		"Cast":     castNode,
		"CastLike": castLikeNode,
	}
	for _, name := range []string{
		"Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp", "Floor", "Log", "Reciprocal", "Round", "Sigmoid", "Sin", "Sinh",
		"Sqrt", "Tan", "Tanh", "Softplus", "Softsign", "IsNaN", "Elu", "Selu", "LeakyRelu", "ThresholdedRelu", "HardSigmoid",
	} {
		m[name] = unary(floatTypes)
	}
	for _, name := range []string{"Abs", "Sign", "Identity"} {
		m[name] = unary(numberTypes)
	}
	for _, name := range []string{"Add", "Sub", "Mul", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"} {
		m[name] = variadic(2, 2, numberTypes)
	}
	for _, name := range []string{"And", "Or", "Xor"} {
		m[name] = variadic(2, 2, []ops.DType{ops.Bool})
	}
	for _, name := range []string{"BitwiseAnd", "BitwiseOr", "BitwiseXor"} {
		m[name] = func(g *generated, o string) { g.opset = max(g.opset, 18); variadic(2, 2, integerTypes)(g, o) }
	}
	for _, name := range []string{"Max", "Min"} {
		m[name] = variadic(1, 4, numberTypes)
	}
	for _, name := range []string{"Sum", "Mean"} {
		m[name] = variadic(1, 4, floatTypes)
	}
	return m
}

// parameters are the attributes of operators with one input.
var parameters = map[string][]string{
	"Elu": {"alpha"}, "Celu": {"alpha"}, "Selu": {"alpha", "gamma"}, "LeakyRelu": {"alpha"}, "ThresholdedRelu": {"alpha"},
	"HardSigmoid": {"alpha", "beta"}, "Shrink": {"lambd", "bias"}, "Swish": {"alpha"},
}

func unary(types []ops.DType) generator {
	return func(g *generated, operator string) {
		n := g.node(operator, 1, g.special(g.dtype(types), g.shape(0, 4)...))
		for _, name := range parameters[operator] {
			g.maybe(n, name, 0.1+g.Float64())
		}
	}
}

func variadic(lo, hi int, types []ops.DType) generator {
	return func(g *generated, operator string) {
		d := g.dtype(types)
		var in []any
		for _, s := range g.broadcastable(g.between(lo, hi)) {
			in = append(in, g.special(d, s...))
		}
		g.node(operator, 1, in...)
	}
}

// castable returns a tensor whose elements every type can represent, rounded.
func (g *generated) castable(d ops.DType) *runtime.Tensor {
	if d == ops.String {
		return filled(d, g.shape(0, 3), func(int) float64 { return float64(g.IntN(100)) })
	}
	return g.within(d, 0, 100, g.shape(0, 4)...)
}

var castTypes = append([]ops.DType{ops.String, ops.BFloat16, ops.Uint16, ops.Uint32, ops.Uint64}, allDTypes...)

func castNode(g *generated, o string) {
	from := oneOf(g, append([]ops.DType{ops.String}, allDTypes...)...)
	to := oneOf(g, castTypes...)
	for to == ops.String && (from == ops.Float16 || from == ops.Float32 || from == ops.Float64 || from == ops.Bool) || to == ops.Bool && from == ops.String {
		to = oneOf(g, castTypes...) // the texts of numbers are not specified
	}
	n := set(g.node(o, 1, g.castable(from)), "to", int(to))
	if to == ops.BFloat16 { // which no output can have
		set(g.node(o, 1, n.GetOutput()[0]), "to", int(ops.Float32))
	}
}

func castLikeNode(g *generated, o string) {
	g.node(o, 1, g.castable(oneOf(g, allDTypes...)), g.tensor(oneOf(g, allDTypes...), 2))
}
