package graph

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
)

// branches is a control with subgraphs and nothing else.
type branches struct {
	control
	list []*Graph
}

func (b branches) graphs() []*Graph { return b.list }

// TestCaller_KeepsFramesWithinItsLimit enters and leaves the frames of two subgraphs.
func TestCaller_KeepsFramesWithinItsLimit(t *testing.T) {
	a, b := &Graph{captured: []int{0, 1}, Inputs: []int{0, 1}}, &Graph{captured: []int{2}, Inputs: []int{0}}
	w := &work{consts: []bool{false, true, false, true}}
	parent := &frame{p: &Program{MemoryLimit: 4 * maxBelow}}
	c := &caller{f: parent, step: &Step{Inputs: []int{9, 0, 1, 2}, control: branches{list: []*Graph{a, b}}}, work: w}
	first, second := c.enter(a), c.enter(b)
	require.Equal(t, []bool{true, false}, first.captured)
	require.Equal(t, []bool{true}, second.captured)
	first.planned, second.planned = maxBelow-5, 6
	first.inputs = []*ops.Tensor{nil, nil}
	c.leave(first)
	require.Equal(t, int64(maxBelow-5), parent.below)
	c.leave(second)
	require.Equal(t, int64(maxBelow-5), parent.below, "the second frame is too large in addition")
	require.NotSame(t, second, c.enter(b))
	require.Same(t, first, c.enter(a))
	require.Zero(t, parent.below)
	require.NotSame(t, first, c.enter(a), "the frame is in use")
	second.below = 4
	second.planned = 1
	c.leave(second)
	require.Equal(t, int64(5), parent.below)
	parent.p.MemoryLimit = 16
	third := c.enter(b)
	require.Same(t, second, third)
	c.leave(third)
	require.Zero(t, parent.below, "a quarter of the limit is 4 bytes")
	parent.options.Observe = func(string, *ops.Tensor) {}
	require.NotSame(t, second, c.enter(b), "the callback may keep the buffers")
}
