package runtime_test

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// mlNodes are the generators of the operators of ai.onnx.ml.
func mlNodes() map[string]generator {
	m := map[string]generator{
		"Scaler": func(g *generated, o string) {
			x := g.features(oneOf(g, ops.Float32, ops.Float64, ops.Int64, ops.Int32))
			n := oneOf(g, 1, x.Shape()[1])
			set(set(g.node(o, 1, x), "offset", g.reals(n)), "scale", g.reals(n))
		},
		"Normalizer": func(g *generated, o string) {
			set(g.node(o, 1, g.features(oneOf(g, ops.Float32, ops.Float64, ops.Int64, ops.Int32))), "norm", oneOf(g, "MAX", "L1", "L2"))
		},
		"Binarizer": func(g *generated, o string) {
			g.maybe(g.node(o, 1, g.features(ops.Float32)), "threshold", g.NormFloat64())
		},
		"Imputer": func(g *generated, o string) {
			if g.yes() {
				x := g.features(ops.Int64)
				set(set(g.node(o, 1, x), "imputed_value_int64s", g.list(oneOf(g, 1, x.Shape()[1]), 50, 60)), "replaced_value_int64", g.between(-2, 2))
				return
			}
			x := g.features(ops.Float32)
			for i := range x.Float32s() {
				if g.IntN(3) == 0 {
					x.Float32s()[i] = float32(math.NaN())
				}
			}
			set(set(g.node(o, 1, x), "imputed_value_floats", g.reals(oneOf(g, 1, x.Shape()[1]))), "replaced_value_float", math.NaN())
		},
		"LabelEncoder": func(g *generated, o string) {
			count := g.between(1, 5)
			keys := g.Perm(8)[:count]
			words := func() (list []string) {
				for _, k := range keys {
					list = append(list, fmt.Sprint(k))
				}
				return list
			}
			kind := oneOf(g, ops.Int64, ops.String, ops.Float32)
			n := g.node(o, 1, filled(kind, g.shape(1, 3), func(int) float64 { return float64(g.IntN(8)) }))
			switch kind {
			case ops.Int64:
				set(n, "keys_int64s", keys)
			case ops.String:
				set(n, "keys_strings", words())
			default:
				var f []float64
				for _, k := range keys {
					f = append(f, float64(k))
				}
				set(n, "keys_floats", f)
			}
			switch {
			case kind != ops.String && g.yes():
				g.maybe(set(n, "values_strings", words()), "default_string", "other")
			case kind != ops.Int64 && g.yes():
				g.maybe(set(n, "values_int64s", g.list(count, 0, 99)), "default_int64", 7)
			default:
				g.maybe(set(n, "values_floats", g.reals(count)), "default_float", 7.5)
			}
		},
		"CategoryMapper": func(g *generated, o string) {
			d := oneOf(g, ops.Int64, ops.String)
			n := g.node(o, 1, filled(d, g.shape(1, 3), func(int) float64 { return float64(g.IntN(5)) }))
			g.maybe(g.maybe(set(set(n, "cats_int64s", []int{0, 2, 3}), "cats_strings", []string{"3", "1", "0"}), "default_int64", 9), "default_string", "z")
		},
		"OneHotEncoder": func(g *generated, o string) {
			d := oneOf(g, ops.Int64, ops.String, ops.Float32)
			n := g.node(o, 1, filled(d, g.shape(1, 2), func(int) float64 { return float64(g.IntN(4)) }))
			if d == ops.String {
				set(n, "cats_strings", []string{"2", "0", "1", "3"})
			} else {
				set(n, "cats_int64s", []int{3, 0, 1, 2})
			}
			g.maybe(n, "zeros", true)
		},
		"ArrayFeatureExtractor": func(g *generated, o string) {
			x := g.features(oneOf(g, ops.Float32, ops.Float64, ops.Int64, ops.Int32))
			g.node(o, 1, x, filled(ops.Int64, []int{1, g.between(1, 4)}, func(int) float64 { return float64(g.IntN(x.Shape()[1])) }))
		},
		"FeatureVectorizer": func(g *generated, o string) {
			rows := g.between(1, 4)
			var in []any
			var sizes []int
			for range g.between(1, 3) {
				sizes = append(sizes, g.between(1, 4))
				in = append(in, g.tensor(ops.Float32, rows, sizes[len(sizes)-1]))
			}
			set(g.node(o, 1, in...), "inputdimensions", sizes)
		},
		"LinearRegressor": func(g *generated, o string) {
			x := g.features(ops.Float32)
			targets := g.between(1, 3)
			n := set(set(g.node(o, 1, x), "coefficients", g.reals(targets*x.Shape()[1])), "targets", targets)
			g.maybe(n, "intercepts", g.reals(targets))
		},
		"LinearClassifier": func(g *generated, o string) {
			x := g.features(oneOf(g, ops.Float32, ops.Float32, ops.Float64, ops.Int64))
			classes := g.between(2, 4)
			n := set(g.labels(g.node(o, 2, x), "classlabels_ints", classes), "coefficients", g.reals(classes*x.Shape()[1]))
			g.maybe(set(n, "intercepts", g.reals(classes)), "post_transform", g.transform())
		},
		"SVMRegressor": func(g *generated, o string) {
			x := g.features(ops.Float32)
			vectors := g.between(1, 4)
			n := set(set(set(g.node(o, 1, x), "coefficients", g.reals(vectors)), "support_vectors", g.reals(vectors*x.Shape()[1])), "n_supports", vectors)
			g.kernel(set(n, "rho", g.reals(1)))
		},
		"SVMClassifier": svmNode,
		"TreeEnsembleRegressor": func(g *generated, o string) {
			x := g.features(oneOf(g, ops.Float32, ops.Float32, ops.Float64, ops.Int64))
			n := g.node(o, 1, x)
			targets := g.between(1, 3)
			set(n, "n_targets", targets)
			g.forest(n, x.Shape()[1], targets, "target")
			g.maybe(n, "aggregate_function", oneOf(g, "SUM", "AVERAGE", "MIN", "MAX"))
			g.maybe(n, "base_values", g.reals(targets))
		},
		"TreeEnsembleClassifier": func(g *generated, o string) {
			x := g.features(oneOf(g, ops.Float32, ops.Float32, ops.Float64, ops.Int64))
			n := g.node(o, 2, x)
			classes := g.between(2, 4)
			g.labels(n, "classlabels_int64s", classes)
			voted := classes
			if classes == 2 && g.yes() {
				voted = 1
			}
			g.forest(n, x.Shape()[1], voted, "class")
			g.maybe(n, "post_transform", g.transform())
		},
	}
	for name, f := range m {
		m[name] = func(g *generated, o string) {
			f(g, o)
			for _, n := range g.graph.GetNode() {
				n.Domain = "ai.onnx.ml"
			}
		}
	}
	return m
}

