package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// recurrent is what RNN, GRU and LSTM share. Their inputs are X (steps, batch, size), W
// (directions, gates*hidden, size), R (directions, gates*hidden, hidden), and, optional, B
// (directions, 2*gates*hidden), sequence_lens (batch), int32, and initial_h (directions,
// batch, hidden); LSTM has initial_c and P (directions, 3*hidden), too. The others are of
// X's type, float32 or float64. The outputs, all optional, are Y (steps, directions, batch,
// hidden), Y_h, the last of each sequence, and for LSTM Y_c. What is behind the end of a
// sequence is 0 in Y.
//
// Attributes: hidden_size (R's), direction (forward; reverse, bidirectional), activations,
// activation_alpha, activation_beta, clip (none): the bound of what activations are given,
// layout (0; since opset 14): 1 has the batch before everything else.
type recurrent struct {
	cell         cell
	gates        int
	hidden       int // 0 when it is not given
	directions   int
	backwards    bool
	activations  []func(float64) float64 // of each direction, one behind the other
	clip         float64
	batchFirst   bool
	state        int // inputs before: initial_h, and initial_c for LSTM
	linearBefore bool
	coupled      bool
	perDirection int // activations
}

// cell computes one step of one sequence: from what gates are given by the input, x, and
// what they are given by the state, h, both with their part of the bias, the next state.
type cell func(k *recurrent, s *sequence, f []func(float64) float64)

// sequence is one sequence on its way through one direction.
type sequence struct {
	x            []float64 // what the input gives to the gates
	h, c         []float64 // the state
	r, rb        []float64 // recurrence weights (gates*hidden, hidden) and bias
	p            []float64 // peepholes, nil when there are none
	gates, reset []float64
}

var standardActivations = map[string][]string{
	"RNN":  {"Tanh"},
	"GRU":  {"Sigmoid", "Tanh"},
	"LSTM": {"Sigmoid", "Tanh", "Tanh"},
}

