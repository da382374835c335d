package training

import (
	"slices"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// weights says what a training does with the weights of a layer.
type weights int

const (
	noWeights   weights = iota
	fixed               // of an SbS layer for pooling: they are never trained
	additive            // of a convolution: an update adds to them, and outputs can be negative
	proportions         // of an SbS or NNMF layer: an update of dialect 2 multiplies them, and outputs are distributions
)

func weightsOf(l convert.Layer) weights {
	switch l := l.(type) {
	case *convert.SbS:
		if l.Pooling {
			return fixed
		}
		return proportions
	case *convert.NNMF:
		return proportions
	case *convert.Conv, *convert.ApproxConv:
		return additive
	}
	return noWeights
}

// trained reports whether a training can change the weights.
func (w weights) trained() bool { return w == additive || w == proportions }

// scaled reports whether dialect 2 divides the gradient of a layer by a scale.
func scaled(l convert.Layer) bool {
	switch l := l.(type) {
	case *convert.SbS:
		return true
	case *convert.NNMF:
		return l.Gradient == sbs.GradientClosedForm
	}
	return false
}

// multiplies reports whether an update of dialect 2 multiplies weights of a network.
func multiplies(n *convert.Network) bool {
	return slices.ContainsFunc(n.Layers, func(l convert.Layer) bool { return weightsOf(l) == proportions })
}

// outputLayer returns the layer that determines what the outputs of a network are, and its number:
// the last one that is not a pooling.
func outputLayer(n *convert.Network) (int, convert.Layer) {
	for i, l := range slices.Backward(n.Layers) {
		switch l.(type) {
		case *convert.AveragePool, *convert.MaxPool:
		default:
			return i, l
		}
	}
	return 0, n.Layers[0]
}

// probabilities reports whether the outputs of a network are distributions, or poolings of them.
func probabilities(n *convert.Network) bool {
	_, last := outputLayer(n)
	if _, ok := last.(*convert.Reconstruction); ok {
		return true
	}
	w := weightsOf(last)
	return w == proportions || w == fixed
}

// signed reports whether the outputs of a network can be negative.
func signed(n *convert.Network) bool {
	_, last := outputLayer(n)
	return weightsOf(last) == additive
}
