package graph

import (
	"github.com/spike-by-spike/sbs/ops"
)

// frame is the state of one run of a graph. Frames are reused: if the next run has
// inputs of the same types, it finds all buffers in place.
type frame struct {
	p          *Program
	g          *Graph
	options    RunOptions
	changedOps map[*Step]*changedOp // of the steps whose dynamics the run changes

	inputs   []*ops.Tensor // of the run
	types    []ops.Type    // of the inputs for which the frame was built
	defaults []bool        // by input for which the frame was built: it had its default value
	captured []bool        // by captured value: whether it is a constant of the enclosing frame
	fixed    []*ops.Tensor // by input for which the frame was built: its value, if that is a constant
	values   []*ops.Tensor // by slot
	changing []bool        // by slot: whether each run has a new tensor for the value
	held     []int64       // by slot: bytes of values that the plan does not count
	aliased  bool          // whether some slots have held the same tensor in this run
	work     []work        // by step
	planned  int64         // bytes of the buffers, and of outputs whose types are known before the run
	budget   budget
	below    int64        // bytes of the frames of subgraphs that are kept for the next run
	most     int64        // bytes of the values before the last step dropped the ones that no later step needs
	memory   ops.Memory   // the temporary memory of the step that is running
	buffers  *ops.Buffers // shared with the frames of subgraphs
}

// work is the state of a step.
type work struct {
	ctx     ops.Context
	changed *changedOp // the operator whose scratch is in ctx, nil for Step.Op
	in, out []*ops.Tensor
	consts  []bool     // see ops.Context.Constants
	types   []ops.Type // of the outputs, nil if they depend on input values
	known   bool       // whether the outputs were computed when the frame was built
	lasting bool       // whether the outputs are the same in all runs of the frame, as they follow from constants
	done    bool       // whether the outputs of a step that is lasting are in the frame

	seen  []ops.Type        // of the inputs in the last run, if types is nil and the outputs follow from them
	found []ops.Type        // of the outputs in the last run, if seen is set
	subs  map[*Graph]*frame // of the subgraphs of the step, for its next run
}

// newFrame returns a frame for one run of the main graph. A run with Observe gets a new
// frame, since the caller may keep its buffers.
func (p *Program) newFrame(o RunOptions, changed map[*Step]*changedOp) *frame {
	var f *frame
	if o.Observe != nil {
		f = new(frame)
	} else {
		f = p.frames.Get().(*frame)
	}
	f.p, f.g, f.options, f.changedOps = p, p.Main, o, changed
	if f.buffers == nil {
		f.buffers = new(ops.Buffers)
	}
	if p.fused != nil && o.Observe == nil {
		f.g = p.fused
	}
	return f
}

// isDefault reports whether an input of the run has its default value.
func (f *frame) isDefault(input int) bool {
	i := input - len(f.p.Inputs)
	return (f.g == f.p.Main || f.g == f.p.fused) && i >= 0 && f.inputs[input] == f.p.Optional[i].Default
}

// release keeps the frame for the next run, without the tensors that belong to the
// caller. A run that fails does not release its frame.
func (f *frame) release() {
	if f.options.Observe != nil {
		return
	}
	f.clean()
	f.p.frames.Put(f)
}

// clean drops the options and the values that belong to one run only.
func (f *frame) clean() {
	f.options, f.changedOps = RunOptions{}, nil
	clear(f.inputs)
	for slot, changing := range f.changing {
		if changing {
			f.values[slot] = nil
		}
	}
	for i := range f.work {
		w := &f.work[i]
		clear(w.in)
		clear(w.out)
		w.ctx.Context, w.ctx.Memory, w.ctx.Spikes, w.ctx.Uniforms, w.ctx.Seeds, w.ctx.Images = nil, nil, nil, nil, nil, nil
	}
}

// BufferBytes returns the memory of the float32 buffers that a program keeps from its
// last run for the next one. It is for tests.
func (p *Program) BufferBytes() int64 {
	f := p.newFrame(RunOptions{}, nil)
	defer p.frames.Put(f)
	buffers := map[*float32]int{}
	for slot, t := range f.values {
		if t == nil || p.Main.Consts[slot] != nil {
			continue
		}
		if d := t.Float32s(); cap(d) > 0 {
			buffers[&d[:1][0]] = cap(d)
		}
	}
	var total int64
	for _, n := range buffers {
		total += 4 * int64(n)
	}
	return total
}
