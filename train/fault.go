package train

import "errors"

// ErrDiverged is wrapped by the error of a Step whose loss is NaN or infinite.
var ErrDiverged = errors.New("the training diverged")

// FaultKind names a reason why a layer does not learn.
type FaultKind string

// The reasons why a layer does not learn.
const (
	// NotFinite means that a gradient or a parameter of the layer is NaN or infinite. In an SbS
	// layer, an update replaces weights that are NaN by the lower limit.
	NotFinite FaultKind = "not finite"

	// EqualWeights means that every neuron of an SbS layer has exactly the same weight for all of
	// its inputs: its output does not depend on its input. Weights are like that if an update has
	// raised all of them to the lower limit.
	EqualWeights FaultKind = "equal weights"

	// NoGradient means that the gradient of all weights of the layer was exactly 0 in the
	// update, as it is before a ReLU whose output is 0 for every image.
	NoGradient FaultKind = "no gradient"
)

// Fault is a layer that did not learn in an update. A single update with EqualWeights or
// NoGradient may be chance.
type Fault struct {
	Layer string // such as "L0"
	Kind  FaultKind
}

// faults returns the faults of the layers in the last update.
func (t *Trainer) faults() []Fault {
	var list []Fault
	for _, p := range t.params {
		if p.fault != "" {
			list = append(list, Fault{p.layer, p.fault})
		}
	}
	return list
}

// gradientFault returns the fault that the gradient of an update shows, or "".
func (p *param) gradientFault() FaultKind {
	none := true
	for _, v := range p.sum {
		if v != 0 {
			none = false
		}
		if !finite(v) {
			return NotFinite
		}
	}
	if weights := len(p.value.Shape()) > 1 && !p.epsilonXY; none && weights {
		return NoGradient
	}
	return ""
}

// valueFault returns the fault that the values show after an update, or "".
func (p *param) valueFault() FaultKind {
	v := p.value.Float32s()
	for _, x := range v {
		if !finite(x) {
			return NotFinite
		}
	}
	if p.columns == 0 || len(v) == p.columns { // a single input always has the weight 1
		return ""
	}
	for i, x := range v {
		if x != v[i%p.columns] {
			return ""
		}
	}
	return EqualWeights
}

func finite(v float32) bool { return v-v == 0 }
