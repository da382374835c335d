package runtime_test

import (
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// quantizedNodes are the generators of operators on quantized numbers.
func quantizedNodes() map[string]generator {
	return map[string]generator{
		"QuantizeLinear": func(g *generated, o string) {
			s := g.shape(1, 4)
			d := oneOf(g, ops.Uint8, ops.Int8)
			axis := g.axis(len(s))
			x := filled(ops.Float32, s, func(int) float64 { return g.NormFloat64() * 20 })
			if g.yes() {
				size := s[(axis+len(s))%len(s)]
				set(g.node(o, 1, x, g.within(ops.Float32, 0.05, 0.5, size), g.byte(d, size)), "axis", axis)
				return
			}
			g.node(o, 1, x, g.scale(), g.byte(d))
		},
		"DequantizeLinear": func(g *generated, o string) {
			s := g.shape(1, 4)
			d := oneOf(g, ops.Uint8, ops.Int8)
			axis := g.axis(len(s))
			if g.yes() {
				size := s[(axis+len(s))%len(s)]
				set(g.node(o, 1, g.byte(d, s...), g.within(ops.Float32, 0.05, 0.5, size), g.byte(d, size)), "axis", axis)
				return
			}
			g.node(o, 1, g.byte(d, s...), g.scale(), g.byte(d))
		},
		"DynamicQuantizeLinear": func(g *generated, o string) { g.node(o, 3, g.tensor(ops.Float32, g.shape(1, 4)...)) },
		"MatMulInteger": func(g *generated, o string) {
			a, b := g.matrices()
			d, e := oneOf(g, ops.Uint8, ops.Int8), oneOf(g, ops.Uint8, ops.Int8)
			in := []any{g.byte(d, a...), g.byte(e, b...), nil, nil}
			if g.yes() {
				in[2] = g.byte(d)
			}
			if g.yes() {
				in[3] = g.byte(e)
				if len(b) == 2 && g.yes() {
					in[3] = g.byte(e, b[1])
				}
			}
			g.node(o, 1, in...)
		},
		"QLinearMatMul": func(g *generated, o string) {
			a, b := g.matrices()
			d, e := oneOf(g, ops.Uint8, ops.Int8), oneOf(g, ops.Uint8, ops.Int8)
			if d == ops.Int8 {
				e = ops.Int8
			}
			in := []any{g.byte(d, a...), g.scale(), g.byte(d), g.byte(e, b...), g.scale(), g.byte(e), g.scale(), g.byte(d)}
			g.constant(in, 1, 2, 4, 5, 6, 7)
			g.node(o, 1, in...)
		},
	}
}

// byte returns a tensor of any numbers of 8 bits.
func (g *generated) byte(d ops.DType, shape ...int) *runtime.Tensor {
	if d == ops.Int8 {
		return g.within(d, -128, 127, shape...)
	}
	return g.within(d, 0, 255, shape...)
}

// scale returns the scale of quantized numbers.
func (g *generated) scale() *runtime.Tensor { return g.within(ops.Float32, 0.01, 0.3) }

// constant makes inputs constants of the model.
func (g *generated) constant(in []any, places ...int) {
	for _, i := range places {
		if x, ok := in[i].(*runtime.Tensor); ok {
			in[i] = g.value(x, true)
		}
	}
}
