package ops

import "fmt"

// Differentiable is an Op that can be trained through.
type Differentiable interface {
	Op

	// Backward adds the gradient of a loss with respect to input i to gradIn[i],
	// for every i that is not nil there: which gradients are wanted is the
	// caller's choice, and an input that several nodes share collects them all.
	// gradOut holds the gradients with respect to the outputs; in and out are
	// the inputs and outputs of a Run. All gradients are float32 and of the
	// shape of what they belong to. Only gradIn is modified. The sums do not
	// depend on the number of workers.
	//
	// The Context is that of the Run. What an operator calls its gradient need
	// not be the derivative of what it computes: SbS has a rule of its own.
	Backward(ctx *Context, in, out, gradOut, gradIn []*Tensor) error
}

// CheckGradients returns an error unless gradOut and gradIn are what Backward
// takes for these inputs and outputs.
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

func checkGradient(g, of *Tensor) error {
	switch {
	case g == nil || of == nil:
		return fmt.Errorf("%w: a tensor is missing", ErrShape)
	case of.DType() != Float32:
		return fmt.Errorf("%w: %v has no gradient", ErrDType, TypeOf(of))
	}
	return TypeOf(of).Check(g)
}
