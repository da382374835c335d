package graph

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// loop is Loop (opsets 1 to 25). The inputs of the body are the number of the
// iteration, the condition, and the values carried from iteration to iteration. Its outputs
// are the condition, the carried values, and the scan outputs, which the node stacks along a
// new first axis.
type loop struct {
	body    *Graph
	limited bool    // whether the node has a number of iterations
	stops   bool    // whether the node has a condition
	carried int     // the number of carried values
	scanned int     // the number of scan outputs
	vector  [2]bool // whether the body takes number and condition as vectors of one element

	scans []*ops.Input // the types of the scan outputs of one iteration
}

func newLoop(s *scope, st *Step, n *onnxpb.NodeProto, attrs ops.Attributes, _ int) (control, error) {
	if err := attrs.Only("body"); err != nil {
		return nil, err
	}
	// st.Inputs lacks omitted inputs at the end, but they are carried values, too.
	l := &loop{carried: max(len(n.GetInput())-2, 0)}
	for len(st.Inputs) < 2+l.carried {
		st.Inputs = append(st.Inputs, -1)
	}
	for i, slot := range st.Inputs[2:] {
		if slot < 0 {
			return nil, fmt.Errorf("input %d is missing", 2+i)
		}
	}
	l.limited, l.stops = st.Inputs[0] >= 0, st.Inputs[1] >= 0
	l.scanned = len(n.GetOutput()) - l.carried
	if l.scanned < 0 {
		return nil, fmt.Errorf("the node has %d outputs, want at least %d: one per value that it carries from iteration to iteration", len(n.GetOutput()), l.carried)
	}
	if len(n.GetOutput()) == 0 {
		return nil, errors.New("the node has no output")
	}
	var err error
	if l.body, err = s.subgraph(attrs, "body", 2+l.carried, 1+l.carried+l.scanned); err != nil {
		return nil, err
	}
	body, _ := attrs["body"].(*onnxpb.GraphProto)
	for i := range l.vector {
		l.vector[i] = len(subgraphInputs(body)[i].GetType().GetTensorType().GetShape().GetDim()) == 1
	}
	return l, nil
}

func (l *loop) graphs() []*Graph { return []*Graph{l.body} }

// shape returns the shape of input i of the body: the number of the iteration, or the
// condition.
func (l *loop) shape(i int) []int {
	if l.vector[i] {
		return []int{1}
	}
	return nil
}

func (l *loop) infer(inf *inference, in []*ops.Input) ([]*ops.Input, error) {
	if l.limited {
		if err := checkOne("the number of iterations", in[0], ops.Int64); err != nil {
			return nil, err
		}
	}
	if l.stops {
		if err := checkOne("the condition", in[1], ops.Bool); err != nil {
			return nil, err
		}
	}
	args := append([]*ops.Input{
		{Type: ops.Type{DType: ops.Int64, Shape: ops.Dims(l.shape(0)...)}},
		{Type: ops.Type{DType: ops.Bool, Shape: ops.Dims(l.shape(1)...)}},
	}, in[2:]...)
	states, out, err := inf.loopTypes(l.body, args, 2, 1, l.carried)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if err := checkOne("the condition that the body computes", out[0], ops.Bool); err != nil {
		return nil, err
	}
	l.scans = append([]*ops.Input{}, out[1+l.carried:]...)
	return append(states, stacked(l.scans, nil)...), nil
}

// stacked returns the types of scan outputs: the types in one iteration, with a new axis of
// unknown size. The new axis is axis 0 unless axes are given.
func stacked(parts []*ops.Input, axes []int) []*ops.Input {
	out := make([]*ops.Input, len(parts))
	for i, p := range parts {
		if p == nil || p.DType.IsContainer() {
			continue // the run returns an error
		}
		axis := 0
		if axes != nil {
			axis = fromStart(axes[i], len(p.Shape)+1)
		}
		if axis < 0 || axis > len(p.Shape) {
			continue // the run returns an error
		}
		shape := slices.Insert(slices.Clone(p.Shape), axis, ops.Dim{Size: -1})
		out[i] = &ops.Input{Type: ops.Type{DType: p.DType, Shape: shape}}
	}
	return out
}

// fromStart returns the index of an axis; negative axes count from the end.
func fromStart(axis, rank int) int {
	if axis < 0 {
		return axis + rank
	}
	return axis
}

func (l *loop) run(c *caller, in []*ops.Tensor) ([]*ops.Tensor, error) {
	trips, cond := int64(math.MaxInt64), true
	if l.limited {
		m := in[0].Int64s()
		if len(m) != 1 {
			return nil, fmt.Errorf("%w: the number of iterations is %v, want one int64", ops.ErrShape, ops.TypeOf(in[0]))
		}
		trips = m[0]
	}
	if l.stops {
		var err error
		if cond, err = truth(in[1]); err != nil {
			return nil, err
		}
	}
	it := newIterations(c, l.body, in[2:2+l.carried], l.scanned)
	captured := in[2+l.carried:]
	for i := int64(0); i < trips && cond; i++ {
		number, err := ops.NewTensor(l.shape(0), []int64{i})
		if err != nil {
			return nil, err
		}
		condition, err := ops.NewTensor(l.shape(1), []bool{cond})
		if err != nil {
			return nil, err
		}
		out, err := it.next([]*ops.Tensor{number, condition}, nil, captured, 1)
		if err != nil {
			return nil, fmt.Errorf("body, iteration %d: %w", i, err)
		}
		again, err := truth(out[0])
		if err != nil {
			return nil, fmt.Errorf("body, iteration %d: %w", i, err)
		}
		// By the specification, a node without a condition ignores the condition of the
		// body.
		cond = again || !l.stops
	}
	c.leave(it.body)
	out := slices.Clip(it.final)
	for i := range l.scanned {
		t, err := it.stack(i, 0, false, l.scans[i])
		if err != nil {
			return nil, fmt.Errorf("output %d: %w", l.carried+i, err)
		}
		out = append(out, t)
	}
	return out, nil
}

