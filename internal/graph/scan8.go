package graph

import (
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// batchScan is Scan of opset 8. All inputs have the batch as their first axis, and the sliced
// ones have the sequence as their second one. The first input of the node, which may be omitted,
// has the length of each sequence. Scan outputs have the shape (batch, sequence, ...), with zeros
// after the end of a sequence.
type batchScan struct {
	body    *Graph
	lengths bool // whether the node has the lengths
	carried int
	sliced  int
	scanned int
	back    []bool // by sliced input: whether the last slice comes first

	results []*ops.Input // the types of all outputs of the body
}

func newBatchScan(s *scope, st *Step, n *onnxpb.NodeProto, attrs ops.Attributes) (control, error) {
	if err := attrs.Only("body", "num_scan_inputs", "directions"); err != nil {
		return nil, err
	}
	num, err := ops.Attr(attrs, "num_scan_inputs", int64(0))
	if err != nil {
		return nil, err
	}
	given := len(st.Inputs) - 1 // without the lengths
	if num < 1 || num > int64(given) {
		return nil, fmt.Errorf("%w: num_scan_inputs is %d, but the node has %d inputs after the lengths", ops.ErrAttribute, num, max(given, 0))
	}
	c := &batchScan{lengths: st.Inputs[0] >= 0, sliced: int(num), carried: given - int(num)}
	for i, slot := range st.Inputs[1:] {
		if slot < 0 {
			return nil, fmt.Errorf("input %d is missing", 1+i)
		}
	}
	c.scanned = len(n.GetOutput()) - c.carried
	if c.scanned < 0 || len(n.GetOutput()) == 0 {
		return nil, fmt.Errorf("the node has %d outputs, want at least %d: one per value that it carries from iteration to iteration", len(n.GetOutput()), c.carried)
	}
	if c.back, err = directions(attrs, "directions", c.sliced); err != nil {
		return nil, err
	}
	c.body, err = s.subgraph(attrs, "body", given, len(n.GetOutput()))
	return c, err
}

func (s *batchScan) graphs() []*Graph { return []*Graph{s.body} }

// axes returns the number of axes of input i, counted without the lengths, that the body does not
// see.
func (s *batchScan) axes(i int) int {
	if i < s.carried {
		return 1
	}
	return 2
}

func (s *batchScan) infer(inf *inference, in []*ops.Input) ([]*ops.Input, error) {
	if s.lengths && in[0] != nil && (in[0].DType != ops.Int64 || len(in[0].Shape) != 1) {
		return nil, fmt.Errorf("%w: the lengths of the sequences are %v, want an int64 vector", ops.ErrShape, in[0].Type)
	}
	batch, length := ops.Dim{Size: -1}, ops.Dim{Size: -1}
	args := slices.Clone(in[1:])
	for i, x := range args[:s.carried+s.sliced] {
		if x == nil {
			continue
		}
		if len(x.Shape) < s.axes(i) {
			return nil, fmt.Errorf("%w: input %d is %v, want at least %d axes", ops.ErrShape, 1+i, x.Type, s.axes(i))
		}
		if batch = x.Shape[0]; i >= s.carried {
			length = x.Shape[1]
		}
		args[i] = &ops.Input{Type: ops.Type{DType: x.DType, Shape: x.Shape[s.axes(i):]}}
	}
	_, out, err := inf.loopTypes(s.body, args, 0, 0, s.carried)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	s.results = slices.Clone(out)
	types := make([]*ops.Input, len(out))
	for i, t := range out {
		if t != nil {
			outer := []ops.Dim{batch, length}[:s.axes(i)]
			types[i] = &ops.Input{Type: ops.Type{DType: t.DType, Shape: slices.Concat(outer, t.Shape)}}
		}
	}
	return types, nil
}

// sizes returns the size of the batch, and the length of the longest and of all sequences.
func (s *batchScan) sizes(in []*ops.Tensor) (batch, longest int, lengths []int64, err error) {
	for i, x := range in[1:][:s.carried+s.sliced] {
		shape := x.Shape()
		if len(shape) < s.axes(i) {
			return 0, 0, nil, fmt.Errorf("%w: input %d is %v, want at least %d axes", ops.ErrShape, 1+i, ops.TypeOf(x), s.axes(i))
		}
		if i > 0 && shape[0] != batch || i > s.carried && shape[1] != longest {
			return 0, 0, nil, fmt.Errorf("%w: input %d is %v, but the inputs before it have a batch of %d and sequences of %d", ops.ErrShape, 1+i, ops.TypeOf(x), batch, longest)
		}
		if batch = shape[0]; i >= s.carried {
			longest = shape[1]
		}
	}
	if !s.lengths {
		return batch, longest, slices.Repeat([]int64{int64(longest)}, batch), nil
	}
	lengths = in[0].Int64s()
	if len(lengths) != batch {
		return 0, 0, nil, fmt.Errorf("%w: there are %d lengths for %d sequences", ops.ErrShape, len(lengths), batch)
	}
	for i, n := range lengths {
		if n < 0 || n > int64(longest) {
			return 0, 0, nil, fmt.Errorf("%w: sequence %d has the length %d, want 0 to %d", ops.ErrValue, i, n, longest)
		}
	}
	return batch, longest, lengths, nil
}

func (s *batchScan) run(c *caller, in []*ops.Tensor) ([]*ops.Tensor, error) {
	batch, longest, lengths, err := s.sizes(in)
	if err != nil {
		return nil, err
	}
	out := make([]*ops.Tensor, s.carried+s.scanned)
	own := *c
	for b := range batch {
		if err := c.ctx.Err(); err != nil {
			return nil, err // also when no sequence has an element
		}
		it, err := s.sequence(&own, in, b, int(lengths[b]))
		if err != nil {
			return nil, fmt.Errorf("sequence %d: %w", b, err)
		}
		for i := range out {
			if err := s.put(&own, out, i, b, batch, longest, it); err != nil {
				return nil, fmt.Errorf("output %d, sequence %d: %w", i, b, err)
			}
		}
	}
	for i, t := range out {
		if t != nil {
			continue
		}
		// There is no sequence, or none with an iteration.
		shape := []int{batch, longest}[:s.axes(i)]
		dtype := ops.Float32
		if r := s.results[i]; r != nil {
			dtype = r.DType
			for _, d := range r.Shape {
				shape = append(slices.Clone(shape), max(d.Size, 0))
			}
		}
		if out[i], err = own.zeros(dtype, shape); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sequence runs the body over one sequence.
func (s *batchScan) sequence(c *caller, in []*ops.Tensor, b, length int) (*iterations, error) {
	inputs, captured := in[1:][:s.carried+s.sliced], in[1+s.carried+s.sliced:]
	rows := make([]*ops.Tensor, len(inputs))
	for i, x := range inputs {
		if err := c.fits(size(x)); err != nil {
			return nil, err
		}
		var err error
		if rows[i], err = x.Take(0, b); err != nil {
			return nil, err
		}
	}
	it := newIterations(c, s.body, rows[:s.carried], s.scanned)
	it.seed += uint64(b) // every sequence draws different random numbers
	for i := range length {
		parts := make([]*ops.Tensor, s.sliced)
		for j, x := range rows[s.carried:] {
			at := i
			if s.back[j] {
				at = length - 1 - i
			}
			var err error
			if parts[j], err = x.Take(0, at); err != nil {
				return nil, err
			}
		}
		if _, err := it.next(nil, parts, captured, 0); err != nil {
			return nil, fmt.Errorf("body, iteration %d: %w", i, err)
		}
	}
	return it, nil
}

// put stores the results of sequence b in output i, which it makes for the first of them.
func (s *batchScan) put(c *caller, out []*ops.Tensor, i, b, batch, longest int, it *iterations) error {
	var first *ops.Tensor
	if i < s.carried {
		first = it.states[i]
	} else if parts := it.scans[i-s.carried]; len(parts) > 0 {
		first = parts[0]
	} else {
		return nil
	}
	shape := slices.Concat([]int{batch, longest}[:s.axes(i)], first.Shape())
	if out[i] == nil {
		var err error
		if out[i], err = c.zeros(first.DType(), shape); err != nil {
			return err
		}
	}
	if !slices.Equal(out[i].Shape(), shape) {
		return fmt.Errorf("%w: a result is %v, which does not fit those of the sequences before it, %v", ops.ErrShape, ops.TypeOf(first), ops.TypeOf(out[i]))
	}
	if i < s.carried {
		return out[i].Put(0, b, first)
	}
	row, err := ops.Zeros(first.DType(), shape[1:])
	if err != nil {
		return err
	}
	for j, part := range it.scans[i-s.carried] {
		if err := row.Put(0, j, part); err != nil {
			return err
		}
	}
	return out[i].Put(0, b, row)
}

// zeros returns a new tensor within the memory limit, and counts its memory.
func (c *caller) zeros(dtype ops.DType, shape []int) (*ops.Tensor, error) {
	n, err := ops.Len(shape)
	if err != nil {
		return nil, err
	}
	if err := c.fits(int64(n) * int64(dtype.Size())); err != nil {
		return nil, err
	}
	c.base += int64(n) * int64(dtype.Size())
	return ops.Zeros(dtype, shape)
}
