package sbs

import "github.com/spike-by-spike/sbs/ops"

// Dialect is a version of PyTorch-SbS. The versions compute different gradients: see the
// package documentation.
type Dialect int

// The values of Dialect.
const (
	Dialect1 Dialect = 1 // PyTorch-SbS of May 2022, which trains epsilon_xy
	Dialect2 Dialect = 2 // PyTorch-SbS of January and July 2023
)

// Rule chooses the gradient of an SbS layer.
type Rule struct {
	// Dialect is the version of PyTorch-SbS. 0 means Dialect1 for a layer with the input
	// epsilon_xy, and Dialect2 for a layer without it.
	Dialect Dialect

	// Local replaces the gradient of W by the gradient of the squared distance between
	// the input distribution and its reconstruction.
	Local bool

	// Target is the desired output of a local output layer, (B, N, OH, OW). The gradient
	// of W then uses it instead of h. Without Local it has no effect.
	Target *ops.Tensor
}

// WithRule returns an operator that computes the same output as the given SbS or SbSFullLayer
// operator, with the gradient of a rule. It returns nil and false if op is neither of these
// operators of this package. Backward returns an error if the rule does not fit the layer.
func WithRule(op ops.Op, r Rule) (ops.Differentiable, bool) {
	l, ok := layerOf(op)
	if !ok {
		return nil, false
	}
	return ruled{l, r}, true
}

// ruled is a layer with a Rule.
type ruled struct {
	*layer
	rule Rule
}

// Backward implements ops.Differentiable.
func (r ruled) Backward(ctx *ops.Context, in, out, gradOut, gradIn []*ops.Tensor) error {
	return r.backward(ctx, r.rule, in, out, gradOut, gradIn)
}

// Backward implements ops.Differentiable with the zero Rule.
func (l *layer) Backward(ctx *ops.Context, in, out, gradOut, gradIn []*ops.Tensor) error {
	return l.backward(ctx, Rule{}, in, out, gradOut, gradIn)
}

// layerOf returns the layer of an SbS operator, with or without a Rule.
func layerOf(op ops.Op) (*layer, bool) {
	switch op := op.(type) {
	case *layer:
		return op, true
	case ruled:
		return op.layer, true
	}
	return nil, false
}
