package c99

import (
	"context"
	"maps"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// known are the operators of which models for C consist: those of layers and of what is around them.
var known = []string{
	sbs.OpSbS, sbs.OpNNMF, "Conv", "MaxPool", "AveragePool", "Relu",
	"Add", "Concat", "Constant", "Div", "Flatten", "Mul", "Neg", "ReduceSum", "Reshape", "Slice", "Sub",
}

// unknownOperators returns the sorted names of the other operators of a model.
func unknownOperators(model []byte) ([]string, error) {
	m, err := onnx.Unmarshal(context.Background(), model)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, n := range onnx.AllNodes(m.GetGraph().GetNode()) {
		if !slices.Contains(known, n.GetOpType()) {
			names[n.GetOpType()] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}
