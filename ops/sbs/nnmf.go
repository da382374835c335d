package sbs

import (
	"errors"

	"github.com/spike-by-spike/sbs/ops"
)

func nnmfOperator() ops.Operator {
	return ops.Operator{
		Domain: Domain, Name: OpNNMF,
		MinInputs: 1, MaxInputs: 4, MinOutputs: 1, MaxOutputs: 1,
		New: func(ops.Node) (ops.Op, error) { return nil, errors.New("not implemented") },
	}
}

// NNMFGradient names a gradient of the NNMF operator.
type NNMFGradient string

// The gradients of the NNMF operator.
const (
	// GradientLoop is the derivative of all iterations.
	GradientLoop NNMFGradient = "loop"

	// GradientClosedForm is the gradient of SbS layers, which follows from the final h.
	GradientClosedForm NNMFGradient = "closed_form"
)
