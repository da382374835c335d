package pytorch

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops"
)

// NewLastLayer returns a copy of a network whose last layer with weights, an SbS layer, an NNMF
// layer or a convolution, is replaced by a new one with the given number of neurons. It has the geometry and
// the spikes of the old layer, and the initial values that NewNetwork gives to a layer without
// files; epsilon_xy, if the old layer has one, is its initial value everywhere. The classes of the
// copy have no names. Layers after that layer must be poolings or ReLUs. A network with dialect 0
// is handled as one with dialect 2.
func NewLastLayer(n *convert.Network, neurons int, start Start) (*convert.Network, error) {
	changed, err := newLastLayer(n, neurons, start)
	if err != nil {
		return nil, fmt.Errorf("pytorch: %w", err)
	}
	if err := changed.Check(); err != nil {
		return nil, err
	}
	return changed, nil
}

func newLastLayer(n *convert.Network, neurons int, start Start) (*convert.Network, error) {
	if n == nil {
		return nil, errors.New("no network was given")
	}
	if neurons < 1 {
		return nil, fmt.Errorf("the new layer would have %d neurons, want at least 1", neurons)
	}
	changed := *n
	if changed.Dialect == 0 {
		changed.Dialect = 2
	}
	if err := checkDialect(&changed); err != nil {
		return nil, err
	}
	c := newConfig()
	c.training = newTrainingKeys()
	if err := c.mergeTraining(&changed); err != nil {
		return nil, err
	}
	last, err := LastLayer(n)
	if err != nil {
		return nil, err
	}
	var l convert.Layer
	g := c.generationOf(&changed, orderOf(&changed))
	switch old := n.Layers[last].(type) {
	case *convert.SbS:
		l, err = newSbS(c, old, last, g, neurons, start.Seed)
	case *convert.NNMF:
		changed := *old
		changed.Weights, err = newColumns(c, old.Weights, last, g, neurons, start.Seed)
		l = &changed
	case *convert.Conv:
		changed := *old
		l, err = &changed, newFilters(&changed.Weights, &changed.Bias, last, neurons, start.Seed)
	case *convert.ApproxConv:
		changed := *old
		l, err = &changed, newFilters(&changed.Weights, &changed.Bias, last, neurons, start.Seed)
	}
	if err != nil {
		return nil, fmt.Errorf("layer %d: %w", last, err)
	}
	changed.Dialect = n.Dialect
	changed.Layers = slices.Clone(n.Layers)
	changed.Layers[last] = l
	changed.Classes = nil
	return &changed, nil
}

// LastLayer returns the number of the last layer of a network whose weights determine the
// classes: the layer that NewLastLayer replaces.
func LastLayer(n *convert.Network) (int, error) {
	for i := len(n.Layers) - 1; i >= 0; i-- {
		switch l := n.Layers[i].(type) {
		case *convert.AveragePool, *convert.MaxPool, *convert.ReLU:
			continue
		case *convert.Conv, *convert.ApproxConv, *convert.NNMF:
			return i, nil
		case *convert.SbS:
			if !l.Pooling {
				return i, nil
			}
		}
		return 0, fmt.Errorf("layer %d (%s) comes after the last layer with trained weights: only average or maximum poolings and ReLUs can follow a new last layer",
			i, n.Layers[i].Kind())
	}
	return 0, errors.New("the network has no layer with trained weights")
}

func newSbS(c *config, old *convert.SbS, index int, g generation, neurons int, seed uint64) (*convert.SbS, error) {
	l := *old
	var err error
	if l.Weights, err = newColumns(c, old.Weights, index, g, neurons, seed); err != nil {
		return nil, err
	}
	if old.EpsilonXY == nil {
		return &l, nil
	}
	if l.EpsilonXY, err = ops.Zeros(ops.Float32, old.EpsilonXY.Shape()); err != nil {
		return nil, err
	}
	if _, err := c.initialEpsilon(g); err != nil { // out of range
		return nil, err
	}
	for i := range l.EpsilonXY.Float32s() {
		l.EpsilonXY.Float32s()[i] = float32(c.initialXY(g))
	}
	return &l, nil
}

// newColumns returns the initial weights of an SbS or NNMF layer.
func newColumns(c *config, old *ops.Tensor, index int, g generation, neurons int, seed uint64) (*ops.Tensor, error) {
	lo, hi, err := c.untrained(g)
	if err != nil {
		return nil, err
	}
	w, err := randomTensor(seed, index, []int{old.Shape()[0], neurons}, lo, hi)
	if err != nil {
		return nil, err
	}
	_, _, err = normalize(w.Float32s(), neurons, 0)
	return w, err
}

// newFilters replaces the weights of a convolution, and its bias if it has one, by initial values.
func newFilters(weights, bias **ops.Tensor, index, neurons int, seed uint64) (err error) {
	shape := slices.Clone((*weights).Shape())
	shape[0] = neurons
	bound := initialBound(shape[1] * shape[2] * shape[3])
	if *weights, err = randomTensor(seed, index, shape, -bound, bound); err != nil || *bias == nil {
		return err
	}
	*bias, err = randomTensor(seed, index, []int{neurons}, -bound, bound)
	return err
}

// randomTensor returns a tensor with the values of randomValues.
func randomTensor(seed uint64, index int, shape []int, lo, hi float64) (*ops.Tensor, error) {
	if n, err := ops.Len(shape); err != nil || n > maxGenerated {
		return nil, fmt.Errorf("weights of shape %v are too large: more than %d elements", shape, maxGenerated)
	}
	t, err := ops.Zeros(ops.Float32, shape)
	if err != nil {
		return nil, err
	}
	randomValues(seed, index, len(shape), t.Float32s(), lo, hi)
	return t, nil
}
