package graph

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// sequenceMap is SequenceMap (opset 17). The inputs of the body are an item of the first input
// and, of every other input, the item at the same place if the input is a sequence, or else
// the input itself. The outputs are sequences of the outputs of the body.
type sequenceMap struct {
	body   *Graph
	inputs int // of the node
}

func newSequenceMap(s *scope, st *Step, n *onnxpb.NodeProto, attrs ops.Attributes, opset int) (control, error) {
	if opset < 17 {
		return nil, fmt.Errorf("opset %d has no operator SequenceMap: it exists since opset 17", opset)
	}
	if err := attrs.Only("body"); err != nil {
		return nil, err
	}
	if err := checkInputs(st.Inputs, max(1, len(st.Inputs)), ops.Variadic); err != nil {
		return nil, err
	}
	if len(n.GetOutput()) == 0 {
		return nil, errors.New("the node has no output")
	}
	m := &sequenceMap{inputs: len(st.Inputs)}
	var err error
	m.body, err = s.subgraph(attrs, "body", m.inputs, len(n.GetOutput()))
	return m, err
}

func (m *sequenceMap) graphs() []*Graph { return []*Graph{m.body} }

func (m *sequenceMap) infer(inf *inference, in []*ops.Input) ([]*ops.Input, error) {
	if in[0] != nil && in[0].DType != ops.Sequence {
		return nil, fmt.Errorf("%w: input 0 is %v, want a sequence", ops.ErrDType, in[0].Type)
	}
	args := slices.Clone(in)
	for i, x := range args[:m.inputs] {
		switch {
		case x == nil || x.DType != ops.Sequence:
		case x.Elem.DType.IsContainer():
			args[i] = &ops.Input{Type: *x.Elem}
		default:
			args[i] = nil // the shapes of the items may differ
		}
	}
	types, err := inf.graph(m.body, args)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	out := make([]*ops.Input, len(m.body.Outputs))
	for i, slot := range m.body.Outputs {
		elem := ops.Type{DType: m.body.outputTypes[i]}
		if t := types[slot]; t != nil {
			elem = ops.Type{DType: t.DType, Elem: t.Elem, Key: t.Key}
		}
		if elem.DType != 0 && !elem.DType.IsContainer() || elem.Elem != nil {
			out[i] = &ops.Input{Type: ops.Type{DType: ops.Sequence, Elem: &elem}}
		}
	}
	return out, nil
}

func (m *sequenceMap) run(c *caller, in []*ops.Tensor) ([]*ops.Tensor, error) {
	if in[0].DType() != ops.Sequence {
		return nil, fmt.Errorf("%w: input 0 is %v, want a sequence", ops.ErrDType, ops.TypeOf(in[0]))
	}
	length := len(in[0].Items())
	for i, x := range in[:m.inputs] {
		if n := len(x.Items()); x.DType() == ops.Sequence && n != length {
			return nil, fmt.Errorf("%w: input %d is a sequence of %d items, but input 0 has %d", ops.ErrShape, i, n, length)
		}
	}
	it := newIterations(c, m.body, nil, len(m.body.Outputs))
	it.varied = true
	for i := range length {
		args := slices.Clone(in[:m.inputs])
		for j, x := range args {
			if x.DType() == ops.Sequence {
				args[j] = x.Items()[i]
			}
		}
		if _, err := it.next(args, nil, in[m.inputs:], 0); err != nil {
			return nil, fmt.Errorf("body, iteration %d: %w", i, err)
		}
		if err := m.keepLast(it, in); err != nil {
			return nil, err
		}
	}
	out := make([]*ops.Tensor, len(m.body.Outputs))
	for i, items := range it.scans {
		elem := ops.Type{DType: m.body.outputTypes[i]}
		if len(items) > 0 {
			elem = ops.TypeOf(items[0])
		} else if elem.DType == 0 || elem.DType.IsContainer() {
			return nil, fmt.Errorf("%w: input 0 is empty, and the body does not declare output %d as a tensor with an element type", ops.ErrDType, i)
		}
		var err error
		if out[i], err = ops.NewSequence(elem, items); err != nil {
			return nil, fmt.Errorf("output %d: %w", i, err)
		}
	}
	return out, nil
}

// keepLast copies those outputs of the last iteration that the body returns unchanged from
// the enclosing graph: the memory of such a value serves other values later.
func (m *sequenceMap) keepLast(it *iterations, in []*ops.Tensor) error {
	for _, items := range it.scans {
		last := len(items) - 1
		if !slices.Contains(in, items[last]) {
			continue
		}
		if err := it.c.fits(it.held); err != nil {
			return err
		}
		items[last] = items[last].Clone()
	}
	return nil
}
