package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// recurrent is the common part of RNN, GRU and LSTM. The inputs are X (steps,
// batch, size), W (directions, gates*hidden, size), R (directions, gates*hidden, hidden)
// and, optionally, B (directions, 2*gates*hidden), sequence_lens (batch) and initial_h
// (directions, batch, hidden). LSTM has two more optional inputs, initial_c (as initial_h)
// and P (directions, 3*hidden). sequence_lens is int32; all other inputs have the type of
// X, float32 or float64. See also recurrent_single.go, which computes float32.
//
// The outputs, all optional, are Y (steps, directions, batch, hidden), Y_h (the last state
// of each sequence) and, for LSTM, Y_c. After the end of a sequence, Y is 0.
//
// Attributes: hidden_size (default: the size in R), direction (default forward; or reverse,
// bidirectional), activations, activation_alpha, activation_beta, clip (default: none), the
// bound of the arguments of activations, and since opset 14 layout (default 0; 1 moves the
// batch to the front of X, Y and the states).
type recurrent struct {
	cell         cell
	gates        int
	hidden       int // hidden_size, 0 if not given
	directions   int
	backwards    bool
	single       singleCell
	activations  []func(float64) float64 // of the first direction, then of the second one
	rows         []func([]float32)       // the same for rows of float32, in place
	clip         float64
	batchFirst   bool
	linearBefore bool
	coupled      bool
	perDirection int // number of activations
}

// cell computes one step of a sequence: it replaces the state h (and c, for LSTM) by the
// next state, given x.
type cell func(k *recurrent, s *sequence)

// sequence is one entry of the batch in one direction.
type sequence struct {
	watching         cancelCheck
	err              error // of the context
	direction, entry int
	length           int
	backwards        bool
	w, wb            []float64 // input weights (gates*hidden, size) and bias
	r, rb            []float64 // recurrence weights (gates*hidden, hidden) and bias
	p                []float64 // peepholes, nil if omitted
	activations      []func(float64) float64
	x                []float64 // the input of this step, times w plus wb
	h, c             []float64 // the state
	gates, reset     []float64 // temporary memory of the cell
}

// standardActivations holds the default activations of one direction.
var standardActivations = map[string][]string{
	"RNN":  {"Tanh"},
	"GRU":  {"Sigmoid", "Tanh"},
	"LSTM": {"Sigmoid", "Tanh", "Tanh"},
}

// newRecurrent reads the attributes. The node may have the other attributes named by more.
func newRecurrent(n ops.Node, name string, gates int, compute cell, single singleCell, more ...string) (*recurrent, error) {
	known := append([]string{"activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size"}, more...)
	switch {
	case n.Opset >= 14:
		known = append(known, "layout")
	case n.Opset < 7:
		known = append(known, "output_sequence") // whether there is Y, which the outputs say, too
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	k := &recurrent{cell: compute, single: single, gates: gates, directions: 1, clip: math.Inf(1)}
	direction, err := choiceAttr(n.Attributes, "direction", "forward", "reverse", "bidirectional")
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
		return nil, fmt.Errorf("%w: hidden_size %d is out of range", ops.ErrAttribute, hidden)
	}
	k.hidden = int(hidden)
	if _, ok := n.Attributes["clip"]; ok {
		clip, err := ops.Attr(n.Attributes, "clip", float32(0))
		if err != nil {
			return nil, err
		}
		k.clip = math.Abs(float64(clip))
	}
	for _, flag := range []struct {
		name  string
		value *bool
	}{{"layout", &k.batchFirst}, {"linear_before_reset", &k.linearBefore}, {"input_forget", &k.coupled}} {
		if *flag.value, err = flagAttr(n.Attributes, flag.name); err != nil {
			return nil, err
		}
	}
	return k, k.readActivations(n.Attributes, standardActivations[name])
}

// readActivations reads the activations of all directions. The entries of activation_alpha
// and activation_beta go, in order, to the activations that have such a parameter.
func (k *recurrent) readActivations(a ops.Attributes, standard []string) error {
	names, err := ops.Attr(a, "activations", slices.Repeat(standard, k.directions))
	if err != nil {
		return err
	}
	k.perDirection = len(standard)
	if len(names) != k.perDirection*k.directions {
		return fmt.Errorf("%w: activations %v, want %d of them", ops.ErrAttribute, names, k.perDirection*k.directions)
	}
	alpha, err := ops.Attr[[]float32](a, "activation_alpha", nil)
	if err != nil {
		return err
	}
	beta, err := ops.Attr[[]float32](a, "activation_beta", nil)
	if err != nil {
		return err
	}
	next := func(list *[]float32, standard float64) float64 {
		if len(*list) == 0 {
			return standard
		}
		v := (*list)[0]
		*list = (*list)[1:]
		return float64(v)
	}
	for _, name := range names {
		f, ok := activationOf(name, func(standard float64) float64 { return next(&alpha, standard) }, func(standard float64) float64 { return next(&beta, standard) })
		if !ok {
			return fmt.Errorf("%w: unknown activation %q", ops.ErrAttribute, name)
		}
		k.activations, k.rows = append(k.activations, f), append(k.rows, activationRow(name, f))
	}
	return nil
}

