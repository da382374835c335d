package graph

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// batchScan is Scan of opset 8, which scans every entry of a batch on its own. The first input
// is optional: how many iterations each entry takes. The first axis of all other inputs and of
// all outputs is the batch. Axis 1 of the sliced inputs is the axis of the iterations.
type batchScan struct {
	scan *scan // of one entry; its inputs lack the batch axis
}

func newScan(s *scope, st *Step, n *onnxpb.NodeProto, attrs ops.Attributes, opset int) (control, error) {
	if opset < 9 {
		return newBatchScan(s, st, n, attrs)
	}
	return newPlainScan(s, st, n, attrs, opset)
}

func newBatchScan(s *scope, st *Step, n *onnxpb.NodeProto, attrs ops.Attributes) (control, error) {
	if err := attrs.Only("body", "num_scan_inputs", "directions"); err != nil {
		return nil, err
	}
	if len(st.Inputs) < 1 {
		return nil, errors.New("the node has no inputs, want at least 2")
	}
	entry := ops.Attributes{}
	for name, v := range attrs {
		if name == "directions" {
			name = "scan_input_directions"
		}
		entry[name] = v
	}
	const newer = 9 // the same as opset 8 for one entry
	inner, err := newPlainScan(s, &Step{Inputs: st.Inputs[1:]}, n, entry, newer)
	if err != nil {
		return nil, err
	}
	return &batchScan{inner}, nil
}

func (b *batchScan) graphs() []*Graph { return b.scan.graphs() }

// own is the number of inputs of the node after the lengths: the others are captured values.
func (b *batchScan) own() int { return b.scan.carried + b.scan.sliced }

func (b *batchScan) infer(inf *inference, in []*ops.Input) ([]*ops.Input, error) {
	if l := in[0]; l != nil && (l.DType != ops.Int64 || len(l.Shape) != 1) {
		return nil, fmt.Errorf("%w: the lengths of the sequences are %v, want an int64 vector", ops.ErrShape, l.Type)
	}
	entry := slices.Clone(in[1:])
	batch := ops.Dim{Size: -1}
	for i, x := range entry[:b.own()] {
		if x == nil {
			continue
		}
		if len(x.Shape) == 0 {
			return nil, fmt.Errorf("%w: input %d is %v, but its first axis must be the batch", ops.ErrShape, i+1, x.Type)
		}
		if x.Shape[0].Known() {
			batch = x.Shape[0]
		}
		entry[i] = &ops.Input{Type: ops.Type{DType: x.DType, Shape: x.Shape[1:]}}
	}
	out, err := b.scan.infer(inf, entry)
	if err != nil {
		return nil, err
	}
	for i, t := range out {
		if t != nil {
			out[i] = &ops.Input{Type: ops.Type{DType: t.DType, Shape: append([]ops.Dim{batch}, t.Shape...)}}
		}
	}
	return out, nil
}

func (b *batchScan) run(c *caller, in []*ops.Tensor) ([]*ops.Tensor, error) {
	lengths, err := b.lengths(in)
	if err != nil {
		return nil, err
	}
	own := in[1 : 1+b.own()]
	iterations := own[b.scan.carried].Shape()[1]
	var out []*ops.Tensor
	var held int64 // bytes of the outputs
	for i, length := range lengths {
		entry := slices.Clone(in[1:])
		parts := held
		for j, x := range own {
			if parts += size(x) / int64(len(lengths)); parts < 0 {
				return nil, fmt.Errorf("%w: input %d", ops.ErrShape, j+1)
			}
			if err := c.fits(parts); err != nil {
				return nil, err
			}
			if entry[j], err = x.Take(0, i); err != nil {
				return nil, err
			}
		}
		inner := *c
		inner.base += parts
		results, err := b.scan.runPart(&inner, entry, length, uint64(i)<<32)
		if err != nil {
			return nil, fmt.Errorf("entry %d of the batch: %w", i, err)
		}
		for j, t := range results {
			shape := t.Shape()
			if j >= b.scan.carried {
				shape = append([]int{iterations}, shape[1:]...)
			}
			if i == 0 {
				t, err := zeros(&inner, t.DType(), append([]int{len(lengths)}, shape...))
				if err != nil {
					return nil, err
				}
				out, held = append(out, t), held+size(t)
				inner.base += size(t)
			}
			if err := put(out[j], i, t); err != nil {
				return nil, fmt.Errorf("entry %d of the batch: output %d: %w", i, j, err)
			}
		}
	}
	return out, nil
}

// lengths returns the number of iterations of each entry of the batch, and checks the shapes
// of the inputs.
func (b *batchScan) lengths(in []*ops.Tensor) ([]int, error) {
	own := in[1 : 1+b.own()]
	for i, x := range own {
		least := 1
		if i >= b.scan.carried {
			least = 2
		}
		if len(x.Shape()) < least || x.Shape()[0] != own[0].Shape()[0] || x.Shape()[0] == 0 {
			return nil, fmt.Errorf("%w: input %d is %v: its first axis must be the batch, the same for all inputs and not empty, and input 1 is %v", ops.ErrShape, i+1, ops.TypeOf(x), ops.TypeOf(own[0]))
		}
	}
	iterations := own[b.scan.carried].Shape()[1]
	lengths := slices.Repeat([]int{iterations}, own[0].Shape()[0])
	if in[0] == nil {
		return lengths, nil
	}
	given := in[0].Int64s()
	if len(given) != len(lengths) {
		return nil, fmt.Errorf("%w: the lengths of the sequences are %v, want one int64 per entry of the batch, %d", ops.ErrShape, ops.TypeOf(in[0]), len(lengths))
	}
	for i, n := range given {
		if n < 0 || n > int64(iterations) {
			return nil, fmt.Errorf("%w: sequence %d has the length %d, want 0 to %d", ops.ErrValue, i, n, iterations)
		}
		lengths[i] = int(n)
	}
	return lengths, nil
}

// zeros returns a tensor of zeros within the memory limit.
func zeros(c *caller, d ops.DType, shape []int) (*ops.Tensor, error) {
	n, err := ops.Len(shape)
	if err != nil {
		return nil, err
	}
	if err := c.fits(int64(n) * int64(d.Size())); err != nil {
		return nil, err
	}
	return ops.Zeros(d, shape)
}

// put copies t to entry i of all, which may have a longer second axis.
func put(all *ops.Tensor, i int, t *ops.Tensor) error {
	entry := all.Shape()[1:]
	if slices.Equal(entry, t.Shape()) {
		return all.Put(0, i, t)
	}
	if len(entry) == 0 || len(t.Shape()) != len(entry) || t.Shape()[0] > entry[0] || !slices.Equal(entry[1:], t.Shape()[1:]) {
		return fmt.Errorf("%w: it is %v, but that of the entries before it is %v", ops.ErrShape, ops.TypeOf(t), ops.Type{DType: all.DType(), Shape: ops.Dims(entry...)})
	}
	whole, err := ops.Zeros(t.DType(), entry)
	if err != nil {
		return err
	}
	for k := range t.Shape()[0] {
		row, err := t.Take(0, k)
		if err == nil {
			err = whole.Put(0, k, row)
		}
		if err != nil {
			return err
		}
	}
	return all.Put(0, i, whole)
}
