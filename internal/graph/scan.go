package graph

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// scan is Scan (opsets 9, 11, 16). The inputs of the body are the values carried
// between iterations and a slice of each of the other inputs; its outputs are the
// carried values and the values to be stacked.
type scan struct {
	body                      *Graph
	carried, sliced, scanned  int
	inputAxes, outputAxes     []int
	inputReverse, scanReverse []bool
	scans                     []*ops.Input // of no iteration
}

func newScan(s *scope, st *Step, n *onnxpb.NodeProto, attrs ops.Attributes, opset int) (control, error) {
	if opset < 9 {
		return nil, fmt.Errorf("Scan of opset %d, which has a batch dimension, is not supported: convert the model to opset 9 or later", opset)
	}
	if err := attrs.Only("body", "num_scan_inputs", "scan_input_axes", "scan_input_directions", "scan_output_axes", "scan_output_directions"); err != nil {
		return nil, err
	}
	num, err := ops.Attr(attrs, "num_scan_inputs", int64(0))
	if err != nil {
		return nil, err
	}
	if num < 1 || num > int64(len(st.Inputs)) {
		return nil, fmt.Errorf("%w: num_scan_inputs is %d, the node has %d inputs", ops.ErrAttribute, num, len(st.Inputs))
	}
	c := &scan{sliced: int(num), carried: len(st.Inputs) - int(num)}
	for i, slot := range st.Inputs {
		if slot < 0 {
			return nil, fmt.Errorf("input %d is missing", i)
		}
	}
	c.scanned = len(n.GetOutput()) - c.carried
	if c.scanned < 0 || len(n.GetOutput()) == 0 {
		return nil, fmt.Errorf("the node has %d outputs, want at least the %d values that it carries from iteration to iteration", len(n.GetOutput()), c.carried)
	}
	if c.inputAxes, err = axes(attrs, "scan_input_axes", c.sliced, opset); err != nil {
		return nil, err
	}
	if c.outputAxes, err = axes(attrs, "scan_output_axes", c.scanned, opset); err != nil {
		return nil, err
	}
	if c.inputReverse, err = directions(attrs, "scan_input_directions", c.sliced); err != nil {
		return nil, err
	}
	if c.scanReverse, err = directions(attrs, "scan_output_directions", c.scanned); err != nil {
		return nil, err
	}
	c.body, err = s.subgraph(attrs, "body", len(st.Inputs), len(n.GetOutput()))
	return c, err
}

// numbers returns an attribute with count entries, zeros if it is absent.
func numbers(attrs ops.Attributes, name string, count int) ([]int64, error) {
	v, err := ops.Attr(attrs, name, make([]int64, count))
	if err == nil && len(v) != count {
		err = fmt.Errorf("%w: %s has %d numbers, want %d", ops.ErrAttribute, name, len(v), count)
	}
	return v, err
}

func axes(attrs ops.Attributes, name string, count, opset int) ([]int, error) {
	v, err := numbers(attrs, name, count)
	out := make([]int, len(v))
	for i, a := range v {
		if a < 0 && opset < 11 || max(a, -a) > ops.MaxElements {
			return nil, fmt.Errorf("%w: %s: %d is not an axis", ops.ErrAttribute, name, a)
		}
		out[i] = int(a)
	}
	return out, err
}

func directions(attrs ops.Attributes, name string, count int) ([]bool, error) {
	v, err := numbers(attrs, name, count)
	out := make([]bool, len(v))
	for i, d := range v {
		if d != 0 && d != 1 {
			return nil, fmt.Errorf("%w: %s: %d is not a direction: want 0 or 1", ops.ErrAttribute, name, d)
		}
		out[i] = d == 1
	}
	return out, err
}

func (c *scan) graphs() []*Graph { return []*Graph{c.body} }

func (c *scan) infer(k *inference, in []*ops.Input) ([]*ops.Input, error) {
	args := slices.Clone(in)
	for i, axis := range c.inputAxes {
		x := in[c.carried+i]
		if x == nil {
			continue
		}
		axis, err := c.axis(i, axis, len(x.Shape))
		if err != nil {
			return nil, err
		}
		args[c.carried+i] = &ops.Input{Type: ops.Type{DType: x.DType, Shape: slices.Delete(slices.Clone(x.Shape), axis, axis+1)}}
	}
	states, out, err := k.loopTypes(c.body, args, 0, 0, c.carried)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	c.scans = append([]*ops.Input{}, out[c.carried:]...)
	return append(slices.Clone(states), stacked(c.scans, c.outputAxes)...), nil
}

// axis returns the axis along which an input is sliced.
func (c *scan) axis(i, axis, rank int) (int, error) {
	a := normal(axis, rank)
	if a < 0 || a >= rank {
		return 0, fmt.Errorf("%w: input %d has %d dimensions and cannot be sliced along axis %d", ops.ErrShape, c.carried+i, rank, axis)
	}
	return a, nil
}

func (c *scan) run(r *caller, in []*ops.Tensor) ([]*ops.Tensor, error) {
	inputs, captured := in[c.carried:c.carried+c.sliced], in[c.carried+c.sliced:]
	length := -1
	along := make([]int, c.sliced)
	for i, x := range inputs {
		axis, err := c.axis(i, c.inputAxes[i], len(x.Shape()))
		if err != nil {
			return nil, err
		}
		along[i] = axis
		if n := x.Shape()[axis]; length >= 0 && n != length {
			return nil, fmt.Errorf("%w: input %d has %d slices along axis %d, the inputs before it have %d", ops.ErrShape, c.carried+i, n, axis, length)
		}
		length = x.Shape()[axis]
	}
	if length < 0 {
		return nil, errors.New("the node has no input to slice")
	}
	it := newIterations(r, c.body, in[:c.carried], c.scanned)
	for i := range length {
		parts := make([]*ops.Tensor, c.sliced)
		for j, x := range inputs {
			at := i
			if c.inputReverse[j] {
				at = length - 1 - i
			}
			if err := r.fits(it.held + size(x)/int64(length)); err != nil {
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
	out := slices.Clip(it.states)
	for i := range c.scanned {
		t, err := it.stack(i, c.outputAxes[i], c.scanReverse[i], c.scans[i])
		if err != nil {
			return nil, fmt.Errorf("output %d: %w", c.carried+i, err)
		}
		out = append(out, t)
	}
	return out, nil
}
