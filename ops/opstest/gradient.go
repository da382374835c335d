package opstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

// GradientCase is a node with the gradient of its output and the expected gradients of its
// inputs. The fields Outputs, Batch, WantErr and WantRunErr of the Case are not used.
// Tolerance applies to the gradients, relative to the largest element of each.
type GradientCase struct {
	Case

	// Trained lists the inputs whose gradients are checked.
	Trained []int

	// GradOut is the gradient with respect to the output. Nil means random numbers.
	GradOut *ops.Tensor

	// Want holds the expected gradients of the Trained inputs. If it is nil, the
	// expected gradients are the central differences of the operator with the given
	// Step. The operator must then be differentiable everywhere within Step of the
	// inputs. A Step of 0 means 1/64.
	Want []*ops.Tensor
	Step float32
}

// Gradient checks the gradients of an operator with one output, each case in a subtest. An
// operator passes if it computes the expected gradients and keeps the contract of
// ops.Differentiable:
//
//   - Backward adds to the gradients, computes only those that are asked for, and modifies
//     no other tensor.
//   - The gradients do not depend on the number of goroutines, or on earlier calls with
//     the same Context.
//   - Gradients of wrong shapes and a canceled context give errors.
func Gradient(t *testing.T, operator ops.Operator, cases []GradientCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			require.NoError(t, c.check(t.Context(), operator))
		})
	}
}

// check returns an error that says what is wrong with the gradients or with the case.
func (c *GradientCase) check(ctx context.Context, operator ops.Operator) error {
	if err := c.validate(operator); err != nil {
		return err
	}
	op, err := operator.New(ops.Node{Attributes: c.Attributes, Opset: opset(c.Opset, operator), NumInputs: len(c.Inputs)})
	if err != nil {
		return err
	}
	d, ok := op.(ops.Differentiable)
	if !ok {
		return errors.New("the operator is not differentiable")
	}
	out, err := c.run(ctx, op, 1)
	if err != nil {
		return fmt.Errorf("Run: %w", err)
	}
	if c.GradOut == nil {
		c.GradOut = Random(77, out[0].Shape()...)
	}
	want := c.Want
	if want == nil {
		if want, err = c.differences(ctx, op); err != nil {
			return err
		}
	}
	got, err := c.backward(ctx, d, out, c.Trained, 1)
	if err != nil {
		return fmt.Errorf("Backward: %w", err)
	}
	for i, in := range c.Trained {
		if err := c.checkClose(got[in], want[i]); err != nil {
			return fmt.Errorf("gradient of input %d: %w", in, err)
		}
	}
	for _, workers := range []int{2, 3} {
		again, err := c.backward(ctx, d, out, c.Trained, workers)
		if err != nil {
			return err
		}
		for _, in := range c.Trained {
			if err := snapshotOf(got[in]).same(again[in]); err != nil {
				return fmt.Errorf("%d workers: gradient of input %d: %w", workers, in, err)
			}
		}
	}
	for _, in := range c.Trained {
		alone, err := c.backward(ctx, d, out, []int{in}, 2)
		if err != nil {
			return fmt.Errorf("gradient of input %d alone: %w", in, err)
		}
		if err := snapshotOf(got[in]).same(alone[in]); err != nil {
			return fmt.Errorf("gradient of input %d alone: %w", in, err)
		}
	}
	kept := ops.NewContext(ctx, 2)
	defer kept.Close()
	for _, inputs := range [][]int{c.Trained, c.Trained[:1], c.Trained} {
		again, err := c.addTo(0, kept, d, out, inputs)
		if err != nil {
			return err
		}
		for _, in := range inputs {
			if err := snapshotOf(got[in]).same(again[in]); err != nil {
				return fmt.Errorf("with the Scratch of earlier calls: gradient of input %d: %w", in, err)
			}
		}
	}
	return c.checkMisuse(ctx, d, out)
}

// validate returns an error if the case or the operator cannot be checked at all.
func (c *GradientCase) validate(operator ops.Operator) error {
	if len(c.Trained) == 0 {
		return errors.New("the case has no Trained inputs")
	}
	for _, i := range c.Trained {
		if i < 0 || i >= len(c.Inputs) || c.Inputs[i].DType() != ops.Float32 {
			return fmt.Errorf("the case has no float32 input %d, which Trained lists", i)
		}
	}
	if c.Want != nil && len(c.Want) != len(c.Trained) {
		return fmt.Errorf("the case has %d gradients in Want and %d Trained inputs", len(c.Want), len(c.Trained))
	}
	return c.Case.validate(operator)
}

