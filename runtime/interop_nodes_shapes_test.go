package runtime_test

import (
	"slices"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// shapeNodes are the generators of operators that move elements.
func shapeNodes() map[string]generator {
	return map[string]generator{
		"Reshape": func(g *generated, o string) {
			s := g.shape(1, 4)
			to := []int{}
			rest := lenOf(s)
			for range g.IntN(3) {
				d := oneOf(g, 1, 2, 3)
				if rest%d == 0 {
					to, rest = append(to, d), rest/d
				}
			}
			to = append(to, rest)
			if i := g.IntN(len(to)); g.yes() {
				to[i] = -1
			} else if i < len(s) && to[i] == s[i] {
				to[i] = 0
			}
			g.node(o, 1, g.data(s), ints(to...))
		},
		"Transpose": func(g *generated, o string) {
			s := g.shape(0, 5)
			g.maybe(g.node(o, 1, g.data(s)), "perm", g.Perm(len(s)))
		},
		"Squeeze": func(g *generated, o string) {
			s := g.shape(1, 4)
			i := g.IntN(len(s))
			s[i] = 1
			in := []any{g.data(s), nil}
			if g.yes() {
				in[1] = ints(i - oneOf(g, 0, len(s)))
			}
			g.node(o, 1, in...)
		},
		"Unsqueeze": func(g *generated, o string) {
			s := g.shape(0, 3)
			n := g.between(1, 2)
			g.node(o, 1, g.data(s), ints(g.distinct(len(s)+n, n)...))
		},
		"Flatten": func(g *generated, o string) {
			s := g.shape(1, 4)
			g.maybe(g.node(o, 1, g.data(s)), "axis", g.between(-len(s), len(s)))
		},
		"Expand": func(g *generated, o string) {
			s := g.broadcastable(2)
			g.node(o, 1, g.data(s[0]), ints(s[1]...))
		},
		"Tile": func(g *generated, o string) {
			s := g.shape(1, 4)
			g.node(o, 1, g.data(s), ints(g.list(len(s), 1, 3)...))
		},
		"Concat": func(g *generated, o string) {
			s, d := g.shape(1, 4), g.dtype(allDTypes)
			axis := g.axis(len(s))
			var in []any
			for range g.between(1, 4) {
				part := slices.Clone(s)
				part[(axis+len(s))%len(s)] = g.between(0, 4)
				in = append(in, g.tensor(d, part...))
			}
			set(g.node(o, 1, in...), "axis", axis)
		},
		"Split": func(g *generated, o string) {
			s := g.shape(1, 4)
			axis := g.axis(len(s))
			at := (axis + len(s)) % len(s)
			parts := g.between(1, 3)
			if g.yes() || g.opset < 18 {
				sizes := g.list(parts, 0, 3)
				s[at] = sumOf(sizes)
				set(g.node(o, parts, g.data(s), ints(sizes...)), "axis", axis)
				return
			}
			s[at] = parts * 3
			if parts > 1 && g.yes() {
				s[at]--
			}
			set(set(g.node(o, parts, g.data(s)), "axis", axis), "num_outputs", parts)
		},
		"Slice": sliceNode,
		"Pad":   padNode,
		"DepthToSpace": func(g *generated, o string) {
			b := g.between(1, 3)
			n := g.node(o, 1, g.tensor(g.dtype(floatTypes), g.between(1, 2), b*b*g.between(1, 2), g.between(1, 4), g.between(1, 4)))
			g.maybe(set(n, "blocksize", b), "mode", oneOf(g, "DCR", "CRD"))
		},
		"SpaceToDepth": func(g *generated, o string) {
			b := g.between(1, 3)
			set(g.node(o, 1, g.tensor(g.dtype(floatTypes), g.between(1, 2), g.between(1, 3), b*g.between(1, 4), b*g.between(1, 4))), "blocksize", b)
		},
		"Shape": func(g *generated, o string) {
			s := g.shape(0, 4)
			g.maybe(g.maybe(g.node(o, 1, g.data(s)), "start", g.between(-6, 6)), "end", g.between(-6, 6))
		},
		"Size": func(g *generated, o string) { g.node(o, 1, g.data(g.shape(0, 4))) },
		"Trilu": func(g *generated, o string) {
			in := []any{g.data(g.shape(2, 4)), nil}
			if g.yes() {
				in[1] = scalarOf(ops.Int64, float64(g.between(-4, 4)))
			}
			g.maybe(g.node(o, 1, in...), "upper", g.yes())
		},
		"EyeLike": func(g *generated, o string) {
			d := oneOf(g, ops.Float32, ops.Int64, ops.Float64, ops.Int32)
			n := g.node(o, 1, g.tensor(d, g.shape(2, 2)...))
			g.maybe(g.maybe(n, "k", g.between(-3, 3)), "dtype", int(oneOf(g, ops.Float32, ops.Int64, ops.Float64, ops.Int32)))
		},
		"ConstantOfShape": func(g *generated, o string) {
			g.maybe(g.node(o, 1, ints(g.shape(1, 4)...)), "value", g.tensor(g.dtype(numberTypes), 1))
		},
		"Range": func(g *generated, o string) {
			d := g.dtype([]ops.DType{ops.Float32, ops.Int64, ops.Int32, ops.Float64, ops.Int16})
			start, delta := g.between(-5, 5), oneOf(g, -3, -2, -1, 1, 2, 3)
			g.node(o, 1, scalarOf(d, float64(start)), scalarOf(d, float64(start+delta*g.between(-1, 6)+g.IntN(2))), scalarOf(d, float64(delta)))
		},
		"OneHot": func(g *generated, o string) {
			s := g.shape(1, 3)
			depth := g.between(1, 5)
			i := oneOf(g, ops.Int64, ops.Int32, ops.Float32)
			indices := filled(i, s, func(int) float64 { return float64(g.between(-depth, depth-1)) })
			d := oneOf(g, ops.Float32, ops.Int64, ops.Int32)
			set(g.node(o, 1, indices, scalarOf(ops.Int64, float64(depth)), g.tensor(d, 2)), "axis", g.between(-len(s)-1, len(s)))
		},
		"NonZero": func(g *generated, o string) {
			g.node(o, 1, g.within(oneOf(g, ops.Bool, ops.Float32, ops.Int64, ops.Int32, ops.Uint8), 0, 1, g.shape(1, 4)...))
		},
		"Compress": func(g *generated, o string) {
			s := g.shape(1, 4)
			if g.yes() {
				g.node(o, 1, g.data(s), g.tensor(ops.Bool, g.between(1, lenOf(s))))
				return
			}
			axis := g.axis(len(s))
			set(g.node(o, 1, g.data(s), g.tensor(ops.Bool, g.between(1, s[(axis+len(s))%len(s)]))), "axis", axis)
		},
		"ReverseSequence": func(g *generated, o string) {
			s := g.shape(2, 4)
			time := g.IntN(2)
			lengths := filled(ops.Int64, []int{s[1-time]}, func(int) float64 { return float64(g.between(1, s[time])) })
			set(set(g.node(o, 1, g.tensor(g.dtype(floatTypes), s...), lengths), "time_axis", time), "batch_axis", 1-time)
		},
		"CenterCropPad": func(g *generated, o string) {
			g.opset = max(g.opset, 18)
			s := g.shape(1, 4)
			axes := g.axes(len(s))
			n := g.node(o, 1, g.tensor(g.dtype(floatTypes), s...), ints(g.list(len(axes), 1, 6)...))
			set(n, "axes", axes)
		},
		"Unique": func(g *generated, o string) {
			s := g.shape(1, 3)
			n := g.node(o, 4, g.within(oneOf(g, ops.Float32, ops.Int64, ops.Float64, ops.Int8), 0, 1, s...))
			if g.yes() {
				set(n, "axis", g.axis(len(s)))
			}
			g.maybe(n, "sorted", g.yes())
		},
		"TopK": func(g *generated, o string) {
			s := g.shape(1, 4)
			axis := g.axis(len(s))
			x := g.tensor(oneOf(g, ops.Float32, ops.Float64, ops.Int64, ops.Int32), s...)
			n := set(g.node(o, 2, x, ints(g.between(0, s[(axis+len(s))%len(s)]))), "axis", axis)
			g.maybe(n, "largest", g.yes())
		},
		"Gather": func(g *generated, o string) {
			s := g.shape(1, 4)
			axis := g.axis(len(s))
			g.maybe(g.node(o, 1, g.data(s), g.indices(s[(axis+len(s))%len(s)], g.shape(0, 2)...)), "axis", axis)
			if len(g.graph.Node[0].GetAttribute()) == 0 { // the default is 0
				g.reset()
				g.node(o, 1, g.data(s), g.indices(s[0], g.shape(0, 2)...))
			}
		},
		"GatherElements": func(g *generated, o string) {
			s := g.shape(1, 4)
			axis := g.axis(len(s))
			at := (axis + len(s)) % len(s)
			set(g.node(o, 1, g.data(s), g.indices(s[at], g.within1(s, at)...)), "axis", axis)
		},
		"GatherND": func(g *generated, o string) {
			s := g.shape(1, 4)
			batch := g.IntN(min(2, len(s)))
			size := g.between(1, len(s)-batch)
			n := g.node(o, 1, g.data(s), g.coordinates(s[batch:batch+size], append(slices.Clone(s[:batch]), g.between(1, 4))))
			set(n, "batch_dims", batch)
		},
		"ScatterElements": func(g *generated, o string) {
			s := g.shape(1, 3)
			axis := g.axis(len(s))
			at := (axis + len(s)) % len(s)
			part := g.within1(s, at)
			d := g.dtype(floatTypes)
			reduction := "none"
			if g.opset >= 18 {
				reduction = oneOf(g, "none", "add", "mul", "max", "min")
			}
			indices := g.indices(s[at], part...)
			if reduction == "none" { // no element may be written twice
				part[at] = min(part[at], s[at])
				order := g.Perm(s[at])
				stride := 1
				for _, n := range part[at+1:] {
					stride *= n
				}
				indices = filled(ops.Int64, part, func(i int) float64 { return float64(order[i/stride%part[at]]) })
			}
			n := set(g.node(o, 1, g.tensor(d, s...), indices, g.tensor(d, part...)), "axis", axis)
			if reduction != "none" {
				set(n, "reduction", reduction)
			}
		},
		"ScatterND": func(g *generated, o string) {
			s := g.shape(1, 3)
			size := g.between(1, len(s))
			d := g.dtype(floatTypes)
			reduction, count := "none", 1
			if g.opset >= 18 && g.yes() {
				reduction, count = oneOf(g, "add", "mul", "max", "min"), g.between(1, 5)
			}
			n := g.node(o, 1, g.tensor(d, s...), g.coordinates(s[:size], []int{count}), g.tensor(d, append([]int{count}, s[size:]...)...))
			if reduction != "none" {
				set(n, "reduction", reduction)
			}
		},
		"SequenceAt": func(g *generated, o string) {
			names, _ := g.sequence(3)
			g.node(o, 1, names, scalarOf(ops.Int64, float64(g.between(-3, 2))))
		},
		"SequenceInsert": func(g *generated, o string) {
			name, d := g.sequence(3)
			in := []any{name, g.tensor(d, 2, 3), nil}
			if g.yes() {
				in[2] = scalarOf(ops.Int64, float64(g.between(-3, 3)))
			}
			g.joined(g.node(o, 1, in...).GetOutput()[0])
		},
		"SequenceErase": func(g *generated, o string) {
			name, _ := g.sequence(3)
			in := []any{name, nil}
			if g.yes() {
				in[1] = scalarOf(ops.Int64, float64(g.between(-3, 2)))
			}
			g.joined(g.node(o, 1, in...).GetOutput()[0])
		},
		"SequenceLength":     func(g *generated, o string) { name, _ := g.sequence(g.between(1, 4)); g.node(o, 1, name) },
		"ConcatFromSequence": func(g *generated, _ string) { name, _ := g.sequence(g.between(1, 4)); g.joined(name) },
		"SequenceEmpty": func(g *generated, o string) {
			n := set(g.node(o, 1), "dtype", int(ops.Float32))
			n = g.node("SequenceInsert", 1, n.GetOutput()[0], g.tensor(ops.Float32, g.shape(1, 3)...))
			g.node("SequenceAt", 1, n.GetOutput()[0], scalarOf(ops.Int64, 0))
		},
		"OptionalGetElement": func(g *generated, o string) {
			n := g.node("Optional", 1, g.data(g.shape(0, 3)))
			g.opset = max(g.opset, 18)
			g.node(oneOf(g, o, "OptionalHasElement"), 1, n.GetOutput()[0])
		},
		"TensorScatter": func(g *generated, o string) {
			g.opset = 24
			batch, length, size := g.between(1, 3), g.between(2, 6), g.between(1, 4)
			count := g.between(1, length)
			d := oneOf(g, ops.Float32, ops.Int64)
			indices := filled(ops.Int64, []int{batch}, func(int) float64 { return float64(g.between(0, length-count)) })
			n := set(g.node(o, 1, g.tensor(d, batch, length, size), g.tensor(d, batch, count, size), indices), "axis", -2)
			g.maybe(n, "mode", oneOf(g, "linear", "circular"))
		},
		"SplitToSequence": func(g *generated, o string) {
			s := g.shape(1, 3)
			axis := g.axis(len(s))
			n := set(g.node(o, 1, g.tensor(oneOf(g, ops.Float32, ops.Int64, ops.Float64), s...)), "axis", axis)
			g.maybe(n, "keepdims", true)
			set(g.node("ConcatFromSequence", 1, n.GetOutput()[0]), "axis", axis)
			if len(n.GetAttribute()) == 2 && g.yes() { // unless an axis is dropped, any sizes
				g.reset()
				n = set(g.node(o, 1, g.tensor(ops.Float32, s...), scalarOf(ops.Int64, float64(g.between(1, 3)))), "axis", axis)
				g.node("SequenceAt", 1, n.GetOutput()[0], scalarOf(ops.Int64, -1))
			}
		},
	}
}

func lenOf(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

func sumOf(v []int) (sum int) {
	for _, n := range v {
		sum += n
	}
	return sum
}

// data returns a tensor of any type.
func (g *generated) data(shape []int) *runtime.Tensor { return g.tensor(g.dtype(allDTypes), shape...) }

// reset removes all nodes and values.
func (g *generated) reset() { *g = *newGenerated(g.Rand, g.opset) }

// distinct returns n different numbers below a limit.
func (g *generated) distinct(limit, n int) []int { return g.Perm(limit)[:n] }

// within1 returns a shape within another one, apart from an axis.
func (g *generated) within1(shape []int, axis int) []int {
	part := make([]int, len(shape))
	for i, d := range shape {
		part[i] = g.between(1, d)
	}
	part[axis] = g.between(1, 4)
	return part
}

// indices returns valid indices of a dimension, also negative ones.
func (g *generated) indices(size int, shape ...int) *runtime.Tensor {
	return filled(oneOf(g, ops.Int64, ops.Int32), shape, func(int) float64 { return float64(g.between(-size, size-1)) })
}

// coordinates returns valid coordinates, of which there are as many as shape has elements.
func (g *generated) coordinates(sizes, shape []int) *runtime.Tensor {
	return filled(ops.Int64, append(shape, len(sizes)), func(i int) float64 {
		d := sizes[i%len(sizes)]
		return float64(g.between(-d, d-1))
	})
}

// sequence adds a node that makes a sequence of n matrices, and returns its name.
func (g *generated) sequence(n int) (string, ops.DType) {
	d := oneOf(g, ops.Float32, ops.Int64, ops.Float64)
	var in []any
	for range n {
		in = append(in, g.tensor(d, 2, 3))
	}
	return g.node("SequenceConstruct", 1, in...).GetOutput()[0], d
}

// joined adds a node that joins the matrices of a sequence.
func (g *generated) joined(name string) {
	set(g.maybe(g.node("ConcatFromSequence", 1, name), "new_axis", g.yes()), "axis", g.between(-2, 1))
}

func sliceNode(g *generated, o string) {
	s := g.shape(1, 4)
	axes := g.axes(len(s))
	starts, ends, steps := make([]int, len(axes)), make([]int, len(axes)), make([]int, len(axes))
	for i, a := range axes {
		d := s[(a+len(s))%len(s)]
		starts[i], ends[i], steps[i] = g.between(-d-2, d+2), g.between(-d-2, d+2), oneOf(g, 1, 1, 2, 3, -1, -2)
		if g.IntN(4) == 0 {
			if ends[i] = 1<<31 - 1; steps[i] < 0 { // onnxruntime takes this end for -1 with negative steps
				ends[i] = -1 << 31
			}
		}
	}
	in := []any{g.data(s), ints(starts...), ints(ends...), ints(axes...), nil}
	if g.yes() {
		in[4] = ints(steps...)
	}
	g.node(o, 1, in...)
}

func padNode(g *generated, o string) {
	s, d := g.shape(1, 4), g.dtype(numberTypes)
	mode := oneOf(g, "constant", "constant", "edge", "reflect")
	if g.opset >= 19 && g.yes() {
		mode = "wrap"
	}
	pads := make([]int, 2*len(s))
	for i := range pads {
		pads[i] = g.IntN(4)
		if mode == "reflect" || mode == "wrap" {
			pads[i] = g.IntN(s[i%len(s)])
		}
	}
	if mode == "constant" && g.IntN(3) == 0 { // negative pads remove
		pads[0] = -g.IntN(s[0])
	}
	in := []any{g.tensor(d, s...), ints(pads...), nil, nil}
	if mode == "constant" && g.yes() {
		in[2] = g.tensor(d)
	}
	if g.opset >= 18 && g.IntN(3) == 0 {
		axes := g.axes(len(s))
		var some []int
		for _, side := range []int{0, len(s)} {
			for _, a := range axes {
				some = append(some, pads[side+(a+len(s))%len(s)])
			}
		}
		in[1], in[3] = ints(some...), ints(axes...)
	}
	g.maybe(g.node(o, 1, in...), "mode", mode)
	if n := g.graph.Node[0]; len(n.GetAttribute()) == 0 && mode != "constant" {
		set(n, "mode", mode)
	}
}
