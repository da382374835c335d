package std

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
)

// singleCell is a cell in float32. The gates begin as the bias plus x*W'.
type singleCell struct {
	// products adds the products with R to the gates of one step of all entries of a block.
	products func(run *singleRun, e *entries, gates []float32) error

	// finish replaces the state of entry i by the next one.
	finish func(run *singleRun, e *entries, gates []float32, i int)
}

// addStates adds h*R' to all gates.
func addStates(run *singleRun, e *entries, gates []float32) error {
	return run.multiply(&run.weights.r[e.direction][0], e.count, e.h, run.state, gates, run.gates*run.state)
}

func rnnSingle(run *singleRun, e *entries, gates []float32, i int) {
	run.activate(gates, run.functions[e.direction][0])
	copy(e.h[i*run.state:], gates)
}

// gruProducts also computes the gates z and r, since h follows from r.
func gruProducts(run *singleRun, e *entries, gates []float32) error {
	n, width, r := run.state, run.gates*run.state, &run.weights.r[e.direction]
	if err := run.multiply(&r[0], e.count, e.h, n, gates, width); err != nil {
		return err
	}
	watching := cancelCheck{ctx: run.ctx}
	for i := range e.count {
		row, reset, h := gates[i*width:][:width], e.reset[i*n:][:n], e.h[i*n:][:n]
		run.activate(row[:2*n], run.functions[e.direction][0])
		if err := watching.after(slowActivation * 2 * n); err != nil {
			return err
		}
		if run.linearBefore {
			copy(reset, run.candidate[e.direction])
			continue
		}
		for j, v := range row[n : 2*n] {
			reset[j] = v * h[j]
		}
	}
	if run.linearBefore {
		return run.multiply(&r[1], e.count, e.h, n, e.reset, n)
	}
	return run.multiply(&r[1], e.count, e.reset, n, gates[2*n:], width)
}

func gruSingle(run *singleRun, e *entries, gates []float32, i int) {
	n := run.state
	z, r, candidate, h := gates[:n], gates[n:2*n], gates[2*n:], e.h[i*n:][:n]
	if run.linearBefore {
		for j, v := range e.reset[i*n:][:n] {
			candidate[j] += float32(r[j] * v)
		}
	}
	run.activate(candidate, run.functions[e.direction][1])
	for j, v := range candidate {
		h[j] = float32((1-z[j])*v) + float32(z[j]*h[j])
	}
}

func lstmSingle(run *singleRun, e *entries, gates []float32, i int) {
	n, functions, peepholes := run.state, run.functions[e.direction], run.peepholes[e.direction]
	in, out, forget, candidate := gates[:n], gates[n:2*n], gates[2*n:3*n], gates[3*n:]
	h, c := e.h[i*n:][:n], e.c[i*n:][:n]
	if peepholes == nil {
		run.activate(gates[:3*n], functions[0])
	} else {
		addProducts(in, peepholes[:n], c)
		addProducts(forget, peepholes[2*n:], c)
		run.activate(in, functions[0])
		run.activate(forget, functions[0])
	}
	if run.coupled {
		for j, v := range in {
			forget[j] = 1 - v
		}
	}
	run.activate(candidate, functions[1])
	for j, v := range c {
		c[j] = float32(forget[j]*v) + float32(in[j]*candidate[j])
	}
	if peepholes != nil {
		addProducts(out, peepholes[n:], c)
		run.activate(out, functions[0])
	}
	copy(h, c)
	functions[2](h)
	for j, v := range out {
		h[j] *= v
	}
}

// addProducts adds the products of the elements of a and b to those of sums.
func addProducts(sums, a, b []float32) {
	a, b = a[:len(sums)], b[:len(sums)]
	for i := range sums {
		sums[i] += float32(a[i] * b[i])
	}
}

// activate applies the attribute clip and an activation.
func (run *singleRun) activate(row []float32, f func([]float32)) {
	if clip := float32(run.clip); !math.IsInf(run.clip, 1) {
		for i, v := range row {
			row[i] = min(max(v, -clip), clip)
		}
	}
	f(row)
}

// activationRow returns an activation for rows of float32, in place; f is the same activation of a
// single number.
func activationRow(name string, f func(float64) float64) func([]float32) {
	switch name {
	case "Sigmoid":
		return func(row []float32) { kernel.Map(kernel.Sigmoid, row, row, nil) }
	case "Tanh":
		return func(row []float32) { kernel.Map(kernel.Tanh, row, row, nil) }
	}
	return func(row []float32) {
		for i, v := range row {
			row[i] = float32(f(float64(v)))
		}
	}
}