// features returns rows of features.
func (g *generated) features(d ops.DType) *runtime.Tensor {
	return g.tensor(d, g.between(1, 5), g.between(1, 6))
}

// reals returns n numbers near 0.
func (g *generated) reals(n int) []float64 {
	l := make([]float64, n)
	for i := range l {
		l[i] = g.NormFloat64()
	}
	return l
}

func (g *generated) transform() string {
	return oneOf(g, "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
}

// labels adds the labels of classes.
func (g *generated) labels(n *onnxpb.NodeProto, name string, classes int) *onnxpb.NodeProto {
	if g.yes() {
		return set(n, name, g.Perm(9)[:classes])
	}
	return set(n, "classlabels_strings", []string{"a", "b", "c", "d"}[:classes])
}

// kernel adds the kernel of a support vector machine.
func (g *generated) kernel(n *onnxpb.NodeProto) *onnxpb.NodeProto {
	return set(set(n, "kernel_type", oneOf(g, "LINEAR", "RBF", "POLY", "SIGMOID")), "kernel_params", []float64{0.3, 0.5, float64(g.between(1, 3))})
}

func svmNode(g *generated, o string) {
	x := g.features(ops.Float32)
	classes := g.between(2, 4)
	perClass := g.list(classes, 1, 3)
	vectors := sumOf(perClass)
	n := g.labels(g.node(o, 2, x), "classlabels_ints", classes)
	set(set(n, "vectors_per_class", perClass), "support_vectors", g.reals(vectors*x.Shape()[1]))
	g.kernel(set(set(n, "coefficients", g.reals((classes-1)*vectors)), "rho", g.reals(classes*(classes-1)/2)))
	if g.yes() {
		pairs := classes * (classes - 1) / 2
		set(set(n, "prob_a", g.reals(pairs)), "prob_b", g.reals(pairs))
	}
}

// forest adds the attributes of random trees, whose leaves vote for targets of the given kind.
func (g *generated) forest(n *onnxpb.NodeProto, features, targets int, kind string) {
	var trees, ids, yes, no, feature, missing, leafTrees, leafIDs, leafTargets []int
	var modes []string
	var values, weights []float64
	for tree := range g.between(1, 3) {
		next := 0
		var grow func(depth int) int
		grow = func(depth int) int {
			id := next
			next++
			at := len(ids)
			trees, ids, yes, no = append(trees, tree), append(ids, id), append(yes, 0), append(no, 0)
			feature, missing, modes, values = append(feature, 0), append(missing, 0), append(modes, "LEAF"), append(values, 0)
			if depth == 3 || depth > 0 && g.IntN(3) == 0 {
				for _, target := range g.distinct(targets, min(targets, g.between(1, 2))) {
					leafTrees, leafIDs, leafTargets = append(leafTrees, tree), append(leafIDs, id), append(leafTargets, target)
					weights = append(weights, g.NormFloat64())
				}
				return id
			}
			modes[at] = oneOf(g, "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
			feature[at], values[at], missing[at] = g.IntN(features), math.Round(g.NormFloat64()*2)/2, g.IntN(2)
			a, b := grow(depth+1), grow(depth+1)
			yes[at], no[at] = a, b
			return id
		}
		grow(0)
	}
	set(set(set(set(n, "nodes_treeids", trees), "nodes_nodeids", ids), "nodes_truenodeids", yes), "nodes_falsenodeids", no)
	set(set(set(n, "nodes_featureids", feature), "nodes_modes", modes), "nodes_values", values)
	g.maybe(n, "nodes_missing_value_tracks_true", missing)
	set(set(set(set(n, kind+"_treeids", leafTrees), kind+"_nodeids", leafIDs), kind+"_ids", leafTargets), kind+"_weights", weights)
}
