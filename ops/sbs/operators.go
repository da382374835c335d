package sbs

import (
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// The names of the operators.
const (
	OpSbS        = "SbS"
	OpFullLayer  = "SbSFullLayer"
	OpNNMF       = "NNMF"
	OpPoisson    = "Poisson"
	OpSpikeImage = "SpikeImage"
	OpApproxConv = "ApproxConv"
)

// Operators returns the descriptions of all operators of the domain.
func Operators() []ops.Operator {
	list := []ops.Operator{
		Operator(),
		fullLayerOperator(),
		nnmfOperator(),
		poissonOperator(),
		spikeImageOperator(),
		approxConvOperator(),
	}
	for i := range list {
		list[i].Versions = []int{Version}
	}
	return list
}

// Defined reports whether the domain has an operator with this name.
func Defined(name string) bool {
	return slices.ContainsFunc(Operators(), func(o ops.Operator) bool { return o.Name == name })
}

// Spiking reports whether an operator of the domain, by its name, is one of those whose Ops
// have Params: SbS and SbSFullLayer.
func Spiking(name string) bool { return name == OpSbS || name == OpFullLayer }

// Random reports whether an operator of the domain, by its name, draws random numbers.
func Random(name string) bool { return Spiking(name) || name == OpPoisson || name == OpSpikeImage }

// Stops reports whether no gradient passes through an operator of the domain, by its name. Its
// Backward adds nothing.
func Stops(name string) bool { return name == OpSpikeImage }