// addTo calls Backward with gradients of the given inputs that are filled with a value.
func (c *GradientCase) addTo(value float32, ctx *ops.Context, d ops.Differentiable, out []*ops.Tensor, inputs []int) ([]*ops.Tensor, error) {
	grad := make([]*ops.Tensor, len(c.Inputs))
	for _, i := range inputs {
		grad[i], _ = ops.Zeros(ops.Float32, c.Inputs[i].Shape())
		for j := range grad[i].Float32s() {
			grad[i].Float32s()[j] = value
		}
	}
	return grad, d.Backward(ctx, c.Inputs, out, []*ops.Tensor{c.GradOut}, grad)
}

// backward returns the gradients of the given inputs, starting from 0. It also checks that
// Backward adds to gradients, starting from 1, and does not modify other tensors.
func (c *GradientCase) backward(ctx context.Context, d ops.Differentiable, out []*ops.Tensor, inputs []int, workers int) ([]*ops.Tensor, error) {
	var before []snapshot
	fixed := slices.Concat(c.Inputs, out, []*ops.Tensor{c.GradOut})
	for _, x := range fixed {
		before = append(before, snapshotOf(x))
	}
	pass := func(start float32) ([]*ops.Tensor, error) {
		opsContext := ops.NewContext(ctx, workers)
		defer opsContext.Close()
		return c.addTo(start, opsContext, d, out, inputs)
	}
	grad, err := pass(0)
	if err != nil {
		return nil, err
	}
	added, err := pass(1)
	if err != nil {
		return nil, err
	}
	for i, x := range fixed {
		if x == nil {
			continue
		}
		if err := before[i].same(x); err != nil {
			return nil, fmt.Errorf("Backward modified tensor %d of the inputs, the outputs and the gradient of the output: %w", i, err)
		}
	}
	for _, i := range inputs {
		for j := range added[i].Float32s() {
			added[i].Float32s()[j]--
		}
		if err := near(added[i], grad[i], 1e-4); err != nil {
			return nil, fmt.Errorf("gradient of input %d, added to ones: %w", i, err)
		}
	}
	return grad, nil
}

// differences returns the central differences of the Trained inputs.
func (c *GradientCase) differences(ctx context.Context, op ops.Op) ([]*ops.Tensor, error) {
	step := c.Step
	if step == 0 {
		step = 1. / 64
	}
	moved := *c
	moved.Inputs = slices.Clone(c.Inputs)
	loss := func() (float64, error) {
		out, err := moved.run(ctx, op, 1)
		if err != nil {
			return 0, err
		}
		var sum float64
		for i, v := range out[0].Float32s() {
			sum += float64(float64(v) * float64(c.GradOut.Float32s()[i]))
		}
		return sum, nil
	}
	var grads []*ops.Tensor
	for _, in := range c.Trained {
		values := slices.Clone(c.Inputs[in].Float32s())
		moved.Inputs[in] = F32(c.Inputs[in].Shape(), values...)
		values = moved.Inputs[in].Float32s()
		grad := make([]float32, len(values))
		for i, v := range values {
			values[i] = v + step
			up, err := loss()
			if err != nil {
				return nil, err
			}
			values[i] = v - step
			down, err := loss()
			if err != nil {
				return nil, err
			}
			values[i] = v
			grad[i] = float32((up - down) / float64((v+step)-(v-step)))
		}
		grads = append(grads, F32(c.Inputs[in].Shape(), grad...))
		moved.Inputs[in] = c.Inputs[in]
	}
	return grads, nil
}

// checkClose returns an error unless got is near want, relative to the largest element of want.
func (c *GradientCase) checkClose(got, want *ops.Tensor) error {
	var largest float32
	for _, v := range want.Float32s() {
		largest = max(largest, v, -v)
	}
	if largest == 0 {
		return near(got, want, c.Tolerance)
	}
	scaled := func(t *ops.Tensor) *ops.Tensor {
		v := slices.Clone(t.Float32s())
		for i := range v {
			v[i] /= largest
		}
		return F32(t.Shape(), v...)
	}
	return near(scaled(got), scaled(want), c.Tolerance)
}

// checkMisuse requires errors for a gradient of a wrong shape and for a canceled context.
func (c *GradientCase) checkMisuse(ctx context.Context, d ops.Differentiable, out []*ops.Tensor) error {
	wrong := *c
	wrong.GradOut = F32(append([]int{1}, c.GradOut.Shape()...), c.GradOut.Float32s()...)
	if _, err := wrong.backward(ctx, d, out, c.Trained, 1); !errors.Is(err, ops.ErrShape) {
		return fmt.Errorf("a gradient of a wrong shape: want ErrShape, got: %v", err) //nolint:errorlint // it may be nil
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.backward(ctx, d, out, c.Trained, 2); c.GradOut.Len() > 0 && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("a canceled Backward: want the error of its context, got: %v", err) //nolint:errorlint // it may be nil
	}
	return nil
}
