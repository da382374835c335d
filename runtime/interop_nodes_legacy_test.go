package runtime_test

import (
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// legacyNodes are the generators of operators that earlier operator sets define in another way. The
// names have the version after a slash.
func legacyNodes() map[string]generator {
	m := map[string]generator{
		"Clip/6": func(g *generated, o string) {
			g.opset = 6
			g.maybe(g.maybe(g.node(o, 1, g.special(ops.Float32, g.shape(0, 4)...)), "min", -g.Float64()), "max", g.Float64())
		},
		"Pad/2": func(g *generated, o string) {
			g.opset = 7
			s := g.shape(1, 4)
			mode := oneOf(g, "constant", "edge", "reflect")
			pads := make([]int, 2*len(s))
			for i := range pads {
				if pads[i] = g.IntN(4); mode == "reflect" {
					pads[i] = g.IntN(s[i%len(s)])
				}
			}
			n := set(set(g.node(o, 1, g.tensor(ops.Float32, s...)), "pads", pads), "mode", mode)
			if mode == "constant" {
				g.maybe(n, "value", g.NormFloat64())
			}
		},
		"Slice/1": func(g *generated, o string) {
			g.opset = 9
			s := g.shape(1, 4)
			axes := g.Perm(len(s))[:g.between(1, len(s))]
			var starts, ends []int
			for _, a := range axes {
				starts, ends = append(starts, g.between(-s[a], s[a])), append(ends, g.between(-s[a], s[a]+2))
			}
			set(set(set(g.node(o, 1, g.tensor(ops.Float32, s...)), "starts", starts), "ends", ends), "axes", axes)
		},
		"Split/2": func(g *generated, o string) {
			g.opset = oneOf(g, 7, 11)
			s, parts := g.shape(1, 3), g.between(1, 3)
			axis := g.IntN(len(s))
			sizes := g.list(parts, 1, 3)
			s[axis] = sumOf(sizes)
			set(set(g.node(o, parts, g.tensor(ops.Float32, s...)), "axis", axis), "split", sizes)
		},
		"Squeeze/11": func(g *generated, o string) {
			g.opset = 11
			s := g.shape(1, 4)
			i := g.IntN(len(s))
			s[i] = 1
			g.maybe(g.node(o, 1, g.tensor(ops.Float32, s...)), "axes", []int{i - oneOf(g, 0, len(s))})
		},
		"Unsqueeze/11": func(g *generated, o string) {
			g.opset = 11
			s := g.shape(0, 3)
			set(g.node(o, 1, g.tensor(ops.Float32, s...)), "axes", g.distinct(len(s)+2, 2))
		},
		"TopK/1": func(g *generated, o string) {
			g.opset = 9
			s := g.shape(1, 3)
			axis := g.IntN(len(s))
			set(set(g.node(o, 2, g.tensor(ops.Float32, s...)), "k", g.between(1, s[axis])), "axis", axis)
		},
		"BatchNormalization/7": func(g *generated, o string) {
			g.opset = oneOf(g, 7, 9, 13)
			s := append(g.list(2, 1, 4), g.list(g.between(1, 3), 1, 5)...)
			c := s[1]
			d := ops.Float32
			g.maybe(g.node(o, 1, g.tensor(d, s...), g.tensor(d, c), g.tensor(d, c), g.tensor(d, c), g.within(d, 0.2, 2, c)), "epsilon", 0.01)
		},
		"Upsample/9": func(g *generated, o string) {
			g.opset = 9
			s := g.list(4, 1, 5)
			mode := oneOf(g, "nearest", "linear")
			g.truncated = mode == "linear"
			scales := filled(ops.Float32, []int{4}, func(i int) float64 {
				if i < 2 {
					return 1
				}
				return oneOf(g, 1, 1.5, 2, 3)
			})
			set(g.node(o, 1, g.tensor(oneOf(g, ops.Float32, ops.Float32, ops.Uint8), s...), scales), "mode", mode)
		},
		"Resize/10": func(g *generated, o string) {
			g.opset = 10
			s := g.list(4, 2, 5)
			scales := filled(ops.Float32, []int{4}, func(i int) float64 {
				if i < 2 {
					return 1
				}
				return oneOf(g, 0.5, 1, 1.5, 2, 3)
			})
			set(g.node(o, 1, g.tensor(ops.Float32, s...), scales), "mode", oneOf(g, "nearest", "linear"))
		},
		"Scatter/9": func(g *generated, o string) {
			g.opset = 9
			s := g.shape(1, 3)
			axis := g.IntN(len(s))
			part := slices.Clone(s)
			part[axis] = 1
			set(g.node(o, 1, g.tensor(ops.Float32, s...), filled(ops.Int64, part, func(int) float64 { return float64(g.IntN(s[axis])) }), g.tensor(ops.Float32, part...)), "axis", axis)
		},
		"Dropout/7": func(g *generated, o string) { g.opset = 7; g.node(o, 1, g.tensor(ops.Float32, g.shape(1, 3)...)) },
		"OneHot/9":  func(g *generated, o string) { shapeNodes()[o](g, o); g.opset = 9 },
		"Equal/7": func(g *generated, o string) {
			g.opset = 7
			variadic(2, 2, []ops.DType{ops.Int32, ops.Int64, ops.Bool})(g, o)
		},
		"MaxPool/8": func(g *generated, o string) {
			g.opset = 8
			w := g.window(true)
			w.set(g, g.node(o, g.between(1, 2), g.tensor(ops.Float32, append([]int{1, g.between(1, 3)}, w.size...)...)))
		},
		"Flatten/9": func(g *generated, o string) {
			s := g.shape(1, 4)
			g.opset = 9
			set(g.node(o, 1, g.data(s)), "axis", g.IntN(len(s)))
		},
		"ReduceSum/11": func(g *generated, o string) {
			g.opset = 11
			s := g.shape(1, 4)
			g.maybe(set(g.node(o, 1, g.tensor(oneOf(g, ops.Float32, ops.Int32), s...)), "axes", g.axes(len(s))), "keepdims", g.yes())
		},
	}
	for _, o := range []string{"Softmax", "LogSoftmax", "Hardmax"} { // of matrices: all axes from axis on are one
		m[o+"/11"] = func(g *generated, o string) {
			g.opset = oneOf(g, 7, 11, 12)
			s := g.shape(1, 4)
			g.maybe(g.node(o, 1, g.tensor(ops.Float32, s...)), "axis", g.IntN(len(s)))
			if len(s) < 2 && len(g.graph.Node[0].GetAttribute()) == 0 {
				set(g.graph.Node[0], "axis", 0)
			}
		}
	}
	return m
}
