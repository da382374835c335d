package sbs

import (
	"errors"

	"github.com/spike-by-spike/sbs/ops"
)

func spikeImageOperator() ops.Operator {
	return ops.Operator{
		Domain: Domain, Name: OpSpikeImage,
		MinInputs: 1, MaxInputs: 4, MinOutputs: 1, MaxOutputs: 1,
		New: func(ops.Node) (ops.Op, error) { return nil, errors.New("not implemented") },
	}
}
