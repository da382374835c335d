package opstest

import (
	"errors"
	"math"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

// twice is double with a gradient, which a test can spoil.
type twice struct {
	double
	factor float32 // of the gradient; 0 means 2
	set    bool    // the gradient is replaced, not added to
	deaf   bool    // cancellation is ignored
	lax    bool    // the shapes are not checked
	keeps  bool    // the result depends on earlier calls with the same Context
	spoil  func(in, out, gradOut, gradIn []float32)
}

func (w twice) operator() ops.Operator {
	o := double{}.operator()
	o.New = func(ops.Node) (ops.Op, error) { return w, nil }
	return o
}

func (w twice) Backward(ctx *ops.Context, in, out, gradOut, gradIn []*ops.Tensor) error {
	if err := ops.CheckGradients(in, out, gradOut, gradIn); err != nil && !w.lax {
		return err
	}
	factor := w.factor
	if factor == 0 {
		factor = 2
	}
	for i, g := range gradOut[0].Float32s() {
		if w.set {
			gradIn[0].Float32s()[i] = 0
		}
		gradIn[0].Float32s()[i] += factor * g
	}
	if w.keeps {
		sum := ops.Scratch[float32](ctx)
		gradIn[0].Float32s()[0] += *sum
		*sum++
	}
	if w.spoil != nil {
		w.spoil(in[0].Float32s(), out[0].Float32s(), gradOut[0].Float32s(), gradIn[0].Float32s())
	}
	if w.deaf {
		return nil
	}
	return ctx.Err()
}

func soundGradient() GradientCase {
	return GradientCase{Case: Case{Inputs: []*ops.Tensor{F32([]int{3}, 1, 2, 3)}, Tolerance: 1e-3}, Trained: []int{0}}
}

func TestGradient_SoundOperatorPasses(t *testing.T) {
	given := soundGradient()
	given.GradOut, given.Want = F32([]int{3}, 1, 10, 100), []*ops.Tensor{F32([]int{3}, 2, 20, 200)}
	Gradient(t, twice{}.operator(), []GradientCase{soundGradient(), given})
}

func TestGradient_UnsoundOperatorsFail(t *testing.T) {
	var calls atomic.Int32
	for _, c := range []struct {
		name string
		op   twice
		edit func(*GradientCase)
		want string
	}{
		{name: "nothing trained", edit: func(c *GradientCase) { c.Trained = nil }, want: "no Trained inputs"},
		{name: "trained input that does not exist", edit: func(c *GradientCase) { c.Trained = []int{1} }, want: "no float32 input 1"},
		{name: "trained integers", edit: func(c *GradientCase) { c.Inputs[0] = Ints(1) }, want: "no float32 input 0"},
		{name: "trained omitted input", edit: func(c *GradientCase) { c.Inputs[0] = nil }, want: "no float32 input 0"},
		{name: "too few gradients wanted", edit: func(c *GradientCase) { c.Want = []*ops.Tensor{} }, want: "0 gradients in Want and 1 Trained inputs"},
		{name: "numbers", op: twice{factor: 2.01}, want: "gradient of input 0: element"},
		{name: "given numbers", edit: func(c *GradientCase) { c.Want = []*ops.Tensor{F32([]int{3}, 1, 1, 1)} }, want: "gradient of input 0: element"},
		{name: "not added", op: twice{set: true}, want: "added to ones"},
		{name: "modified input", op: twice{spoil: func(in, _, _, _ []float32) { in[1] = 9 }}, want: "modified tensor 0"},
		{name: "modified output", op: twice{spoil: func(_, out, _, _ []float32) { out[1] = 9 }}, want: "modified tensor 1"},
		{name: "modified gradient", op: twice{spoil: func(_, _, g, _ []float32) { g[1] = 9 }}, want: "modified tensor 2"},
		{name: "not a number", op: twice{spoil: func(_, _, _, g []float32) { g[0] = float32(math.NaN()) }}, want: "gradient of input 0"},
		{name: "depends on the number of goroutines", op: twice{spoil: func(_, _, _, g []float32) { g[2] += float32(calls.Add(1)/2) * 1e-6 }}, want: "2 workers"},
		{name: "depends on earlier calls", op: twice{keeps: true}, want: "with the Scratch of earlier calls"},
		{name: "shapes not checked", op: twice{lax: true}, want: "a gradient of a wrong shape"},
		{name: "not canceled", op: twice{deaf: true}, want: "a canceled Backward"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := soundGradient()
			if c.edit != nil {
				c.edit(&k)
			}
			require.ErrorContains(t, k.check(t.Context(), c.op.operator()), c.want)
		})
	}
	k := soundGradient()
	require.ErrorContains(t, k.check(t.Context(), double{}.operator()), "not differentiable")
	o := twice{}.operator()
	o.New = func(ops.Node) (ops.Op, error) { return nil, errors.New("no such operator") }
	require.ErrorContains(t, k.check(t.Context(), o), "no such operator")
}
