package runtime

import (
	"context"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
)

// fold returns the outputs of an operator that are known when the model is loaded,
// nil when they are not. Exporters compute shapes with nodes; the types of what
// comes after follow only from the values.
func fold(op ops.Op, in []*ops.Input, outputs int) ([]*ops.Tensor, error) {
	f, ok := op.(ops.Folder)
	if !ok {
		return nil, nil
	}
	out, err := f.Fold(&ops.Context{Context: context.Background(), Pool: parallel.New(1)}, in)
	if err != nil || out == nil {
		return nil, err
	}
	if len(out) != outputs {
		return nil, fmt.Errorf("%w: %d outputs are known in advance, want %d", ops.ErrShape, len(out), outputs)
	}
	return out, nil
}

// withoutWeights hides the values of initializers that are no integers: training may
// change them, and what is computed from them has to be computed in every run.
func (k *compiler) withoutWeights(in []*ops.Input, slots []int) []*ops.Input {
	known := make([]*ops.Input, len(in))
	for i, x := range in {
		known[i] = x
		if x != nil && slots[i] < k.m.firstComputed && (x.DType == ops.Float32 || x.DType == ops.Float64) {
			known[i] = &ops.Input{Type: x.Type}
		}
	}
	return known
}
