package ml

import "github.com/spike-by-spike/sbs/ops"

// treeEnsemble is TreeEnsemble.
type treeEnsemble struct {
	forest  *forest
	targets int
	how     aggregation
	post    string
}

func (k *treeEnsemble) infer(in []*ops.Input) ([]ops.Type, error) {
	rows, err := k.forest.infer(in[0].Type, ops.Float16, ops.Float32, ops.Float64)
	return []ops.Type{{DType: in[0].DType, Shape: []ops.Dim{rows, {Size: k.targets}}}}, err
}

func (k *treeEnsemble) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	if in[0].DType() == ops.Float64 || k.forest.double {
		return sumTrees[float64](ctx, k.forest, k.how, k.post, nil, in[0], out[0])
	}
	return sumTrees[float32](ctx, k.forest, k.how, k.post, nil, in[0], out[0])
}

// sumTrees computes the output of a regression. base holds a number per target, or is nil.
func sumTrees[T realNumber](ctx *ops.Context, f *forest, how aggregation, post string, base []float64, in, out *ops.Tensor) error {
	y, store, err := outputs[T](ctx, out)
	if err != nil {
		return err
	}
	targets := out.Shape()[1]
	err = eachBlock(ctx, f, how, in, targets, func(row int, totals []T, _ []bool) error {
		for i := range base {
			totals[i] += T(base[i])
		}
		regressed(post, totals)
		copy(y[row*targets:], totals)
		return nil
	})
	if err != nil {
		return err
	}
	return store()
}

// newTreeEnsembleRegressor returns TreeEnsembleRegressor (versions 1, 3): for each row of X, what
// the leaves of all trees vote for each target: (rows, targets), float32.
//
// Attributes: see readForest and readVotes, with the prefix target; n_targets; aggregate_function (SUM, the
// default, AVERAGE, MIN or MAX); base_values, which are added to the result; post_transform. Since
// version 3, a tensor nodes_values_as_tensor may replace nodes_values, and so on.
func newTreeEnsembleRegressor(n ops.Node, a *attributes) operation {
	k := &treeRegressor{post: choice(a, "post_transform", transforms...), targets: int(min(max(attr(a, "n_targets", int64(1)), 0), ops.MaxElements))}
	k.how = map[string]aggregation{"SUM": total, "AVERAGE": average, "MIN": least, "MAX": most}[choice(a, "aggregate_function", "SUM", "AVERAGE", "MIN", "MAX")]
	k.forest = readForest(n, a, "target")
	k.base, _ = listOf(n, a, "base_values")
	if a.err != nil {
		return k
	}
	a.lengthOrNone("base_values", len(k.base), k.targets)
	k.forest.check(a, k.targets)
	return k
}

type treeRegressor struct {
	forest  *forest
	base    []float64
	targets int
	how     aggregation
	post    string
}

func (k *treeRegressor) infer(in []*ops.Input) ([]ops.Type, error) {
	rows, err := k.forest.infer(in[0].Type, numeric...)
	return []ops.Type{{DType: ops.Float32, Shape: []ops.Dim{rows, {Size: k.targets}}}}, err
}

func (k *treeRegressor) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	if in[0].DType() == ops.Float64 || k.forest.double {
		return sumTrees[float64](ctx, k.forest, k.how, k.post, k.base, in[0], out[0])
	}
	return sumTrees[float32](ctx, k.forest, k.how, k.post, k.base, in[0], out[0])
}

// newTreeEnsembleClassifier returns TreeEnsembleClassifier (versions 1, 3): the label of the
// class of each row of X, int64 or string, and the scores of the classes, float32, for which the
// leaves of all trees vote. If there are two classes and all votes are for one of them, they are
// votes for the second class.
//
// Attributes: those of TreeEnsembleRegressor but n_targets and aggregate_function, class_...
// instead of target_..., and classlabels_int64s or classlabels_strings.
func newTreeEnsembleClassifier(n ops.Node, a *attributes) operation {
	k := &treeClassifier{post: choice(a, "post_transform", transforms...), labels: readLabels(a, "classlabels_int64s", "classlabels_strings")}
	k.forest = readForest(n, a, "class")
	k.base, _ = listOf(n, a, "base_values")
	if a.err != nil {
		return k
	}
	k.classes = k.len()
	k.forest.check(a, k.classes)
	if len(k.base) != 1 || k.classes > 2 {
		a.lengthOrNone("base_values", len(k.base), k.classes)
	}
	voted := map[int]bool{}
	k.positive = true
	for _, votes := range k.forest.leaves {
		for _, v := range votes {
			voted[v.target] = true
			k.positive = k.positive && v.weight >= 0
		}
	}
	k.voted = -1
	if len(voted) == 1 && k.classes == 2 {
		for class := range voted {
			k.voted = class
		}
	}
	return k
}

type treeClassifier struct {
	labels
	forest   *forest
	base     []float64
	post     string
	classes  int
	positive bool // no vote is negative
	voted    int  // if there are two classes and all votes are for one of them: this class; else -1
}

func (k *treeClassifier) infer(in []*ops.Input) ([]ops.Type, error) {
	rows, err := k.forest.infer(in[0].Type, numeric...)
	return k.classified(rows, k.classes), err
}

func (k *treeClassifier) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	if in[0].DType() == ops.Float64 || k.forest.double {
		return classifyTrees[float64](ctx, k, in[0], out)
	}
	return classifyTrees[float32](ctx, k, in[0], out)
}

func classifyTrees[T realNumber](ctx *ops.Context, k *treeClassifier, in *ops.Tensor, out []*ops.Tensor) error {
	return eachBlock(ctx, k.forest, total, in, k.classes, func(row int, totals []T, has []bool) error {
		var class int
		if k.voted >= 0 {
			class = finishTwo(k, totals)
		} else {
			class = finishClasses(k, totals, has)
			transform(k.post, totals)
		}
		k.put(out[0], row, class)
		storeRow(out, row, totals)
		return nil
	})
}

// finishClasses adds the base values, and returns the class with the largest score among those
// with a vote or base value.
func finishClasses[T realNumber](k *treeClassifier, totals []T, has []bool) int {
	for i, b := range k.base {
		totals[i] += T(b)
		has[i] = true
	}
	best := -1
	for i, v := range totals {
		if has[i] && (best < 0 || v > totals[best]) {
			best = i
		}
	}
	return max(best, 0)
}

// finishTwo computes the scores of two classes of which all votes are for one, and returns the
// class. If they are for the second class, the score of the first one is 0. If they are for the
// first one, the only score is that of the second class.
func finishTwo[T realNumber](k *treeClassifier, totals []T) int {
	if len(k.base) == 2 {
		totals[k.voted] += T(k.base[k.voted])
	} else if len(k.base) == 1 && k.voted == 0 {
		totals[0] += T(k.base[0])
	}
	score := totals[k.voted]
	class := 0
	if k.positive && score > 0.5 || !k.positive && score > 0 {
		class = 1
	}
	switch {
	case k.voted == 1 || len(k.base) == 2:
		transform(k.post, totals)
	case k.positive:
		second(k.post, totals, 1-score, score)
	default:
		second(k.post, totals, -score, score)
	}
	return class
}
