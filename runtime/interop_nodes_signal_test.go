package runtime_test

import (
	"github.com/spike-by-spike/sbs/ops"
)

// signalNodes are the generators of operators on signals, texts and boxes, and of attention.
func signalNodes() map[string]generator {
	m := map[string]generator{
		"DFT": func(g *generated, o string) {
			g.opset, g.tolerance = max(g.opset, 17), 1e-4
			s := append(g.list(g.between(1, 2), 1, 4), g.between(1, 12), oneOf(g, 1, 2))
			d := oneOf(g, ops.Float32, ops.Float64)
			axis := g.IntN(len(s) - 1)
			in := []any{g.tensor(d, s...), nil, nil}
			if g.yes() {
				in[1] = scalarOf(ops.Int64, float64(g.between(1, 14)))
			}
			if g.opset >= 20 {
				in[2] = scalarOf(ops.Int64, float64(axis))
			}
			n := g.node(o, 1, in...)
			if g.opset < 20 {
				set(n, "axis", axis)
			}
			if s[len(s)-1] == 1 && g.yes() {
				set(n, "onesided", 1)
			} else {
				g.maybe(n, "inverse", g.yes())
			}
		},
		"STFT": func(g *generated, o string) {
			g.opset, g.tolerance = max(g.opset, 17), 1e-4
			d := oneOf(g, ops.Float32, ops.Float64)
			length := g.between(2, 9)
			in := []any{g.tensor(d, g.between(1, 2), length+g.between(0, 20), 1), scalarOf(ops.Int64, float64(g.between(1, 4))), nil, scalarOf(ops.Int64, float64(length))}
			if g.yes() {
				in[2] = g.tensor(d, length)
			}
			g.maybe(g.node(o, 1, in...), "onesided", g.yes())
		},
		"MelWeightMatrix": func(g *generated, o string) {
			g.opset = max(g.opset, 17)
			i := func(v int) any { return scalarOf(ops.Int64, float64(v)) }
			g.node(o, 1, i(g.between(1, 8)), i(oneOf(g, 16, 32, 64)), i(8192), scalarOf(ops.Float32, 0), scalarOf(ops.Float32, float64(g.between(2000, 4096))))
		},
		"NonMaxSuppression": func(g *generated, o string) {
			batch, boxes, classes := g.between(1, 2), g.between(1, 8), g.between(1, 3)
			in := []any{
				g.within(ops.Float32, 0, 1, batch, boxes, 4), g.within(ops.Float32, 0, 1, batch, classes, boxes), scalarOf(ops.Int64, float64(g.between(1, 4))), nil, nil,
			}
			if g.yes() {
				in[3] = scalarOf(ops.Float32, g.Float64())
			}
			if g.yes() {
				in[4] = scalarOf(ops.Float32, g.Float64())
			}
			g.maybe(g.node(o, 1, in...), "center_point_box", g.yes())
		},
		"TfIdfVectorizer": func(g *generated, o string) {
			n := g.node(o, 1, g.within(oneOf(g, ops.Int64, ops.Int32), 0, 3, g.shape(1, 2)...))
			set(set(set(n, "min_gram_length", g.between(1, 2)), "max_gram_length", 2), "max_skip_count", g.between(0, 2))
			set(set(set(n, "ngram_counts", []int{0, 3}), "ngram_indexes", []int{2, 0, 1, 4, 3}), "pool_int64s", []int{1, 2, 3, 0, 1, 2, 3})
			g.maybe(set(n, "mode", oneOf(g, "TF", "IDF", "TFIDF")), "weights", g.reals(5))
		},
		"StringNormalizer": func(g *generated, o string) {
			n := g.node(o, 1, filled(ops.String, []int{g.between(1, 5)}, func(int) float64 { return float64(g.IntN(4)) }))
			g.maybe(set(n, "is_case_sensitive", 1), "stopwords", []string{"1", "3"})
		},
		"StringConcat": func(g *generated, o string) {
			g.opset = max(g.opset, 20)
			s := g.broadcastable(2)
			word := func(int) float64 { return float64(g.IntN(90)) }
			g.node(o, 1, filled(ops.String, s[0], word), filled(ops.String, s[1], word))
		},
		"RegexFullMatch": func(g *generated, o string) {
			g.opset = max(g.opset, 20)
			set(g.node(o, 1, filled(ops.String, g.shape(1, 2), func(int) float64 { return float64(g.IntN(90)) })), "pattern", oneOf(g, "[0-4]*", "1.?", "(2|3)+\\d"))
		},
		"StringSplit": func(g *generated, o string) {
			g.opset = max(g.opset, 20)
			n := g.node(o, 2, filled(ops.String, g.shape(1, 2), func(int) float64 { return float64(g.IntN(9000)) }))
			g.maybe(set(n, "delimiter", oneOf(g, "1", "2", "11")), "maxsplit", g.between(1, 2))
		},
		"RMSNormalization": func(g *generated, o string) {
			g.opset, g.tolerance = 23, 1e-4
			s := append(g.list(g.between(0, 2), 1, 4), g.list(2, 2, 20)...)
			axis := g.axis(len(s))
			d := ops.Float32
			g.maybe(set(g.node(o, 1, g.tensor(d, s...), g.tensor(d, s[(axis+len(s))%len(s):]...)), "axis", axis), "epsilon", 0.01)
		},
		"RotaryEmbedding": func(g *generated, o string) {
			g.opset = 23
			batch, heads, steps, size := g.between(1, 2), g.between(1, 3), g.between(1, 4), 2*g.between(1, 5)
			d := ops.Float32
			x := g.tensor(d, batch, heads, steps, size)
			half := []int{batch, steps, size / 2}
			in := []any{x, g.within(d, -1, 1, half...), g.within(d, -1, 1, half...), nil}
			if g.yes() {
				half = []int{9, size / 2}
				in = []any{x, g.within(d, -1, 1, half...), g.within(d, -1, 1, half...), g.within(ops.Int64, 0, 8, batch, steps)}
			}
			g.maybe(g.node(o, 1, in...), "interleaved", g.yes())
		},
		"Attention": func(g *generated, o string) {
			g.opset, g.tolerance = 23, 1e-4
			batch, kv := g.between(1, 2), g.between(1, 2)
			heads := kv * g.between(1, 2)
			steps, keys, size, values := g.between(1, 5), g.between(1, 6), g.between(1, 8), g.between(1, 8)
			d := ops.Float32
			in := []any{g.tensor(d, batch, heads, steps, size), g.tensor(d, batch, kv, keys, size), g.tensor(d, batch, kv, keys, values), nil}
			if g.yes() {
				in[3] = g.tensor(d, oneOf(g, []int{steps, keys}, []int{batch, 1, steps, keys}, []int{batch, heads, steps, keys})...)
			}
			g.maybe(g.maybe(g.node(o, 1, in...), "scale", 0.3), "softcap", 2.0)
		},
	}
	for _, name := range []string{"HannWindow", "HammingWindow", "BlackmanWindow"} {
		m[name] = func(g *generated, o string) {
			g.opset = max(g.opset, 17)
			n := g.node(o, 1, scalarOf(oneOf(g, ops.Int32, ops.Int64), float64(g.between(2, 30))))
			g.maybe(n, "periodic", g.yes())
		}
	}
	return m
}
