package graph

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// scan is Scan (opsets 9 to 25; see batchScan for opset 8). The inputs of the body are the values carried from
// iteration to iteration, and a slice of each of the other inputs of the node. Its outputs
// are the carried values, and the scan outputs, which the node stacks.
type scan struct {
	body       *Graph
	carried    int    // the number of carried values
	sliced     int    // the number of inputs that are sliced
	scanned    int    // the number of scan outputs
	inputAxes  []int  // by sliced input: the axis to slice along
	outputAxes []int  // by scan output: the axis to stack along
	inputBack  []bool // by sliced input: whether the last slice comes first
	outputBack []bool // by scan output: whether the last iteration comes first

	scans []*ops.Input // the types of the scan outputs of one iteration
}

func newScan(s *scope, st *Step, n *onnxpb.NodeProto, attrs ops.Attributes, opset int) (control, error) {
	if opset < 8 {
		return nil, fmt.Errorf("opset %d has no operator Scan: it exists since opset 8", opset)
	}
	if opset < 9 {
		return newBatchScan(s, st, n, attrs)
	}
	if err := attrs.Only("body", "num_scan_inputs", "scan_input_axes", "scan_input_directions", "scan_output_axes", "scan_output_directions"); err != nil {
		return nil, err
	}
	num, err := ops.Attr(attrs, "num_scan_inputs", int64(0))
	if err != nil {
		return nil, err
	}
	if num < 1 || num > int64(len(st.Inputs)) {
		return nil, fmt.Errorf("%w: num_scan_inputs is %d, but the node has %d inputs", ops.ErrAttribute, num, len(st.Inputs))
	}
	c := &scan{sliced: int(num), carried: len(st.Inputs) - int(num)}
	if err := checkInputs(st.Inputs, len(st.Inputs), len(st.Inputs)); err != nil {
		return nil, err
	}
	c.scanned = len(n.GetOutput()) - c.carried
	if c.scanned < 0 || len(n.GetOutput()) == 0 {
		return nil, fmt.Errorf("the node has %d outputs, want at least %d: one per value that it carries from iteration to iteration", len(n.GetOutput()), c.carried)
	}
	if c.inputAxes, err = axes(attrs, "scan_input_axes", c.sliced, opset); err != nil {
		return nil, err
	}
	if c.outputAxes, err = axes(attrs, "scan_output_axes", c.scanned, opset); err != nil {
		return nil, err
	}
	if c.inputBack, err = directions(attrs, "scan_input_directions", c.sliced); err != nil {
		return nil, err
	}
	if c.outputBack, err = directions(attrs, "scan_output_directions", c.scanned); err != nil {
		return nil, err
	}
	c.body, err = s.subgraph(attrs, "body", len(st.Inputs), len(n.GetOutput()))
	return c, err
}

// intList returns an attribute with count integers, or zeros if it is absent.
func intList(attrs ops.Attributes, name string, count int) ([]int64, error) {
	v, err := ops.Attr(attrs, name, make([]int64, count))
	if err == nil && len(v) != count {
		err = fmt.Errorf("%w: %s has %d entries, want %d", ops.ErrAttribute, name, len(v), count)
	}
	return v, err
}

// axes returns an attribute with count axes.
func axes(attrs ops.Attributes, name string, count, opset int) ([]int, error) {
	v, err := intList(attrs, name, count)
	out := make([]int, len(v))
	for i, a := range v {
		if a < 0 && opset < 11 || max(a, -a) > ops.MaxElements {
			return nil, fmt.Errorf("%w: %s has the axis %d, which is out of range", ops.ErrAttribute, name, a)
		}
		out[i] = int(a)
	}
	return out, err
}

// directions returns an attribute with count directions: true means backward.
func directions(attrs ops.Attributes, name string, count int) ([]bool, error) {
	v, err := intList(attrs, name, count)
	out := make([]bool, len(v))
	for i, d := range v {
		if d != 0 && d != 1 {
			return nil, fmt.Errorf("%w: %s has the direction %d, want 0 (forward) or 1 (backward)", ops.ErrAttribute, name, d)
		}
		out[i] = d == 1
	}
	return out, err
}

func (s *scan) graphs() []*Graph { return []*Graph{s.body} }

func (s *scan) infer(inf *inference, in []*ops.Input) ([]*ops.Input, error) {
	args := slices.Clone(in)
	for i, axis := range s.inputAxes {
		x := in[s.carried+i]
		if x == nil {
			continue
		}
		axis, err := s.axis(i, axis, len(x.Shape))
		if err != nil {
			return nil, err
		}
		args[s.carried+i] = &ops.Input{Type: ops.Type{DType: x.DType, Shape: slices.Delete(slices.Clone(x.Shape), axis, axis+1)}}
	}
	states, out, err := inf.loopTypes(s.body, args, 0, 0, s.carried)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	s.scans = append([]*ops.Input{}, out[s.carried:]...)
	return append(slices.Clone(states), stacked(s.scans, s.outputAxes)...), nil
}

// axis returns the index of the axis along which sliced input i, which has the given rank,
// is sliced.
func (s *scan) axis(i, axis, rank int) (int, error) {
	a := fromStart(axis, rank)
	if a < 0 || a >= rank {
		return 0, fmt.Errorf("%w: input %d has %d dimensions and cannot be sliced along axis %d", ops.ErrShape, s.carried+i, rank, axis)
	}
	return a, nil
}

func (s *scan) run(c *caller, in []*ops.Tensor) ([]*ops.Tensor, error) {
	inputs, captured := in[s.carried:s.carried+s.sliced], in[s.carried+s.sliced:]
	length := -1
	along := make([]int, s.sliced)
	for i, x := range inputs {
		axis, err := s.axis(i, s.inputAxes[i], len(x.Shape()))
		if err != nil {
			return nil, err
		}
		along[i] = axis
		if n := x.Shape()[axis]; length >= 0 && n != length {
			return nil, fmt.Errorf("%w: input %d has %d slices along axis %d, but the inputs before it have %d", ops.ErrShape, s.carried+i, n, axis, length)
		}
		length = x.Shape()[axis]
	}
	if length < 0 {
		return nil, errors.New("the node has no input to slice")
	}
	it := newIterations(c, s.body, in[:s.carried], s.scanned)
	for i := range length {
		parts := make([]*ops.Tensor, s.sliced)
		for j, x := range inputs {
			at := i
			if s.inputBack[j] {
				at = length - 1 - i
			}
			if err := c.fits(it.held + size(x)/int64(length)); err != nil {
				return nil, err
			}
			var err error
			if parts[j], err = x.Take(along[j], at); err != nil {
				return nil, err
			}
		}
		if _, err := it.next(nil, parts, captured, 0); err != nil {
			return nil, fmt.Errorf("body, iteration %d: %w", i, err)
		}
	}
	c.leave(it.body)
	out := slices.Clip(it.final)
	for i := range s.scanned {
		t, err := it.stack(i, s.outputAxes[i], s.outputBack[i], s.scans[i])
		if err != nil {
			return nil, fmt.Errorf("output %d: %w", s.carried+i, err)
		}
		out = append(out, t)
	}
	return out, nil
}
