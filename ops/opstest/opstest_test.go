package opstest

import (
	"errors"
	"math"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

// double is an operator that doubles a float32 tensor. A test can spoil it.
type double struct {
	deaf     bool // cancellation is ignored
	replaces bool // the output is a new tensor
	infer    func(x *ops.Input) ops.Type
	run      func(ctx *ops.Context, x, out []float32) error
}

func (d double) operator() ops.Operator {
	return ops.Operator{Domain: "test", Name: "Double", MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1, New: func(n ops.Node) (ops.Op, error) {
		if n.Opset != 1 {
			return nil, errors.New("wrong opset")
		}
		return d, n.Attributes.Only()
	}}
}

func (d double) Infer(in []*ops.Input) ([]ops.Type, error) {
	if len(in[0].Shape) == 0 {
		return nil, errors.New("a scalar")
	}
	if d.infer != nil {
		return []ops.Type{d.infer(in[0])}, nil
	}
	return []ops.Type{in[0].Type}, nil
}

func (d double) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	if out[0] == nil || d.replaces {
		out[0] = F32(in[0].Shape(), make([]float32, in[0].Len())...)
	}
	x, y := in[0].Float32s(), out[0].Float32s()
	if y == nil {
		return nil // the check of the type finds it
	}
	for i, v := range x {
		if v == 13 {
			return errors.New("a 13")
		}
		y[i] = 2 * v
	}
	var err error
	if d.run != nil {
		err = d.run(ctx, x, y)
	}
	if err == nil && !d.deaf {
		err = ctx.Err()
	}
	return err
}

func sound() Case {
	return Case{
		Inputs:  []*ops.Tensor{F32([]int{3, 1}, 1, 2, 3)},
		Batch:   []int{0},
		Outputs: []*ops.Tensor{F32([]int{3, 1}, 2, 4, 6)},
	}
}

func TestRun_SoundOperatorPasses(t *testing.T) {
	failing := Case{Name: "scalar", Inputs: []*ops.Tensor{F32(nil, 1)}, WantErr: "scalar"}
	value := Case{Name: "value", Inputs: []*ops.Tensor{F32([]int{1}, 13)}, WantRunErr: "13"}
	opset := Case{Name: "opset", Opset: 2, WantErr: "wrong opset"}
	Run(t, double{}.operator(), []Case{sound(), failing, value, opset})
	Infer(t, double{}.operator(), []InferCase{
		{Name: "unknown", Inputs: []*ops.Input{Typed(ops.Float32, Unknown("N"))}, Want: []ops.Type{{DType: ops.Float32, Shape: []ops.Dim{Unknown("N")}}}},
		{Name: "scalar", Inputs: []*ops.Input{Const(F32(nil, 1))}, WantErr: "scalar"},
	})
}

func TestRun_EmptyOutputsNeedNoCancellation(t *testing.T) {
	empty := F32([]int{0, 2})
	Run(t, double{deaf: true}.operator(), []Case{{Name: "empty", Inputs: []*ops.Tensor{empty}, Outputs: []*ops.Tensor{empty}}})
}

func TestRun_ContextReachesTheOperator(t *testing.T) {
	c := sound()
	c.Seed, c.FirstImage, c.Spikes, c.Uniforms = 5, 100, I32([]int{3}, 1, 2, 3), F64([]int{3, 1}, .1, .2, .3)
	op := double{run: func(ctx *ops.Context, x, _ []float32) error {
		spikes, _ := ops.Data[int32](ctx.Spikes)
		uniforms, _ := ops.Data[float64](ctx.Uniforms)
		if ctx.Seed != 5 || len(spikes) != len(x) || len(uniforms) != len(x) {
			return errors.New("the context is not the one of the case")
		}
		for i := range x {
			if spikes[i] != int32(x[i]) || ctx.Image(i) != 99+uint64(x[i]) || ctx.ImageSeed(i) != 5 {
				return errors.New("the context is not the one of the entry")
			}
		}
		return nil
	}}
	require.NoError(t, c.check(t.Context(), op.operator()))
	c.Seeds, c.Images = []uint64{1, 2, 3}, []uint64{10, 20, 30}
	op.run = func(ctx *ops.Context, x, _ []float32) error {
		for i := range x {
			if ctx.Image(i) != 10*uint64(x[i]) || ctx.ImageSeed(i) != uint64(x[i]) {
				return errors.New("the context is not the one of the entry")
			}
		}
		return nil
	}
	require.NoError(t, c.check(t.Context(), op.operator()))
}