func newRecurrent(n ops.Node, name string, gates int, compute cell, more ...string) (*recurrent, error) {
	known := append([]string{"activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size"}, more...)
	if n.Opset >= 14 {
		known = append(known, "layout")
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	k := &recurrent{cell: compute, gates: gates, directions: 1, state: 5, clip: math.Inf(1)}
	direction, err := choice(n.Attributes, "direction", "forward", "reverse", "bidirectional")
	if err != nil {
		return nil, err
	}
	k.backwards = direction == "reverse"
	if direction == "bidirectional" {
		k.directions = 2
	}
	hidden, err := ops.Attr(n.Attributes, "hidden_size", int64(0))
	if err != nil {
		return nil, err
	}
	if hidden < 0 || hidden > ops.MaxElements/8 {
		return nil, fmt.Errorf("%w: hidden_size %d", ops.ErrAttribute, hidden)
	}
	k.hidden = int(hidden)
	if _, ok := n.Attributes["clip"]; ok {
		clip, err := ops.Attr(n.Attributes, "clip", float32(0))
		if err != nil {
			return nil, err
		}
		k.clip = math.Abs(float64(clip))
	}
	for name, flag := range map[string]*bool{"layout": &k.batchFirst, "linear_before_reset": &k.linearBefore, "input_forget": &k.coupled} {
		v, err := ops.Attr(n.Attributes, name, int64(0))
		if err != nil {
			return nil, err
		}
		*flag = v != 0
	}
	return k, k.readActivations(n.Attributes, standardActivations[name])
}

func (k *recurrent) readActivations(a ops.Attributes, standard []string) error {
	names, err := ops.Attr(a, "activations", slices.Repeat(standard, k.directions))
	if err != nil {
		return err
	}
	k.perDirection = len(standard)
	if len(names) != k.perDirection*k.directions {
		return fmt.Errorf("%w: activations %v, want %d", ops.ErrAttribute, names, k.perDirection*k.directions)
	}
	alpha, err := ops.Attr[[]float32](a, "activation_alpha", nil)
	if err != nil {
		return err
	}
	beta, err := ops.Attr[[]float32](a, "activation_beta", nil)
	if err != nil {
		return err
	}
	// They are used up by those that have such a number.
	take := func(list *[]float32, standard float64) float64 {
		if len(*list) == 0 {
			return standard
		}
		v := (*list)[0]
		*list = (*list)[1:]
		return float64(v)
	}
	for _, name := range names {
		f, ok := activationOf(name, func(standard float64) float64 { return take(&alpha, standard) }, func(standard float64) float64 { return take(&beta, standard) })
		if !ok {
			return fmt.Errorf("%w: activation %q", ops.ErrAttribute, name)
		}
		k.activations = append(k.activations, f)
	}
	return nil
}

// activationOf returns an activation, with its numbers from alpha and beta, which are
// given what they are when absent.
func activationOf(name string, alpha, beta func(standard float64) float64) (func(float64) float64, bool) {
	with := func(f func(p []float64, x float64) float64, p ...float64) func(float64) float64 {
		return func(x float64) float64 { return f(p, x) }
	}
	switch name {
	case "Sigmoid":
		return sigmoid, true
	case "Tanh":
		return math.Tanh, true
	case "Relu":
		return func(x float64) float64 { return max(x, 0) }, true
	case "Softsign":
		return softsign, true
	case "Softplus":
		return softplus, true
	case "Affine":
		return with(func(p []float64, x float64) float64 { return p[0]*x + p[1] }, alpha(1), beta(0)), true
	case "ScaledTanh":
		return with(func(p []float64, x float64) float64 { return p[0] * math.Tanh(p[1]*x) }, alpha(1), beta(1)), true
	case "HardSigmoid":
		return with(hardSigmoid, alpha(0.2), beta(0.5)), true
	case "LeakyRelu":
		return with(leakyRelu, alpha(0.01)), true
	case "ThresholdedRelu":
		return with(thresholdedRelu, alpha(1)), true
	case "Elu":
		return with(elu, alpha(1)), true
	}
	return nil, false
}

// shapes are the sizes of a recurrent operator, and what its inputs must be.
type shapes struct{ steps, batch, size, hidden ops.Dim }

func (k *recurrent) inferAll(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	if err := checkDType("X", x, floats...); err != nil {
		return nil, err
	}
	if len(x.Shape) != 3 || len(in[2].Shape) != 3 {
		return nil, fmt.Errorf("%w: X is %v, R is %v, want 3 dimensions", ops.ErrShape, x, in[2].Type)
	}
	s := shapes{steps: x.Shape[0], batch: x.Shape[1], size: x.Shape[2], hidden: in[2].Shape[2]}
	if k.batchFirst {
		s.steps, s.batch = s.batch, s.steps
	}
	directions := ops.Dim{Size: k.directions}
	if k.hidden != 0 {
		var ok bool
		if s.hidden, ok = merge(s.hidden, ops.Dim{Size: k.hidden}); !ok {
			return nil, fmt.Errorf("%w: R is %v but hidden_size is %d", ops.ErrShape, in[2].Type, k.hidden)
		}
	}
	if s.hidden.Size > ops.MaxElements/8 {
		return nil, fmt.Errorf("%w: R is %v", ops.ErrShape, in[2].Type)
	}
	multiple := func(n int) ops.Dim {
		if !s.hidden.Known() {
			return unknown
		}
		return ops.Dim{Size: n * s.hidden.Size}
	}
	state := []ops.Dim{directions, s.batch, s.hidden}
	if k.batchFirst {
		state = []ops.Dim{s.batch, directions, s.hidden}
	}
	want := [][]ops.Dim{
		nil,
		{directions, multiple(k.gates), s.size}, {directions, multiple(k.gates), s.hidden}, {directions, multiple(2 * k.gates)},
		{s.batch}, state, state, {directions, multiple(3)},
	}
	for i, t := range in {
		if t == nil || i == 0 {
			continue
		}
		dtype := x.DType
		if i == 4 {
			dtype = ops.Int32
		}
		ok := t.DType == dtype && len(t.Shape) == len(want[i])
		for d := 0; ok && d < len(want[i]); d++ {
			_, ok = merge(t.Shape[d], want[i][d])
		}
		if !ok {
			return nil, fmt.Errorf("%w: X is %v, input %d is %v, want %v", ops.ErrShape, x, i, t.Type, ops.Type{DType: dtype, Shape: want[i]})
		}
	}
	y := []ops.Dim{s.steps, directions, s.batch, s.hidden}
	if k.batchFirst {
		y = []ops.Dim{s.batch, s.steps, directions, s.hidden}
	}
	last := ops.Type{DType: x.DType, Shape: state}
	return []ops.Type{{DType: x.DType, Shape: y}, last, last}, nil
}

func (k *recurrent) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	shape := in[0].Shape()
	steps, batch, size := shape[0], shape[1], shape[2]
	if k.batchFirst {
		steps, batch = batch, steps
	}
	hidden := in[2].Shape()[2]
	lengths, err := k.lengths(optional(in, 4), steps, batch)
	if err != nil {
		return err
	}
	x, w, r := values[float64](in[0]), values[float64](in[1]), values[float64](in[2])
	var bias, peepholes []float64
	if t := optional(in, 3); t != nil {
		bias = values[float64](t)
	}
	if t := optional(in, 7); t != nil {
		peepholes = values[float64](t)
	}
	rows := k.gates * hidden
	return ctx.For(k.directions*batch, 1, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			d, b := i/batch, i%batch
			s := sequence{
				x: make([]float64, rows), h: make([]float64, hidden), c: make([]float64, hidden), gates: make([]float64, rows), reset: make([]float64, hidden),
				r: r[d*rows*hidden:][:rows*hidden], rb: make([]float64, rows),
			}
			wb := make([]float64, rows)
			if bias != nil {
				copy(wb, bias[2*d*rows:])
				copy(s.rb, bias[(2*d+1)*rows:][:rows])
			}
			if peepholes != nil {
				s.p = peepholes[d*3*hidden:][:3*hidden]
			}
			for j, state := range [][]float64{s.h, s.c} {
				if t := optional(in, k.state+j); t != nil {
					load(state, t, k.place(d, b, batch)*hidden, 1)
				}
			}
			for t := range steps {
				if err := ctx.Err(); err != nil {
					return err
				}
				at := t
				if t < lengths[b] && (k.backwards || d == 1) {
					at = lengths[b] - 1 - t
				}
				from, to := at*batch+b, (at*k.directions+d)*batch+b
				if k.batchFirst {
					from, to = b*steps+at, (b*steps+at)*k.directions+d
				}
				if t >= lengths[b] {
					store(out[0], to*hidden, 1, make([]float64, hidden))
					continue
				}
				project(s.x, w[d*rows*size:], x[from*size:][:size], wb)
				k.cell(k, &s, k.activations[d*k.perDirection:][:k.perDirection])
				store(out[0], to*hidden, 1, s.h)
			}
			for j, state := range [][]float64{s.h, s.c} {
				if j+1 < len(out) {
					store(out[j+1], k.place(d, b, batch)*hidden, 1, state)
				}
			}
		}
		return nil
	})
}

// place returns the number of a state among all.
func (k *recurrent) place(direction, entry, batch int) int {
	if k.batchFirst {
		return entry*k.directions + direction
	}
	return direction*batch + entry
}

func (k *recurrent) lengths(given *ops.Tensor, steps, batch int) ([]int, error) {
	lengths := slices.Repeat([]int{steps}, batch)
	if given == nil {
		return lengths, nil
	}
	for i, n := range integers(given) {
		if n < 0 || n > int64(steps) {
			return nil, fmt.Errorf("%w: a sequence of length %d, but X is for %d steps", ops.ErrShape, n, steps)
		}
		lengths[i] = int(n)
	}
	return lengths, nil
}

// project computes weights times x plus the bias.
func project(out, weights, x, bias []float64) {
	for i := range out {
		sum := bias[i]
		for j, w := range weights[i*len(x):][:len(x)] {
			sum += w * x[j]
		}
		out[i] = sum
	}
}

// bound applies clip.
func (k *recurrent) bound(x float64) float64 { return min(max(x, -k.clip), k.clip) }