// activationOf returns an activation, and false if there is none of this name. It calls
// alpha and beta with the default of a parameter to get the parameter's value.
func activationOf(name string, alpha, beta func(standard float64) float64) (func(float64) float64, bool) {
	with := func(f func(p []float64, x float64) float64, p ...float64) func(float64) float64 {
		return func(x float64) float64 { return f(p, x) }
	}
	switch name {
	case "Sigmoid":
		return sigmoid, true
	case "Tanh":
		return portmath.Tanh, true
	case "Relu":
		return func(x float64) float64 { return max(x, 0) }, true
	case "Softsign":
		return softsign, true
	case "Softplus":
		return softplus, true
	case "Affine":
		return with(func(p []float64, x float64) float64 { return float64(p[0]*x) + p[1] }, alpha(1), beta(0)), true
	case "ScaledTanh":
		return with(func(p []float64, x float64) float64 { return p[0] * portmath.Tanh(p[1]*x) }, alpha(1), beta(1)), true
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

func (k *recurrent) inferAll(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("X", floatTypes...); err != nil {
		return nil, err
	}
	if len(x.Shape) != 3 || len(in[2].Shape) != 3 {
		return nil, fmt.Errorf("%w: X is %v, R is %v, want 3 dimensions", ops.ErrShape, x, in[2].Type)
	}
	steps, batch, size, hidden := x.Shape[0], x.Shape[1], x.Shape[2], in[2].Shape[2]
	if k.batchFirst {
		steps, batch = batch, steps
	}
	directions := ops.Dim{Size: k.directions}
	if k.hidden != 0 {
		var ok bool
		if hidden, ok = mergeDims(hidden, ops.Dim{Size: k.hidden}); !ok {
			return nil, fmt.Errorf("%w: R is %v but hidden_size is %d", ops.ErrShape, in[2].Type, k.hidden)
		}
	}
	if hidden.Size > ops.MaxElements/8 {
		return nil, fmt.Errorf("%w: R is %v: the hidden size is too large", ops.ErrShape, in[2].Type)
	}
	multiple := func(n int) ops.Dim {
		if !hidden.Known() {
			return unknown
		}
		return ops.Dim{Size: n * hidden.Size}
	}
	state := []ops.Dim{directions, batch, hidden}
	if k.batchFirst {
		state = []ops.Dim{batch, directions, hidden}
	}
	want := [][]ops.Dim{
		nil,
		{directions, multiple(k.gates), size}, {directions, multiple(k.gates), hidden}, {directions, multiple(2 * k.gates)},
		{batch}, state, state, {directions, multiple(3)},
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
			_, ok = mergeDims(t.Shape[d], want[i][d])
		}
		if !ok {
			return nil, fmt.Errorf("%w: X is %v but input %d is %v, want %v", ops.ErrShape, x, i, t.Type, ops.Type{DType: dtype, Shape: want[i]})
		}
	}
	y := []ops.Dim{steps, directions, batch, hidden}
	if k.batchFirst {
		y = []ops.Dim{batch, steps, directions, hidden}
	}
	last := ops.Type{DType: x.DType, Shape: state}
	return []ops.Type{{DType: x.DType, Shape: y}, last, last}, nil
}

func (k *recurrent) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	if in[0].DType() == ops.Float32 {
		return k.runSingle(ctx, in, out)
	}
	run, err := k.newRun(ctx, in, out)
	if err != nil {
		return err
	}
	return ctx.For(k.directions*run.batch, 1, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			s := run.newSequence(i/run.batch, i%run.batch)
			for step := range run.steps {
				if err := ctx.Err(); err != nil {
					return err
				}
				if run.step(s, step); s.err != nil {
					return s.err
				}
			}
			run.finish(s)
		}
		return nil
	})
}

// recurrentRun holds the values that all sequences of one run share.
type recurrentRun struct {
	*recurrent
	ctx                  *ops.Context
	in, out              []*ops.Tensor
	steps, batch         int
	inputSize, stateSize int // sizes of one vector
	lengths              []int
	x, w, r              []float64
	bias, peepholes      []float64 // nil if omitted
}

// initialH is the index of the input initial_h. For LSTM, initial_c follows.
const initialH = 5

