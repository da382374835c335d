package graph

import (
	"github.com/spike-by-spike/sbs/ops"
)

// Frame is the state of one run of a graph. It serves one run after the other: while
// the shapes of the inputs stay the same, it keeps all buffers.
type Frame struct {
	Options RunOptions

	p          *Program
	g          *Graph
	changedOps map[*Step]ops.Op // of the steps whose dynamics the run changes

	inputs   []*ops.Tensor // of the run
	shapes   [][]int       // of the inputs
	dtypes   []ops.DType   // of the inputs
	values   []*ops.Tensor // by slot
	changing []bool        // by slot: values that are new in each run
	held     []int64       // by slot: bytes of values outside the plan
	work     []work        // by step
	planned  int64         // bytes of the buffers, and of outputs whose types do not depend on values
	budget   budget
}

// work is the state of a step.
type work struct {
	ctx     ops.Context
	in, out []*ops.Tensor
	types   []ops.Type // of the outputs, nil if they depend on values
	known   bool       // the outputs have their values before the run
}

// NewFrame returns a Frame for one run, with zero Options.
func (p *Program) NewFrame() *Frame {
	f := p.frames.Get().(*Frame)
	f.p, f.g, f.Options = p, p.Main, RunOptions{}
	return f
}

// release drops what belongs to the caller and keeps the frame for the next run.
func (f *Frame) release() {
	if f.Options.Observe != nil { // the caller may have kept observed values
		return
	}
	f.Options, f.changedOps = RunOptions{}, nil
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
		w.ctx.Context, w.ctx.Spikes, w.ctx.Uniforms, w.ctx.Seeds, w.ctx.Images = nil, nil, nil, nil, nil
	}
	f.p.frames.Put(f)
}

// BufferBytes returns the memory of the buffers, all of float32, that the program
// keeps after a run for the next one. It is for tests.
func (p *Program) BufferBytes() int64 {
	f := p.NewFrame()
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
