package std

import (
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// recurrentWeights holds the weights of RNN, GRU or LSTM in the layout of the kernels, by direction.
// If they are constants, they stay the same from run to run; otherwise only their memory does.
type recurrentWeights struct {
	w      []kernel.Right
	r      [][2]kernel.Right // of the gates, and for GRU of z and r, then of h
	packed [2]bool           // whether w and r are complete
}

// singleRun is a run in float32. The product of the inputs of many steps with W is computed at once;
// the product of the states with R, step by step, for a block of entries of the batch.
type singleRun struct {
	*recurrent
	ctx              *ops.Context
	in, out          []*ops.Tensor
	steps, batch     int
	size, state      int // of a vector
	lengths          []int
	sameLengths      bool
	weights          *recurrentWeights
	x                []float32
	bias             [][]float32 // by direction: what the gates begin with
	candidate        [][]float32 // by direction: the bias of h*Rh' of GRU with linear_before_reset
	peepholes        [][]float32 // by direction, nil if omitted
	functions        [][]func([]float32)
	block, blocks    int  // entries of a block, and blocks of a batch
	alone            bool // one block is all there is
	initialH         []float32
	initialC         []float32
	y, lastH, lastC  []float32 // nil if omitted
	fromStep, fromIn int       // distance in X from step to step, and from entry to entry
}

func (k *recurrent) runSingle(ctx *ops.Context, in, out []*ops.Tensor) error {
	shape := in[0].Shape()
	run := &singleRun{
		recurrent: k, ctx: ctx, in: in, out: out, steps: shape[0], batch: shape[1], size: shape[2], state: in[2].Shape()[2],
		x: in[0].Float32s(), y: out[0].Float32s(),
	}
	run.fromStep, run.fromIn = run.batch*run.size, run.size
	if k.batchFirst {
		run.steps, run.batch = run.batch, run.steps
		run.fromStep, run.fromIn = run.size, run.steps*run.size
	}
	var err error
	if run.lengths, err = k.lengths(optionalInput(in, 4), run.steps, run.batch); err != nil {
		return err
	}
	run.sameLengths = !slices.ContainsFunc(run.lengths, func(n int) bool { return n != run.steps })
	for i, to := range []*[]float32{&run.initialH, &run.initialC} {
		if t := optionalInput(in, initialH+i); t != nil {
			*to = t.Float32s()
		}
	}
	for i, to := range []*[]float32{&run.lastH, &run.lastC} {
		if i+1 < len(out) {
			*to = out[i+1].Float32s()
		}
	}
	if run.batch == 0 || run.state == 0 {
		return nil
	}
	if err := run.pack(); err != nil {
		return err
	}
	run.addBiases()
	// Entries of a block share what is read of R in a step.
	blocks := max((run.batch+63)/64, min(4, max(1, run.batch/8)))
	run.block = (run.batch + blocks - 1) / blocks
	run.blocks = (run.batch + run.block - 1) / run.block
	tasks := k.directions * run.blocks
	if run.alone = tasks == 1; run.alone {
		return run.compute(0, 0)
	}
	return ctx.For(tasks, 1, func(lo, hi int) error {
		for ; lo < hi; lo++ {
			if err := run.compute(lo/run.blocks, lo%run.blocks); err != nil {
				return err
			}
		}
		return nil
	})
}

// pack prepares the weights of all directions.
func (run *singleRun) pack() error {
	n := run.gates * run.state
	run.weights = ops.Scratch[recurrentWeights](run.ctx)
	parts := []int{0, n}
	if run.gates == gruGates {
		parts = []int{0, 2 * run.state, n}
	}
	if err := run.ctx.Reserve(int64(run.directions) * (kernel.RightBytes(run.size, n) + int64(len(parts)-1)*kernel.RightBytes(run.state, n))); err != nil {
		return err
	}
	weights := run.weights
	if weights.w == nil {
		weights.w, weights.r = make([]kernel.Right, run.directions), make([][2]kernel.Right, run.directions)
	}
	if !weights.packed[0] || !run.ctx.Constant(1) {
		weights.packed[0] = false
		w := run.in[1].Float32s()
		for d := range run.directions {
			if err := weights.w[d].Pack(run.ctx, true, run.size, n, w[d*n*run.size:][:n*run.size], run.size); err != nil {
				return err
			}
		}
		weights.packed[0] = true
	}
	if !weights.packed[1] || !run.ctx.Constant(2) {
		weights.packed[1] = false
		r := run.in[2].Float32s()
		for d := range run.directions {
			for i, first := range parts[:len(parts)-1] {
				rows := parts[i+1] - first
				if err := weights.r[d][i].Pack(run.ctx, true, run.state, rows, r[(d*n+first)*run.state:][:rows*run.state], run.state); err != nil {
					return err
				}
			}
		}
		weights.packed[1] = true
	}
	return nil
}

// addBiases sets what is the same for all steps: the biases, the peepholes and the activations.
func (run *singleRun) addBiases() {
	n := run.gates * run.state
	for d := range run.directions {
		bias, candidate := make([]float32, n), make([]float32, run.state)
		if b := optionalInput(run.in, 3); b != nil {
			both := b.Float32s()[2*d*n:][:2*n]
			copy(bias, both)
			added := n
			if run.gates == gruGates && run.linearBefore {
				added = 2 * run.state
				copy(candidate, both[n+added:])
			}
			for i, v := range both[n:][:added] {
				bias[i] += v
			}
		}
		run.bias, run.candidate = append(run.bias, bias), append(run.candidate, candidate)
		var peepholes []float32
		if p := optionalInput(run.in, 7); p != nil {
			peepholes = p.Float32s()[3*d*run.state:][:3*run.state]
		}
		run.peepholes = append(run.peepholes, peepholes)
		run.functions = append(run.functions, run.rows[d*run.perDirection:][:run.perDirection])
	}
}

// entries are neighboring entries of the batch in one direction.
type entries struct {
	direction, first, count int
	backwards               bool
	reversed                bool      // the last step comes first in gates
	gates                   []float32 // of some steps: of all entries in a step, one after the other
	h, c                    []float32 // the states
	reset                   []float32 // temporary memory of GRU
}

// mostGates is the number of elements in entries.gates, if one step does not have more.
const mostGates = 1 << 18

// compute runs all steps of a block.
func (run *singleRun) compute(direction, block int) error {
	e := &entries{direction: direction, first: block * run.block, backwards: run.backwards || direction == 1}
	e.reversed = e.backwards && run.sameLengths
	e.count = min(run.block, run.batch-e.first)
	n, width := run.state, run.gates*run.state
	steps := min(run.steps, max(1, mostGates/(e.count*width)))
	memory, err := ops.Temporary[float32](run.ctx, e.count*(steps*width+3*n))
	if err != nil {
		return err
	}
	defer ops.Free(run.ctx, memory)
	take := func(n int) []float32 {
		part := memory[:n:n]
		memory = memory[n:]
		return part
	}
	e.h, e.c, e.reset, e.gates = take(e.count*n), take(e.count*n), take(e.count*n), take(e.count*steps*width)
	for i := range e.count {
		at := run.place(direction, e.first+i, run.batch) * n
		for _, s := range [][2][]float32{{e.h, run.initialH}, {e.c, run.initialC}} {
			if s[1] != nil {
				copy(s[0][i*n:][:n], s[1][at:])
			} else {
				clear(s[0][i*n:][:n])
			}
		}
	}
	for first := 0; first < run.steps; first += steps {
		last := min(first+steps, run.steps)
		if err := run.projectInputs(e, first, last); err != nil {
			return err
		}
		for step := first; step < last; step++ {
			at := step - first
			if e.reversed {
				at = last - 1 - step
			}
			if err := run.step(e, e.gates[at*e.count*width:][:e.count*width], step); err != nil {
				return err
			}
		}
	}
	for i := range e.count {
		at := run.place(direction, e.first+i, run.batch) * n
		for _, s := range [][2][]float32{{e.h, run.lastH}, {e.c, run.lastC}} {
			if s[1] != nil {
				copy(s[1][at:][:n], s[0][i*n:])
			}
		}
	}
	return nil
}

// projectInputs sets the gates of steps first to last-1 to the bias plus x*W'.
func (run *singleRun) projectInputs(e *entries, first, last int) error {
	width := run.gates * run.state
	for i := 0; i < len(e.gates); i += width {
		copy(e.gates[i:], run.bias[e.direction])
	}
	w := &run.weights.w[e.direction]
	if e.count >= last-first && (run.sameLengths || !e.backwards) {
		time := first // of the first row of the gates
		if e.reversed {
			time = run.steps - last
		}
		for row := range last - first {
			at := (time+row)*run.fromStep + e.first*run.fromIn
			if err := run.multiply(w, e.count, run.x[at:], run.fromIn, e.gates[row*e.count*width:], width); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range e.count {
		lo, hi := first, min(last, run.lengths[e.first+i])
		if lo >= hi {
			continue
		}
		time := lo
		if e.reversed {
			time = run.steps - hi
		}
		at, distance := time*run.fromStep+(e.first+i)*run.fromIn, e.count*width
		to := e.gates[i*width:]
		if !e.backwards || e.reversed {
			if err := run.multiply(w, hi-lo, run.x[at:], run.fromStep, to, distance); err != nil {
				return err
			}
			continue
		}
		// Entries of different lengths read different rows of X in a step, in the other order.
		for step := lo; step < hi; step++ {
			at := (run.lengths[e.first+i]-1-step)*run.fromStep + (e.first+i)*run.fromIn
			if err := run.multiply(w, 1, run.x[at:], run.size, to[(step-first)*distance:], width); err != nil {
				return err
			}
		}
	}
	return nil
}

// multiply adds the product of rows of A with a matrix to rows of C.
func (run *singleRun) multiply(b *kernel.Right, rows int, a []float32, lda int, c []float32, ldc int) error {
	if rows == 1 { // the distance of a single row means nothing
		lda, ldc = max(lda, b.Rows()), max(ldc, b.Columns())
	}
	columns, work := b.Columns(), rows*b.Rows()
	if !run.alone || work*columns < 1<<19 {
		return b.Multiply(run.ctx, false, rows, a, lda, 0, columns, c, ldc, true)
	}
	parts := (columns + kernel.PanelColumns - 1) / kernel.PanelColumns
	return run.ctx.For(parts, max(1, parts/4), func(lo, hi int) error {
		return b.Multiply(run.ctx, false, rows, a, lda, lo*kernel.PanelColumns, min(hi*kernel.PanelColumns, columns), c, ldc, true)
	})
}

// slowActivation is the number of simple steps that an activation takes for a number, at most about.
const slowActivation = 4

// step computes one step of all entries of a block that have not ended.
func (run *singleRun) step(e *entries, gates []float32, step int) error {
	n, width := run.state, run.gates*run.state
	if err := run.single.products(run, e, gates); err != nil {
		return err
	}
	watching := cancelCheck{ctx: run.ctx}
	for i := range e.count {
		length := run.lengths[e.first+i]
		at := step
		if e.backwards && step < length {
			at = length - 1 - step
		}
		place := (at*run.directions+e.direction)*run.batch + e.first + i
		if run.batchFirst {
			place = ((e.first+i)*run.steps+at)*run.directions + e.direction
		}
		to := run.y[place*n:][:n]
		if step >= length {
			clear(to)
			continue
		}
		run.single.finish(run, e, gates[i*width:][:width], i)
		copy(to, e.h[i*n:])
		if err := watching.after(slowActivation * width); err != nil {
			return err
		}
	}
	return run.ctx.Err()
}
