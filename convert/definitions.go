package convert

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// ownOperator is a layer that can be a node with an operator of the domain of this project.
type ownOperator interface {
	Layer

	// operator returns the name of the operator, or "" if the layer consists of standard
	// operators.
	operator() string
}

// operatorsOf returns the names of the operators of this project that the layers of networks
// use, sorted.
func operatorsOf(networks ...*Network) []string {
	var names []string
	for _, n := range networks {
		for _, l := range n.Layers {
			if o, ok := l.(ownOperator); ok && o.operator() != "" {
				names = append(names, o.operator())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// definitions returns the given operators as functions of standard operators.
func definitions(operators []string, inject Inject, networks ...*Network) ([]*onnxpb.FunctionProto, error) {
	var list []*onnxpb.FunctionProto
	for _, name := range operators {
		var f *onnxpb.FunctionProto
		var err error
		switch name {
		case sbs.OpSbS, sbs.OpFullLayer:
			f, err = function(featuresOf(inject, name, networks...))
		case sbs.OpNNMF:
			f, err = nnmfFunction()
		case sbs.OpPoisson:
			f, err = poissonFunction(inject)
		case sbs.OpSpikeImage:
			f, err = spikeImageFunction(inject)
		case sbs.OpApproxConv:
			f, err = approxConvFunction()
		default:
			err = fmt.Errorf("convert: the operator %s has no function body", name)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}
