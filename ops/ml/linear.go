package ml

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// linear is a product with a matrix of coefficients, plus intercepts.
type linear struct {
	coefficients []float32 // (targets, features)
	intercepts   []float32 // (targets), or empty
	targets      int
	features     int
}

// newLinear returns the product for coefficients of a number of targets.
func newLinear(a *attributes, coefficients, intercepts []float32, targets int) linear {
	switch {
	case targets < 1 || len(coefficients) == 0 || len(coefficients)%max(targets, 1) != 0:
		a.failf("%d coefficients cannot be divided among %d targets", len(coefficients), targets)
		targets = 1
	case len(intercepts) > 0 && len(intercepts) != targets:
		a.failf("there are %d intercepts for %d targets", len(intercepts), targets)
	}
	return linear{coefficients, intercepts, targets, len(coefficients) / targets}
}

func (l *linear) infer(x ops.Type) (rows ops.Dim, err error) {
	if err := x.CheckDType("X", numeric...); err != nil {
		return rows, err
	}
	rows, _, err = rowsOf(x, l.features)
	return rows, err
}

// check checks the number of features of a tensor.
func (l *linear) check(x *ops.Tensor) error {
	_, _, err := rowsOf(ops.TypeOf(x), l.features)
	return err
}

// scores computes the product for rows lo to hi-1.
func scores[T realNumber](ctx *ops.Context, l *linear, x []T, y []T, lo, hi int) error {
	x, y = x[lo*l.features:hi*l.features], y[lo*l.targets:hi*l.targets]
	if single, ok := any(x).([]float32); ok {
		err := kernel.Gemm(ctx, false, true, hi-lo, l.targets, l.features, single, l.features, l.coefficients, l.features, any(y).([]float32), l.targets, false)
		if err != nil {
			return err
		}
	} else {
		for r := range hi - lo {
			row := x[r*l.features : (r+1)*l.features]
			for t := range l.targets {
				var s T
				for i, w := range l.coefficients[t*l.features : (t+1)*l.features] {
					s += T(row[i] * T(w)) //nolint:unconvert // the conversion rounds
				}
				y[r*l.targets+t] = s
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	for i := range y {
		if len(l.intercepts) > 0 {
			y[i] += T(l.intercepts[i%l.targets])
		}
	}
	return nil
}

// newLinearRegressor returns LinearRegressor (version 1): the product of X, a matrix or a vector
// of numbers, with the coefficients of each target, plus the intercepts: (rows, targets),
// float32.
//
// Attributes: coefficients, those of a target one after the other; intercepts (default 0);
// targets (default 1); post_transform.
func newLinearRegressor(_ ops.Node, a *attributes) operation {
	coefficients, intercepts := attr(a, "coefficients", []float32(nil)), attr(a, "intercepts", []float32(nil))
	targets := attr(a, "targets", int64(1))
	post := choice(a, "post_transform", transforms...)
	return &linearRegressor{newLinear(a, coefficients, intercepts, int(min(max(targets, 0), ops.MaxElements))), post}
}

type linearRegressor struct {
	linear
	post string
}

func (k *linearRegressor) infer(in []*ops.Input) ([]ops.Type, error) {
	rows, err := k.linear.infer(in[0].Type)
	return []ops.Type{{DType: ops.Float32, Shape: []ops.Dim{rows, {Size: k.targets}}}}, err
}

func (k *linearRegressor) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	if in[0].DType() == ops.Float64 {
		return regress[float64](ctx, k, in[0], out[0])
	}
	return regress[float32](ctx, k, in[0], out[0])
}

func regress[T realNumber](ctx *ops.Context, k *linearRegressor, in, out *ops.Tensor) error {
	if err := k.check(in); err != nil {
		return err
	}
	x, err := numbers[T](ctx, in)
	if err != nil {
		return err
	}
	y, store, err := outputs[T](ctx, out)
	if err != nil {
		return err
	}
	rows, _ := sizesOf(in)
	err = eachRow(ctx, rows, k.targets*k.features, func(lo, hi int) error {
		if err := scores(ctx, &k.linear, x, y, lo, hi); err != nil {
			return err
		}
		for r := lo; r < hi; r++ {
			regressed(k.post, y[r*k.targets:(r+1)*k.targets])
		}
		return nil
	})
	if err != nil {
		return err
	}
	return store()
}

// newLinearClassifier returns LinearClassifier (version 1): the scores of classes, as
// LinearRegressor computes them, (rows, classes), float32, and before them the label of the
// class with the largest score of each row, int64 or string. If there are the coefficients of one
// class s only, the label depends on whether the score is positive, and the score of the other
// class is 1-s, or the transformed -s if post_transform is LOGISTIC.
//
// Attributes: coefficients; intercepts, one per class; classlabels_ints or classlabels_strings;
// post_transform; multi_class, which has no effect.
func newLinearClassifier(_ ops.Node, a *attributes) operation {
	k := &linearClassifier{labels: readLabels(a, "classlabels_ints", "classlabels_strings")}
	coefficients, intercepts := attr(a, "coefficients", []float32(nil)), attr(a, "intercepts", []float32(nil))
	k.post = choice(a, "post_transform", transforms...)
	attr(a, "multi_class", int64(0))
	classes := len(intercepts)
	if classes == 0 {
		classes = k.labels.len()
	}
	k.linear = newLinear(a, coefficients, intercepts, classes)
	if k.targets > 1 && k.labels.len() < k.targets {
		a.failf("there are %d labels for %d classes", k.labels.len(), k.targets)
	}
	k.outputs = k.targets
	if k.targets == 1 && k.labels.len() == 2 {
		k.outputs = 2
	}
	return k
}

type linearClassifier struct {
	linear
	labels
	post    string
	outputs int // scores per row
}

func (k *linearClassifier) infer(in []*ops.Input) ([]ops.Type, error) {
	rows, err := k.linear.infer(in[0].Type)
	return k.classified(rows, k.outputs), err
}

func (k *linearClassifier) run(ctx *ops.Context, in, out []*ops.Tensor) error {
	if in[0].DType() == ops.Float64 {
		return classify[float64](ctx, k, in[0], out)
	}
	return classify[float32](ctx, k, in[0], out)
}

func classify[T realNumber](ctx *ops.Context, k *linearClassifier, in *ops.Tensor, out []*ops.Tensor) error {
	if err := k.check(in); err != nil {
		return err
	}
	x, err := numbers[T](ctx, in)
	if err != nil {
		return err
	}
	rows, _ := sizesOf(in)
	raw, err := ops.Temporary[T](ctx, rows*k.targets)
	if err != nil {
		return err
	}
	two := k.binary()
	return eachRow(ctx, rows, k.targets*k.features, func(lo, hi int) error {
		if err := scores(ctx, &k.linear, x, raw, lo, hi); err != nil {
			return err
		}
		row := make([]T, 2)
		for r := lo; r < hi; r++ {
			s := raw[r*k.targets : (r+1)*k.targets]
			if k.targets > 1 {
				k.put(out[0], r, argmax(s))
			} else {
				class := 0
				if s[0] > 0 {
					class = 1
				}
				two.put(out[0], r, class)
			}
			if k.outputs > k.targets {
				second(k.post, row, 1-s[0], s[0])
				s = row
			} else {
				transform(k.post, s)
			}
			storeRow(out, r, s)
		}
		return nil
	})
}

// second sets the scores of two classes from that of the second one and its complement. As in
// onnxruntime, only LOGISTIC and PROBIT transform them: LOGISTIC the score and the negative one.
func second[T realNumber](post string, row []T, complement, score T) {
	switch row[0], row[1] = complement, score; post {
	case "LOGISTIC":
		row[0], row[1] = logistic(-score), logistic(score)
	case "PROBIT":
		transform(post, row)
	}
}

// storeRow stores the scores of a row in the second output, which the node may lack.
func storeRow[T realNumber](out []*ops.Tensor, row int, scores []T) {
	if len(out) < 2 {
		return
	}
	y := out[1].Float32s()[row*len(scores):]
	for i, v := range scores {
		y[i] = float32(v)
	}
}

// errLabels is the error of a classifier that finds a class without a label.
func errLabels(class, labels int) error {
	return fmt.Errorf("%w: class %d has no label, there are %d", ops.ErrAttribute, class, labels)
}