// newRun returns a run with the values of the inputs.
func (k *recurrent) newRun(ctx *ops.Context, in, out []*ops.Tensor) (*recurrentRun, error) {
	shape, t := in[0].Shape(), temporary{ctx: ctx}
	run := &recurrentRun{
		ctx: ctx, recurrent: k, in: in, out: out, steps: shape[0], batch: shape[1], inputSize: shape[2], stateSize: in[2].Shape()[2],
		x: elementsOf[float64](&t, in[0]), w: elementsOf[float64](&t, in[1]), r: elementsOf[float64](&t, in[2]),
	}
	if k.batchFirst {
		run.steps, run.batch = run.batch, run.steps
	}
	if bias := optionalInput(in, 3); bias != nil {
		run.bias = elementsOf[float64](&t, bias)
	}
	if peepholes := optionalInput(in, 7); peepholes != nil {
		run.peepholes = elementsOf[float64](&t, peepholes)
	}
	if t.err != nil {
		return nil, t.err
	}
	var err error
	run.lengths, err = k.lengths(optionalInput(in, 4), run.steps, run.batch)
	return run, err
}

// newSequence returns the sequence of an entry of the batch before its first step.
func (run *recurrentRun) newSequence(direction, entry int) *sequence {
	n, rows := run.stateSize, run.gates*run.stateSize
	s := &sequence{
		watching: cancelCheck{ctx: run.ctx}, direction: direction, entry: entry, length: run.lengths[entry], backwards: run.backwards || direction == 1,
		w: run.w[direction*rows*run.inputSize:][:rows*run.inputSize], wb: make([]float64, rows),
		r: run.r[direction*rows*n:][:rows*n], rb: make([]float64, rows),
		activations: run.activations[direction*run.perDirection:][:run.perDirection],
		x:           make([]float64, rows), h: make([]float64, n), c: make([]float64, n),
		gates: make([]float64, rows), reset: make([]float64, n),
	}
	if run.bias != nil {
		copy(s.wb, run.bias[2*direction*rows:])
		copy(s.rb, run.bias[(2*direction+1)*rows:])
	}
	if run.peepholes != nil {
		s.p = run.peepholes[direction*3*n:][:3*n]
	}
	for i, state := range [][]float64{s.h, s.c} {
		if initial := optionalInput(run.in, initialH+i); initial != nil {
			load(state, initial, run.place(direction, entry, run.batch)*n, 1)
		}
	}
	return s
}

// step computes one step of a sequence and stores the state in Y. After the end of the
// sequence it stores 0.
func (run *recurrentRun) step(s *sequence, step int) {
	if step >= s.length {
		store(run.out[0], run.placeInY(s, step)*run.stateSize, 1, make([]float64, run.stateSize))
		return
	}
	if s.backwards {
		step = s.length - 1 - step
	}
	from := step*run.batch + s.entry
	if run.batchFirst {
		from = s.entry*run.steps + step
	}
	s.project(s.x, s.w, run.x[from*run.inputSize:][:run.inputSize], s.wb)
	run.cell(run.recurrent, s)
	store(run.out[0], run.placeInY(s, step)*run.stateSize, 1, s.h)
}

// placeInY returns the index of a state in Y.
func (run *recurrentRun) placeInY(s *sequence, step int) int {
	if run.batchFirst {
		return (s.entry*run.steps+step)*run.directions + s.direction
	}
	return (step*run.directions+s.direction)*run.batch + s.entry
}

// finish stores the last state of a sequence.
func (run *recurrentRun) finish(s *sequence) {
	for i, state := range [][]float64{s.h, s.c} {
		if i+1 < len(run.out) {
			store(run.out[i+1], run.place(s.direction, s.entry, run.batch)*run.stateSize, 1, state)
		}
	}
}

// place returns the index of a state in initial_h, initial_c, Y_h and Y_c.
func (k *recurrent) place(direction, entry, batch int) int {
	if k.batchFirst {
		return entry*k.directions + direction
	}
	return direction*batch + entry
}

// lengths returns the length of each sequence, by default all steps.
func (k *recurrent) lengths(given *ops.Tensor, steps, batch int) ([]int, error) {
	lengths := slices.Repeat([]int{steps}, batch)
	if given == nil {
		return lengths, nil
	}
	for i, n := range integers(given) {
		if n < 0 || n > int64(steps) {
			return nil, fmt.Errorf("%w: sequence length %d, but the number of steps in X is %d", ops.ErrShape, n, steps)
		}
		lengths[i] = int(n)
	}
	return lengths, nil
}

// project computes weights times x plus the bias. It sets s.err if the context is done.
func (s *sequence) project(out, weights, x, bias []float64) {
	for i := range out {
		if s.err != nil {
			return
		}
		if s.err = s.watching.after(1 + len(x)); s.err != nil {
			return
		}
		sum := bias[i]
		for j, w := range weights[i*len(x):][:len(x)] {
			sum += float64(w * x[j])
		}
		out[i] = sum
	}
}

// bound applies the attribute clip.
func (k *recurrent) bound(x float64) float64 { return min(max(x, -k.clip), k.clip) }
