// Package preview implements the operators of the domain ai.onnx.preview.training: Adagrad,
// Adam and Momentum, of version 1. Each of them computes one step of an optimizer.
//
// [Operators] is the list of the operators. Package runtime includes them.
package preview

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// TrainingDomain is the domain of the operators.
const TrainingDomain = "ai.onnx.preview.training"

// Operators returns the operators of this package.
func Operators() []ops.Operator {
	return []ops.Operator{
		optimizer("Adagrad", []string{"accumulated squared gradient"}, newAdagrad),
		optimizer("Adam", []string{"accumulated gradient", "accumulated squared gradient"}, newAdam),
		optimizer("Momentum", []string{"momentum"}, newMomentum),
	}
}

// optimizer returns an operator. Its inputs are the learning rate R and the number of updates
// T, followed by all trained tensors X, all their gradients, and all their states of each
// kind. The outputs are the new tensors, and their new states of each kind.
func optimizer(name string, states []string, newRule func(a ops.Attributes) (rule, error)) ops.Operator {
	return ops.Operator{
		Domain: TrainingDomain, Name: name, MinInputs: 4 + len(states), MaxInputs: ops.Variadic, MinOutputs: 1, MaxOutputs: ops.Variadic, Versions: []int{1},
		New: func(n ops.Node) (ops.Op, error) {
			kinds := append([]string{"X", "gradient"}, states...)
			if n.Opset < 1 {
				return nil, fmt.Errorf("version %d has no operator %s: it exists since version 1", n.Opset, name)
			}
			count := (n.NumInputs - 2) / len(kinds)
			if count < 1 || n.NumInputs != 2+count*len(kinds) {
				return nil, fmt.Errorf("the number of inputs is %d, want R, T, and %d inputs for each trained tensor", n.NumInputs, len(kinds))
			}
			outputs := max(1, n.NumOutputs)
			if most := count * (len(kinds) - 1); outputs > most {
				return nil, fmt.Errorf("the number of outputs is %d, want at most %d", outputs, most)
			}
			r, err := newRule(n.Attributes)
			if err != nil {
				return nil, err
			}
			return &op{rule: r, kinds: kinds, count: count, outputs: outputs}, nil
		},
	}
}

// rule returns the function that updates an element, given the learning rate and the number of
// updates so far. The function gets the element, its gradient and its states, and replaces
// all but the gradient.
type rule func(rate float64, updates int64) func(v *[4]float64)

// values reads float attributes. A missing attribute without default is an error.
func values(a ops.Attributes, names []string, defaults ...float32) ([]float64, error) {
	out := make([]float64, len(names))
	for i, name := range names {
		if _, given := a[name]; !given && i >= len(defaults) {
			return nil, fmt.Errorf("%w: %s is missing", ops.ErrAttribute, name)
		}
		var standard float32
		if i < len(defaults) {
			standard = defaults[i]
		}
		v, err := ops.Attr(a, name, standard)
		if err != nil {
			return nil, err
		}
		out[i] = float64(v)
	}
	return out, nil
}

// newAdagrad returns the rule of Adagrad. The state is the sum of the squared gradients.
//
// Attributes: decay_factor, epsilon, norm_coefficient (default 0).
func newAdagrad(a ops.Attributes) (rule, error) {
	names := []string{"decay_factor", "epsilon", "norm_coefficient"}
	if err := a.Only(names...); err != nil {
		return nil, err
	}
	p, err := values(a, names, 0, 0, 0)
	if err != nil {
		return nil, err
	}
	decay, epsilon, norm := p[0], p[1], p[2]
	return func(rate float64, updates int64) func(v *[4]float64) {
		rate /= 1 + float64(float64(updates)*decay)
		return func(v *[4]float64) {
			g := float64(norm*v[0]) + v[1]
			v[2] += float64(g * g)
			v[0] -= float64(rate*g) / (math.Sqrt(v[2]) + epsilon)
		}
	}, nil
}

// newAdam returns the rule of Adam. The states are the running averages of the gradients and
// of their squares.
//
// Attributes: alpha (default 0.9), beta (default 0.999), epsilon, norm_coefficient,
// norm_coefficient_post (default 0).
func newAdam(a ops.Attributes) (rule, error) {
	names := []string{"alpha", "beta", "epsilon", "norm_coefficient", "norm_coefficient_post"}
	if err := a.Only(names...); err != nil {
		return nil, err
	}
	p, err := values(a, names, 0.9, 0.999, 0, 0, 0)
	if err != nil {
		return nil, err
	}
	alpha, beta, epsilon, norm, post := p[0], p[1], p[2], p[3], p[4]
	return func(rate float64, updates int64) func(v *[4]float64) {
		if updates > 0 {
			t := float64(updates)
			rate = rate * math.Sqrt(1-portmath.Pow(beta, t)) / (1 - portmath.Pow(alpha, t))
		}
		return func(v *[4]float64) {
			g := float64(norm*v[0]) + v[1]
			v[2] = float64(alpha*v[2]) + float64((1-alpha)*g)
			v[3] = float64(beta*v[3]) + float64((1-beta)*g*g)
			v[0] -= rate * v[2] / (math.Sqrt(v[3]) + epsilon)
			v[0] *= 1 - post
		}
	}, nil
}

// newMomentum returns the rule of Momentum. The state is the momentum.
//
// Attributes, all required: alpha, beta, norm_coefficient, mode (standard or nesterov).
func newMomentum(a ops.Attributes) (rule, error) {
	names := []string{"alpha", "beta", "norm_coefficient"}
	if err := a.Only(append(names, "mode")...); err != nil {
		return nil, err
	}
	p, err := values(a, names)
	if err != nil {
		return nil, err
	}
	mode, err := ops.Attr(a, "mode", "")
	if err != nil {
		return nil, err
	}
	if mode != "standard" && mode != "nesterov" {
		return nil, fmt.Errorf("%w: mode %q, want standard or nesterov", ops.ErrAttribute, mode)
	}
	alpha, norm := p[0], p[2]
	return func(rate float64, updates int64) func(v *[4]float64) {
		beta := p[1]
		if updates <= 0 {
			beta = 1
		}
		return func(v *[4]float64) {
			g := float64(norm*v[0]) + v[1]
			v[2] = float64(alpha*v[2]) + float64(beta*g)
			direction := v[2]
			if mode == "nesterov" {
				direction = g + float64(alpha*v[2])
			}
			v[0] -= float64(rate * direction)
		}
	}, nil
}
