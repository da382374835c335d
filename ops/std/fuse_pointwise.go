package std

import (
	"math"
	"slices"
	"sync"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// stage computes the elements lo to hi-1 of the output of a link in the tensor of the whole chain,
// from the elements that the link before has stored there.
type stage func(lo, hi int) error

// pointwise reports whether a link is an operation on float32 numbers that computes each element
// of the output from the elements in the same place: a function of one number, arithmetic whose
// other operand broadcasts, or BatchNormalization.
func (l *Link) pointwise() bool {
	if len(l.Inputs) == 0 {
		return false
	}
	switch k := l.operation().(type) {
	case unary, rectifier:
		return l.single(0)
	case *clip:
		return l.single(0) && !l.others(Before)
	case arithmetic:
		if !l.single(0) || !l.single(1) || l.Inputs[0] == l.Inputs[1] {
			return false
		}
		for i, at := range l.Inputs {
			if at == Before && !staysInside(l.Types[1-i].Shape, l.Types[i].Shape) {
				return false
			}
		}
		return true
	case *batchNormalization:
		return l.single(0) && !k.training && !k.perElement && !l.others(Before)
	}
	return false
}

// single reports whether an input is known to be float32.
func (l *Link) single(input int) bool {
	return input < len(l.Types) && l.Types[input] != nil && l.Types[input].DType == ops.Float32
}

// others reports whether an input after the first is at.
func (l *Link) others(at int) bool {
	for _, i := range l.Inputs[1:] {
		if i == at {
			return true
		}
	}
	return false
}

// staysInside reports whether a shape seems to broadcast to another one. Sizes that are not known
// may turn out to differ, but mostly they are those of the same batch.
func staysInside(small, large []ops.Dim) bool {
	if len(small) > len(large) {
		return false
	}
	large = large[len(large)-len(small):]
	for i, d := range small {
		if d.Size != 1 && (d.Size != large[i].Size || d.Symbol != large[i].Symbol) {
			return false
		}
	}
	return true
}

// stagesOf returns the stages of links for the given inputs of the chain, or false if the inputs
// need another way. first means that the first link does not read what is stored in out.
func stagesOf(ctx *ops.Context, links []Link, in []*ops.Tensor, out *ops.Tensor, first bool) ([]stage, bool) {
	stages := make([]stage, 0, len(links))
	for i := range links {
		l := &links[i]
		own := l.inputsOf(in, out)
		for _, x := range own {
			if x != nil && x.DType() != ops.Float32 {
				return nil, false
			}
		}
		s := l.stage(ctx, own, out, first && i == 0)
		if s == nil {
			return nil, false
		}
		stages = append(stages, s)
	}
	return stages, true
}

// stage returns the stage of a link with the inputs own, or nil if the shapes do not fit.
func (l *Link) stage(ctx *ops.Context, own []*ops.Tensor, out *ops.Tensor, first bool) stage {
	k := l.operation()
	if _, broadcasts := k.(arithmetic); !broadcasts && !slices.Equal(own[0].Shape(), out.Shape()) {
		return nil
	}
	switch k := k.(type) {
	case unary:
		return onElements(k[ops.Float32], own[0], out)
	case rectifier:
		return onElements(k.unary[ops.Float32], own[0], out)
	case *clip:
		return onElements(k.compute(ops.Float32, own), own[0], out)
	case arithmetic:
		shape := out.Shape()
		if !broadcastTo(own, shape) {
			return nil
		}
		compute := k[ops.Float32]
		n := newNest(shape, rowMajor(shape), broadcastStrides(own[0].Shape(), len(shape)), broadcastStrides(own[1].Shape(), len(shape)))
		return func(lo, hi int) error { return compute(&n, lo, hi, out, own[0], own[1]) }
	case *batchNormalization:
		return k.stage(ctx, l, own, out, first)
	}
	return nil
}

func onElements(compute func(lo, hi int, out, x *ops.Tensor), x, out *ops.Tensor) stage {
	return func(lo, hi int) error { compute(lo, hi, out, x); return nil }
}

// broadcastTo reports whether tensors broadcast to a shape, and to none that is smaller: the links
// after the first one may have a larger output.
func broadcastTo(in []*ops.Tensor, shape []int) bool {
	for i, n := range shape {
		largest := 1
		for _, x := range in {
			own := x.Shape()
			at := i - (len(shape) - len(own))
			if at < 0 || own[at] == 1 {
				continue
			}
			if largest = own[at]; largest != n {
				return false
			}
		}
		if largest != n {
			return false
		}
	}
	return !slices.ContainsFunc(in, func(x *ops.Tensor) bool { return len(x.Shape()) > len(shape) })
}

// keptNormalization holds what a BatchNormalization computes from constant parameters. It is safe
// for concurrent use.
type keptNormalization struct {
	mu                 sync.Mutex
	of                 [4]*ops.Tensor
	mean, factor, bias []float64
}

// parameters returns the parameters of each channel: a pixel v becomes (v-mean)*factor + bias.
func (k *batchNormalization) parameters(ctx *ops.Context, in []*ops.Tensor, kept *keptNormalization) (mean, factor, bias []float64, err error) {
	of := [4]*ops.Tensor(in[1:5])
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if kept.of == of {
		return kept.mean, kept.factor, kept.bias, nil
	}
	t := temporary{ctx: ctx}
	scale, variance := elementsOf[float64](&t, in[1]), elementsOf[float64](&t, in[4])
	bias, mean = elementsOf[float64](&t, in[2]), elementsOf[float64](&t, in[3])
	factor = bufferOf[float64](&t, len(scale))
	if t.err != nil {
		return nil, nil, nil, t.err
	}
	for c := range factor {
		factor[c] = scale[c] / math.Sqrt(variance[c]+k.epsilon)
	}
	return mean, factor, bias, nil
}

// keep stores parameters that follow from constants.
func (kept *keptNormalization) keep(in []*ops.Tensor, mean, factor, bias []float64) {
	kept.mu.Lock()
	defer kept.mu.Unlock()
	kept.of, kept.mean, kept.factor, kept.bias = [4]*ops.Tensor(in[1:5]), mean, factor, bias
}

// stage returns the stage of a BatchNormalization, which computes as runAll does.
func (k *batchNormalization) stage(ctx *ops.Context, l *Link, in []*ops.Tensor, out *ops.Tensor, first bool) stage {
	if len(out.Shape()) < 2 || in[1].Len() != out.Shape()[1] { // a later link broadcasts the channels
		return nil
	}
	mean, factor, bias, err := k.parameters(ctx, in, &l.kept.normalization)
	if err != nil {
		return func(int, int) error { return err }
	}
	if l.constant(ctx, 1, 2, 3, 4) {
		l.kept.normalization.keep(in, mean, factor, bias)
	}
	shape := out.Shape()
	plane, channels := max(1, numElements(shape[2:])), shape[1]
	v, x := out.Float32s(), in[0].Float32s()
	return func(lo, hi int) error {
		for lo < hi {
			i := lo / plane
			n := min(hi, (i+1)*plane) - lo
			part := v[lo:][:n]
			if first {
				copy(part, x[lo:])
			}
			c := i % channels
			kernel.Standardize(part, mean[c], factor[c], bias[c])
			lo += n
		}
		return nil
	}
}

// fusedPointwise computes a chain of pointwise links in one pass.
type fusedPointwise struct{ chain []Link }

// Run implements Fused.
func (f *fusedPointwise) Run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if out.Len() == 0 {
		return nil
	}
	if out.DType() != ops.Float32 {
		return inTurn(ctx, f.chain, in, out)
	}
	stages, ok := stagesOf(ctx, f.chain, in, out, true)
	if !ok {
		return inTurn(ctx, f.chain, in, out)
	}
	return ctx.For(out.Len(), grain, func(lo, hi int) error { return apply(&cancelCheck{ctx: ctx}, stages, lo, hi) })
}

// apply runs stages on elements that stay in the first-level cache.
func apply(watching *cancelCheck, stages []stage, lo, hi int) error {
	const (
		most    = 1 << 12
		slowest = 4 // simple steps that a stage takes for an element, at most about
	)
	for ; lo < hi; lo += most {
		end := min(lo+most, hi)
		for _, s := range stages {
			if err := s(lo, end); err != nil {
				return err
			}
			if err := watching.after(slowest * (end - lo)); err != nil {
				return err
			}
		}
	}
	return nil
}