func TestRun_UnsoundOperatorsFail(t *testing.T) {
	var runs atomic.Int32
	for _, c := range []struct {
		name string
		op   double
		edit func(*Case)
		want string
	}{
		{name: "batch of no input", edit: func(c *Case) { c.Batch = []int{1} }, want: "the case has no input 1"},
		{name: "batch of an omitted input", edit: func(c *Case) { c.Inputs[0] = nil }, want: "the case has no input 0"},
		{name: "batch of a scalar", edit: func(c *Case) { c.Inputs[0] = F32(nil, 1) }, want: "does not have the batch"},
		{name: "nil output", edit: func(c *Case) { c.Outputs[0] = nil }, want: "output 0: shape does not fit"},
		{name: "numbers", edit: func(c *Case) { c.Outputs[0].Float32s()[1] = 5 }, want: "element 1 of float32(3, 1) is 4, want 5"},
		{name: "shape", edit: func(c *Case) { c.Outputs[0] = F32([]int{3}, 2, 4, 6) }, want: "want float32(3), got float32(3, 1)"},
		{name: "outputs", edit: func(c *Case) { c.Outputs = nil }, want: "does not allow the case's 0 outputs"},
		{name: "inputs", edit: func(c *Case) { c.Inputs = append(c.Inputs, nil) }, want: "does not allow the case's 2 inputs"},
		{name: "error of New", edit: func(c *Case) { c.Opset = 3 }, want: "New: wrong opset"},
		{name: "other error of New", edit: func(c *Case) { c.Opset, c.WantErr = 3, "scalar" }, want: `want an error with "scalar", got: wrong opset`},
		{name: "no error", edit: func(c *Case) { c.WantErr = "scalar" }, want: `Infer: no error, want one with "scalar"`},
		{name: "no error of Run", edit: func(c *Case) { c.WantRunErr = "scalar" }, want: `Run: no error, want one with "scalar"`},
		{name: "error of Run", edit: func(c *Case) { c.Inputs[0].Float32s()[0] = 13 }, want: "Run: a 13"},
		{name: "inference", op: double{infer: func(*ops.Input) ops.Type { return ops.Type{DType: ops.Float32, Shape: ops.Dims(4, 1)} }}, want: "want float32(3, 1), got float32(4, 1)"},
		{name: "inference of less than is known", op: double{infer: func(*ops.Input) ops.Type {
			return ops.Type{DType: ops.Float32, Shape: ops.Dims(-1, 1)}
		}}, want: "but everything is known"},
		{name: "inference of values", op: double{infer: func(x *ops.Input) ops.Type {
			if x.Const != nil {
				return ops.Type{DType: ops.Float64, Shape: x.Shape}
			}
			return x.Type
		}}, want: "want float32(3, 1), got float64(3, 1)"},
		{name: "inference without values", op: double{infer: func(x *ops.Input) ops.Type {
			if x.Const == nil {
				return ops.Type{DType: ops.Float64, Shape: x.Shape}
			}
			return x.Type
		}}, want: "Infer (all types), output 0"},
		{name: "inference of symbols", op: double{infer: func(x *ops.Input) ops.Type {
			if x.Shape[0].Symbol != "" {
				return ops.Type{DType: ops.Float32, Shape: ops.Dims(1, 1)}
			}
			return x.Type
		}}, want: "Infer (unknown batch), output 0"},
		{name: "modifies an input", op: double{run: func(_ *ops.Context, x, _ []float32) error {
			x[2] = float32(math.Copysign(float64(x[2]), -1))
			return nil
		}}, want: "input 0 was modified: element 2"},
		{name: "depends on the number of goroutines", op: double{run: func(_ *ops.Context, _, out []float32) error {
			out[0] += float32(runs.Add(1)/3) * 1e-6 // the results of the first two runs are the ones to compare with
			return nil
		}}, want: "workers: output 0"},
		{name: "does not write an element", op: double{run: func(_ *ops.Context, _, out []float32) error {
			out[1] = -777
			return nil
		}}, want: "element 1 of float32(3, 1) is -777, want 4"},
		{name: "replaces an output", op: double{replaces: true}, want: "output 0 has a known size, but was replaced"},
		{name: "depends on earlier runs", op: double{run: func(ctx *ops.Context, _, out []float32) error {
			n := ops.Scratch[int](ctx)
			out[0] += float32(*n) * 1e-6
			*n++
			return nil
		}}, want: "the second run with one Context: output 0"},
		{name: "not canceled", op: double{deaf: true}, want: "a canceled run computed output 0, want the error of its context"},
		{name: "wrong numbers when canceled", op: double{deaf: true, run: func(ctx *ops.Context, _, out []float32) error {
			if ctx.Err() != nil {
				out[0] = 0
			}
			return nil
		}}, want: "a canceled run: output 0"},
		{name: "depends on the size of the batch", op: double{run: func(_ *ops.Context, x, out []float32) error {
			out[0] += float32(len(x)-3) * 1e-6
			return nil
		}}, want: "entries [0] of a batch of 3: output 0"},
		{name: "depends on the place in the batch", op: double{run: func(_ *ops.Context, x, out []float32) error {
			if len(x) == 3 && x[0] != 1 {
				out[1] += 1e-6
			}
			return nil
		}}, want: "entries [2 1 0] of a batch of 3: output 0"},
		{name: "random numbers by place", op: double{run: func(ctx *ops.Context, x, out []float32) error {
			for i := range x {
				out[i] += float32(ctx.FirstImage+uint64(i)) * 1e-6
			}
			return nil
		}}, edit: func(c *Case) { c.Tolerance = 1e-3 }, want: "entries [2 1 0] of a batch of 3: output 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := sound()
			if c.edit != nil {
				c.edit(&k)
			}
			require.ErrorContains(t, k.check(t.Context(), c.op.operator()), c.want)
		})
	}
}

