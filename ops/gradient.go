package ops

import "fmt"

// Differentiable is an Op whose inputs, such as its weights, can be trained.
type Differentiable interface {
	Op

	// Backward adds to gradIn[i] the gradient of a loss with respect to input i.
	// If gradIn[i] is nil, the gradient of input i is not needed and not computed.
	// Backward adds because several nodes may share an input: its gradient is the
	// sum of their contributions.
	//
	// in and out are the inputs and outputs of an earlier Run, and ctx is the
	// Context of that Run. gradOut[i] is the gradient of the loss with respect to
	// output i. Every gradient is a float32 tensor with the shape of the input or
	// output that it belongs to. Backward modifies gradIn alone. Its sums do not
	// depend on the number of goroutines.
	//
	// The gradient that an operator defines need not be the derivative of Run. The
	// gradient of the SbS operator, for example, is derived differently: see package
	// ops/sbs.
	Backward(ctx *Context, in, out, gradOut, gradIn []*Tensor) error
}

// CheckGradients returns an error unless gradOut and gradIn have the number, types and
// shapes that Backward requires for these inputs and outputs. The error wraps ErrShape
// or ErrDType.
func CheckGradients(in, out, gradOut, gradIn []*Tensor) error {
	if len(gradOut) != len(out) || len(gradIn) != len(in) {
		return fmt.Errorf("%w: %d gradients for %d outputs and %d for %d inputs", ErrShape, len(gradOut), len(out), len(gradIn), len(in))
	}
	for i, g := range gradOut {
		if err := checkGradient(g, out[i]); err != nil {
			return fmt.Errorf("gradient of output %d: %w", i, err)
		}
	}
	for i, g := range gradIn {
		if g == nil {
			continue
		}
		if err := checkGradient(g, in[i]); err != nil {
			return fmt.Errorf("gradient of input %d: %w", i, err)
		}
	}
	return nil
}

// checkGradient checks the gradient g of a tensor x.
func checkGradient(g, x *Tensor) error {
	switch {
	case g == nil || x == nil:
		return fmt.Errorf("%w: a tensor is missing", ErrShape)
	case x.DType() != Float32:
		return fmt.Errorf("%w: %v has no gradient", ErrDType, TypeOf(x))
	}
	return TypeOf(x).Check(g)
}