// iterations runs the body of a loop or scan repeatedly.
type iterations struct {
	c      *caller
	body   *frame
	seed   uint64          // of the run
	seeds  []uint64        // of the run
	count  uint64          // of iterations so far
	states []*ops.Tensor   // the carried values for the next iteration
	final  []*ops.Tensor   // the carried values after the last iteration
	scans  [][]*ops.Tensor // by scan output: the values of all iterations
	varied bool            // whether the values of a scan output may have different shapes
	held   int64           // bytes of the scans, and of the states that an iteration has computed
	kept   int64           // bytes of the scans
}

func newIterations(c *caller, body *Graph, states []*ops.Tensor, scanned int) *iterations {
	it := &iterations{c: c, body: c.enter(body), states: append([]*ops.Tensor{}, states...), scans: make([][]*ops.Tensor, scanned)}
	it.final = slices.Clone(it.states)
	it.seed, it.seeds = it.body.options.Seed, it.body.options.Seeds
	return it
}

// next runs one iteration and returns the outputs of the body. The inputs of the body are
// before, the states, after, and captured. Its outputs are skip others, the states, and the
// scans.
func (it *iterations) next(before, after, captured []*ops.Tensor, skip int) ([]*ops.Tensor, error) {
	if err := it.c.ctx.Err(); err != nil {
		return nil, err // also when the body has no node
	}
	args := slices.Concat(before, it.states, after, captured)
	// Every iteration draws different random numbers.
	it.body.options.Seed = rand.NewPCG(it.seed, it.count).Uint64()
	it.body.options.Seeds = make([]uint64, len(it.seeds))
	for i, seed := range it.seeds {
		it.body.options.Seeds[i] = rand.NewPCG(seed, it.count).Uint64()
	}
	it.count++
	base := it.c.base + it.held
	for _, t := range after {
		base += size(t)
	}
	out, err := it.body.runGraph(it.c.ctx, args, base)
	if err != nil {
		return nil, err
	}
	states := out[skip : skip+len(it.states)]
	it.held = it.kept
	for i, t := range states {
		it.final[i] = t
		is, was := ops.TypeOf(t), ops.TypeOf(it.states[i])
		if wraps(was, is) {
			if t, err = it.wrapped(t); err != nil {
				return nil, err
			}
			is = was
		}
		if !is.SameElements(was) {
			return nil, fmt.Errorf("%w: carried value %d enters an iteration as %v and leaves it as %v", ops.ErrDType, i, was, is)
		}
		it.states[i] = t
		it.held += size(t)
	}
	for i, t := range out[skip+len(states):] {
		if n := len(it.scans[i]); n > 0 && !it.varied {
			if was, is := ops.TypeOf(it.scans[i][0]), ops.TypeOf(t); !sameSizes(&ops.Input{Type: was}, &ops.Input{Type: is}) {
				return nil, fmt.Errorf("%w: output %d is %v, but was %v in the previous iteration: values that are stacked must have the same shape", ops.ErrShape, skip+len(states)+i, is, was)
			}
		}
		it.scans[i] = append(it.scans[i], t)
		it.kept += size(t) + ops.ItemBytes
		it.held += size(t) + ops.ItemBytes
	}
	return out, it.c.fits(it.held)
}

// wrapped returns an optional value that holds t.
func (it *iterations) wrapped(t *ops.Tensor) (*ops.Tensor, error) {
	if !t.DType().IsContainer() { // an item must not be a value of the enclosing graph
		if err := it.c.fits(it.held + size(t)); err != nil {
			return nil, err
		}
		t = t.Clone()
	}
	return ops.NewOptional(ops.TypeOf(t), t)
}

// stack joins the values of scan output i along a new axis. t is their type in case there
// was no iteration.
func (it *iterations) stack(i, axis int, reverse bool, t *ops.Input) (*ops.Tensor, error) {
	parts := it.scans[i]
	if len(parts) > 0 {
		t = &ops.Input{Type: ops.TypeOf(parts[0])}
	}
	if t == nil {
		return nil, fmt.Errorf("%w: the loop had no iteration, and the type of the output is not known without one", ops.ErrShape)
	}
	if t.DType.IsContainer() {
		return nil, fmt.Errorf("%w: the values of the iterations are %v, but only tensors can be stacked", ops.ErrDType, t.Type)
	}
	shape := make([]int, 0, len(t.Shape)+1)
	for _, d := range t.Shape {
		shape = append(shape, max(d.Size, 0))
	}
	axis = fromStart(axis, len(shape)+1)
	if axis < 0 || axis > len(shape) {
		return nil, fmt.Errorf("%w: values of type %v cannot be stacked along axis %d", ops.ErrShape, t.Type, axis)
	}
	shape = slices.Insert(shape, axis, len(parts))
	elements, err := ops.Len(shape)
	if err != nil {
		return nil, err
	}
	bytes := int64(elements) * int64(t.DType.Size())
	if err := it.c.fits(it.held + bytes); err != nil {
		return nil, err
	}
	it.held += bytes
	out, err := ops.Zeros(t.DType, shape)
	if err != nil {
		return nil, err
	}
	for j, p := range parts {
		if reverse {
			j = len(parts) - 1 - j
		}
		if err := out.Put(axis, j, p); err != nil {
			return nil, err
		}
	}
	return out, nil
}