func TestRun_OperatorWithoutNewFails(t *testing.T) {
	c := sound()
	require.ErrorContains(t, c.check(t.Context(), ops.Operator{}), "the operator has no New")
	g := soundGradient()
	require.ErrorContains(t, g.check(t.Context(), ops.Operator{}), "the operator has no New")
}

func TestNear_ToleranceAndSpecialNumbers(t *testing.T) {
	nan := math.NaN()
	require.NoError(t, near(F64([]int{3}, 1, 1000, nan), F64([]int{3}, 1.01, 1010, nan), 0.0101))
	require.Error(t, near(F64([]int{1}, 1), F64([]int{1}, 1.02), 0.0101))
	require.Error(t, near(F64([]int{1}, nan), F64([]int{1}, 1), 1))
	require.Error(t, near(F64([]int{1}, 1), F64([]int{1}, nan), 1))
	require.Error(t, near(F64([]int{1}, math.Inf(1)), F64([]int{1}, 1), 1))
	require.Error(t, near(F64([]int{1}, 1), F64([]int{1}, math.Inf(1)), 1))
	require.NoError(t, near(F64([]int{1}, math.Inf(-1)), F64([]int{1}, math.Inf(-1)), 0))
	require.Error(t, near(Ints(1), Ints(2), 5))
	require.NoError(t, near(Tensor(nil, true), Tensor(nil, true), 0))
	require.Error(t, near(Tensor(nil, true), Tensor(nil, false), 0))
}
