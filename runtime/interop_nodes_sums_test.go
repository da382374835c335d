package runtime_test

import (
	"strings"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// sumNodes are the generators of operators that add or compare elements along axes: reductions,
// products, softmax, norms and recurrent networks.
func sumNodes() map[string]generator {
	m := map[string]generator{
		"CumSum": func(g *generated, o string) {
			s := g.shape(1, 4)
			n := g.node(o, 1, g.tensor(oneOf(g, ops.Float32, ops.Float64, ops.Int32, ops.Int64), s...), scalarOf(oneOf(g, ops.Int64, ops.Int32), float64(g.axis(len(s)))))
			g.maybe(g.maybe(n, "exclusive", g.yes()), "reverse", g.yes())
		},
		"MatMul": func(g *generated, o string) {
			a, b := g.matrices()
			d := g.dtype([]ops.DType{ops.Float32, ops.Float64, ops.Int32, ops.Int64, ops.Float16, ops.Uint32})
			g.node(o, 1, g.tensor(d, a...), g.tensor(d, b...))
		},
		"Gemm": func(g *generated, o string) {
			m, k, n := g.between(1, 9), g.between(1, 20), g.between(1, 20)
			a, b := []int{m, k}, []int{k, n}
			ta, tb := g.yes(), g.yes()
			if ta {
				a = []int{k, m}
			}
			if tb {
				b = []int{n, k}
			}
			d := g.dtype(floatTypes)
			in := []any{g.tensor(d, a...), g.tensor(d, b...), nil}
			if g.yes() {
				in[2] = g.tensor(d, oneOf(g, []int{}, []int{n}, []int{1, n}, []int{m, 1}, []int{m, n}, []int{1})...)
			}
			node := set(set(g.node(o, 1, in...), "transA", ta), "transB", tb)
			g.maybe(g.maybe(node, "alpha", g.Float64()), "beta", g.Float64())
		},
		"Einsum": einsumNode,
		"Det": func(g *generated, o string) {
			n := g.between(1, 4)
			g.node(o, 1, g.tensor(ops.Float32, g.between(1, 3), n, n))
		},
		"Softmax": func(g *generated, o string) {
			s := g.shape(1, 4)
			g.maybe(g.node(o, 1, g.tensor(g.dtype(floatTypes), s...)), "axis", g.axis(len(s)))
		},
		"BatchNormalization": func(g *generated, o string) {
			s := g.shape(2, 5)
			d := g.dtype(floatTypes)
			c := s[1]
			n := g.node(o, 1, g.tensor(d, s...), g.tensor(d, c), g.tensor(d, c), g.tensor(d, c), g.within(d, 0.2, 2, c))
			g.maybe(n, "epsilon", 0.01)
		},
		"InstanceNormalization": func(g *generated, o string) {
			s := append(g.list(2, 1, 4), g.list(g.between(1, 3), 2, 6)...)
			d := ops.Float32
			g.maybe(g.node(o, 1, g.tensor(d, s...), g.tensor(d, s[1]), g.tensor(d, s[1])), "epsilon", 0.1)
		},
		"GroupNormalization": func(g *generated, o string) {
			g.opset = 21
			groups := g.between(1, 3)
			c := groups * g.between(1, 3)
			d := g.dtype(floatTypes)
			g.tolerance = 1e-6 // the default of stash_type is float32
			n := g.node(o, 1, g.tensor(d, append([]int{g.between(1, 2), c}, g.list(g.between(1, 2), 2, 5)...)...), g.tensor(d, c), g.tensor(d, c))
			g.maybe(set(n, "num_groups", groups), "epsilon", 0.1)
		},
		"LayerNormalization": func(g *generated, o string) {
			g.opset = max(g.opset, 17)
			s := append(g.list(g.between(0, 2), 1, 4), g.list(2, 2, 20)...)
			axis := g.axis(len(s))
			d := g.dtype(floatTypes)
			rest := s[(axis+len(s))%len(s):]
			in := []any{g.tensor(d, s...), g.tensor(d, rest...), nil}
			if g.yes() {
				in[2] = g.tensor(d, rest...)
			}
			g.tolerance = 1e-4
			g.maybe(set(g.node(o, 1, in...), "axis", axis), "epsilon", 0.01)
		},
		"LpNormalization": func(g *generated, o string) {
			s := g.shape(1, 4)
			n := g.node(o, 1, g.tensor(oneOf(g, ops.Float32, ops.Float64), s...))
			g.maybe(set(n, "axis", g.axis(len(s))), "p", g.between(1, 2))
		},
		"MeanVarianceNormalization": func(g *generated, o string) {
			g.tolerance = 1e-4
			g.maybe(g.node(o, 1, g.tensor(ops.Float32, g.list(4, 2, 5)...)), "axes", oneOf(g, []int{0, 2, 3}, []int{1}, []int{2, 3}))
		},
		"Dropout": func(g *generated, o string) { g.node(o, 1, g.tensor(g.dtype(floatTypes), g.shape(1, 3)...)) },
		"RNN":     recurrentNode(1), "GRU": recurrentNode(3), "LSTM": recurrentNode(4),
		"NegativeLogLikelihoodLoss": func(g *generated, o string) { lossNode(g, o, 1) },
		"SoftmaxCrossEntropyLoss":   func(g *generated, o string) { lossNode(g, o, g.between(1, 2)) },
	}
	m["LogSoftmax"], m["Hardmax"] = m["Softmax"], m["Softmax"]
	for _, name := range []string{"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"} {
		m[name] = reduceNode
	}
	m["ArgMax"], m["ArgMin"] = argNode, argNode
	return m
}

func reduceNode(g *generated, o string) {
	s := g.shape(1, 4)
	d := g.dtype([]ops.DType{ops.Float32, ops.Float64, ops.Int32, ops.Int64, ops.Float16})
	x := g.tensor(d, s...)
	if strings.HasPrefix(o, "ReduceLog") {
		x = g.within(d, 1, 4, s...)
	}
	if o == "ReduceProd" {
		x = g.within(d, 1, 2, s...)
		if lenOf(s) > 30 {
			x = g.within(d, 1, 1, s...)
		}
	}
	axes := g.axes(len(s))
	in := []any{x}
	asInput := g.opset >= 18 || o == "ReduceSum"
	some := g.IntN(4) != 0
	if some && asInput {
		in = append(in, ints(axes...))
	}
	n := g.node(o, 1, in...)
	if some && !asInput {
		set(n, "axes", axes)
	}
	g.maybe(n, "keepdims", g.yes())
	if asInput {
		g.maybe(n, "noop_with_empty_axes", g.yes())
	}
}

func argNode(g *generated, o string) {
	s := g.shape(1, 4)
	n := g.node(o, 1, g.within(g.dtype([]ops.DType{ops.Float32, ops.Float64, ops.Int32, ops.Int8, ops.Uint8}), 0, 3, s...))
	g.maybe(g.maybe(set(n, "axis", g.axis(len(s))), "keepdims", g.yes()), "select_last_index", g.yes())
}

// matrices returns the shapes of two factors.
func (g *generated) matrices() (a, b []int) {
	m, k, n := g.between(1, 9), g.between(1, 20), g.between(1, 20)
	a, b = []int{m, k}, []int{k, n}
	switch g.IntN(5) {
	case 0:
		a = []int{k}
	case 1:
		b = []int{k}
	case 2:
		a = append([]int{g.between(1, 3)}, a...)
	case 3:
		batch := g.between(1, 3)
		a, b = append([]int{2, batch}, a...), append([]int{oneOf(g, 1, batch)}, b...)
	}
	return a, b
}

func einsumNode(g *generated, o string) {
	equation := oneOf(g, "ij,jk->ik", "ij->ji", "ij->", "ii->i", "bij,bjk->bik", "bij,bkj", "i,j->ij", "i,i", "...ij,...jk->...ik", "abc,cd->abd", "bhqd,bhkd->bhqk",
		"ij,ij->i", "iij->j", "a...b->b...a", "ab,bc,cd->ad", " i j , j k -> k i ")
	left, _, _ := strings.Cut(equation, "->")
	sizes := map[rune]int{}
	d := g.dtype([]ops.DType{ops.Float32, ops.Float64, ops.Int32, ops.Int64})
	dots := g.list(g.IntN(3), 1, 3)
	var in []any
	for part := range strings.SplitSeq(strings.ReplaceAll(left, " ", ""), ",") {
		var s []int
		before, after, found := strings.Cut(part, "...")
		for _, text := range []string{before, after} {
			for _, c := range text {
				if sizes[c] == 0 {
					sizes[c] = g.between(1, 5)
				}
				s = append(s, sizes[c])
			}
			if found && text == before && len(s) == len(before) {
				s = append(s, dots...)
				found = false
			}
		}
		in = append(in, g.tensor(d, s...))
	}
	set(g.node(o, 1, in...), "equation", equation)
}

// recurrentNode generates a recurrent network with the given number of gates.
func recurrentNode(gates int) generator {
	return func(g *generated, o string) {
		d := ops.Float32
		steps, batch, size, hidden := g.between(1, 5), g.between(1, 3), g.between(1, 5), g.between(1, 9)
		direction := oneOf(g, "forward", "reverse", "bidirectional")
		dirs := 1
		if direction == "bidirectional" {
			dirs = 2
		}
		in := []any{g.tensor(d, steps, batch, size), g.tensor(d, dirs, gates*hidden, size), g.tensor(d, dirs, gates*hidden, hidden), nil, nil, nil}
		if g.yes() {
			in[3] = g.tensor(d, dirs, 2*gates*hidden)
		}
		if g.yes() {
			in[4] = filled(ops.Int32, []int{batch}, func(int) float64 { return float64(g.between(1, steps)) })
		}
		if g.yes() {
			in[5] = g.tensor(d, dirs, batch, hidden)
		}
		outputs := g.between(1, 2)
		if o == "LSTM" {
			outputs = g.between(1, 3)
			in = append(in, nil, nil)
			if g.yes() {
				in[6] = g.tensor(d, dirs, batch, hidden)
			}
			if g.yes() {
				in[7] = g.tensor(d, dirs, 3*hidden)
			}
		}
		n := set(set(g.node(o, outputs, in...), "hidden_size", hidden), "direction", direction)
		if o == "GRU" {
			g.maybe(n, "linear_before_reset", g.yes())
		}
		g.maybe(n, "clip", 0.5+g.Float64())
		if g.IntN(3) == 0 {
			names := []string{"Relu", "Tanh", "Sigmoid", "Softsign", "Softplus", "HardSigmoid", "Affine"}
			var list []string
			var alpha, beta []float64
			for range dirs * map[int]int{1: 1, 3: 2, 4: 3}[gates] {
				f := oneOf(g, names...)
				list = append(list, f)
				if f == "HardSigmoid" || f == "Affine" {
					alpha, beta = append(alpha, 0.3), append(beta, 0.4)
				}
			}
			set(n, "activations", list)
			if alpha != nil {
				set(set(n, "activation_alpha", alpha), "activation_beta", beta)
			}
		}
	}
}

func lossNode(g *generated, o string, outputs int) {
	classes := g.between(2, 6)
	rest := append([]int{g.between(1, 4)}, g.list(g.IntN(3), 1, 4)...)
	x := g.tensor(ops.Float32, append([]int{rest[0], classes}, rest[1:]...)...)
	target := filled(oneOf(g, ops.Int64, ops.Int32), rest, func(int) float64 { return float64(g.IntN(classes)) })
	in := []any{x, target, (*runtime.Tensor)(nil)}[:2]
	if g.yes() {
		in = append(in, g.within(ops.Float32, 0.1, 1, classes))
	}
	n := g.node(o, outputs, in...)
	g.maybe(n, "reduction", oneOf(g, "none", "sum", "mean"))
	g.maybe(n, "ignore_index", g.between(-1, classes-1))
}
