package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// loss is the common part of the two losses: the weighted negative log-probabilities of the
// target classes.
type loss struct {
	reduction string
	ignore    int64
	ignores   bool
}

// newLoss reads the attributes of a loss.
func newLoss(n ops.Node) (loss, error) {
	if err := n.Attributes.Only("ignore_index", "reduction"); err != nil {
		return loss{}, err
	}
	_, ignores := n.Attributes["ignore_index"]
	ignore, err := ops.Attr(n.Attributes, "ignore_index", int64(0))
	if err != nil {
		return loss{}, err
	}
	r, err := ops.Attr(n.Attributes, "reduction", "mean")
	if err == nil && !slices.Contains([]string{"none", "sum", "mean"}, r) {
		err = fmt.Errorf("%w: reduction %q, want none, sum or mean", ops.ErrAttribute, r)
	}
	return loss{r, ignore, ignores}, err
}

// check checks the scores (N, C, ...), the target classes (N, ...) and the optional weights
// (C), and returns the type of the loss.
func (k loss) check(in []*ops.Input) (ops.Type, error) {
	x, target := in[0].Type, in[1].Type
	if err := x.CheckDType("scores", floatTypes...); err != nil {
		return x, err
	}
	if err := target.CheckDType("target", indexTypes...); err != nil {
		return x, err
	}
	ok := len(x.Shape) >= 2 && len(target.Shape) == len(x.Shape)-1
	shape := slices.Clone(target.Shape)
	for i := 0; ok && i < len(shape); i++ {
		at := i
		if i > 0 {
			at++
		}
		shape[i], ok = mergeDims(shape[i], x.Shape[at])
	}
	if !ok {
		return x, fmt.Errorf("%w: scores is %v but target is %v", ops.ErrShape, x, target)
	}
	if len(in) > 2 && in[2] != nil {
		w := in[2].Type
		ok := w.DType == x.DType && len(w.Shape) == 1
		if ok {
			_, ok = mergeDims(w.Shape[0], x.Shape[1])
		}
		if !ok {
			return x, fmt.Errorf("%w: scores is %v but weight is %v", ops.ErrShape, x, w)
		}
	}
	if k.reduction != "none" {
		shape = nil
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

// compute sums the losses in the order of the target. logP holds the logarithms of
// probabilities, (N, C, ...).
func (k loss) compute(ctx *ops.Context, logP []float64, shape []int, target, weight, out *ops.Tensor) error {
	inner, classes := numElements(shape[2:]), shape[1]
	t := temporary{ctx: ctx}
	var weights []float64
	if weight != nil {
		weights = elementsOf[float64](&t, weight)
	}
	classOf := elementsOf[int64](&t, target)
	if t.err != nil {
		return t.err
	}
	total, weighted := 0.0, 0.0
	for i, class := range classOf {
		if i%chunk == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		v, w := 0.0, 0.0
		if !k.ignores || class != k.ignore {
			if class < 0 || class >= int64(classes) {
				return fmt.Errorf("%w: class %d is out of range: the number of classes is %d", ops.ErrValue, class, classes)
			}
			w = 1
			if weights != nil {
				w = weights[class]
			}
			v = -w * logP[(i/inner*classes+int(class))*inner+i%inner]
		}
		total += v
		weighted += w
		if k.reduction == "none" {
			store(out, i, 1, []float64{v})
		}
	}
	switch k.reduction {
	case "mean":
		store(out, 0, 1, []float64{total / weighted})
	case "sum":
		store(out, 0, 1, []float64{total})
	}
	return nil
}

// newNegativeLogLikelihoodLoss returns NegativeLogLikelihoodLoss (opsets 12, 13): minus the
// element of the input (N, C, ...), float32 or float64, at the target class (N, ...), int32
// or int64, times the optional weight (C) of the class.
//
// Attributes: reduction (default mean, which divides by the sum of the weights; or none,
// sum); ignore_index (default: none), a class whose loss and weight count as 0.
func newNegativeLogLikelihoodLoss(n ops.Node) (operation, error) {
	k, err := newLoss(n)
	return negativeLogLikelihoodLoss{k}, err
}

type negativeLogLikelihoodLoss struct{ loss }

func (k negativeLogLikelihoodLoss) infer(in []*ops.Input) (ops.Type, error) { return k.check(in) }

func (k negativeLogLikelihoodLoss) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	t := temporary{ctx: ctx}
	logP := elementsOf[float64](&t, in[0])
	if t.err != nil {
		return t.err
	}
	return k.compute(ctx, logP, in[0].Shape(), in[1], optionalInput(in, 2), out)
}

// newSoftmaxCrossEntropyLoss returns SoftmaxCrossEntropyLoss (opsets 12, 13): the loss of
// newNegativeLogLikelihoodLoss for the LogSoftmax of the scores along the classes. The
// optional second output is this LogSoftmax.
func newSoftmaxCrossEntropyLoss(n ops.Node) (multiOperation, error) {
	k, err := newLoss(n)
	return softmaxCrossEntropyLoss{k}, err
}

type softmaxCrossEntropyLoss struct{ loss }

func (k softmaxCrossEntropyLoss) inferAll(in []*ops.Input) ([]ops.Type, error) {
	t, err := k.check(in)
	return []ops.Type{t, in[0].Type}, err
}

func (k softmaxCrossEntropyLoss) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	x := in[0]
	logP, err := ops.Temporary[float64](ctx, x.Len())
	if err != nil {
		return err
	}
	err = forEachLine(ctx, x, 1, func(l *line[float64]) error {
		top, sum := math.Inf(-1), 0.0
		if err := inPieces(ctx, len(l.elements), func(lo, hi int) {
			for _, v := range l.elements[lo:hi] {
				top = max(top, v)
			}
		}); err != nil {
			return err
		}
		if err := inPieces(ctx, len(l.elements), func(lo, hi int) {
			for _, v := range l.elements[lo:hi] {
				sum += portmath.Exp(v - top)
			}
		}); err != nil {
			return err
		}
		log := portmath.Log(sum)
		return inPieces(ctx, len(l.elements), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				logP[l.first+i*l.step] = l.elements[i] - top - log
			}
		})
	})
	if err == nil && len(out) > 1 {
		err = storeAll(ctx, out[1], 0, 1, logP)
	}
	if err != nil {
		return err
	}
	return k.compute(ctx, logP, x.Shape(), in[1], optionalInput(in, 2), out[0])
}
