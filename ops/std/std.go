// Package std holds the standard operators (domain ai.onnx) that networks with
// Spike-By-Spike layers use, with the meaning that they have in the opsets 7 to
// 17, and for some of them since opset 1. What an operator's attributes and inputs may
// be is said where it is made: newConv, newSlice, and so on.
//
// Every result is the same for any number of workers, bit for bit, and the
// result for one image does not depend on the others in its batch.
package std

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
)

// oldestOpset is the first whose arithmetic broadcasts as numpy does.
const defaultOldestOpset = 7

// kernel is what is particular to an operator of one output. Both methods may
// rely on what op checks: the number of inputs, required inputs not nil, types that
// a tensor can have.
type operation interface {
	infer(in []*ops.Input) (ops.Type, error)

	// run computes every element of the output, which is of the inferred type.
	run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error
}

// multi is what kernel is, for an operator of several outputs, of which a node may
// have only the first ones, or of one that makes its outputs itself when they are
// nil: when their sizes follow from more than the types and values infer looks at.
type multiOperation interface {
	inferAll(in []*ops.Input) ([]ops.Type, error) // of all outputs that there may be
	runAll(ctx *ops.Context, in, out []*ops.Tensor) error
}

func operator(name string, minInputs, maxInputs int, newOperation func(ops.Node) (operation, error)) ops.Operator {
	return ops.Operator{
		Name:       name,
		MinInputs:  minInputs,
		MaxInputs:  maxInputs,
		MinOutputs: 1,
		MaxOutputs: 1,
		New: func(n ops.Node) (ops.Op, error) {
			if err := checkOpset(name, n.Opset); err != nil {
				return nil, err
			}
			k, err := newOperation(n)
			if err != nil {
				return nil, err
			}
			o := &op{single: k, minInputs: minInputs, maxInputs: maxInputs}
			if g := gradientOf(name); g != nil {
				return &differentiable{o, g}, nil
			}
			return o, nil
		},
	}
}

// several makes an operator of a multi.
func multiOperator(name string, minInputs, maxInputs, minOutputs, maxOutputs int, newOperation func(ops.Node) (multiOperation, error)) ops.Operator {
	return ops.Operator{
		Name:       name,
		MinInputs:  minInputs,
		MaxInputs:  maxInputs,
		MinOutputs: minOutputs,
		MaxOutputs: maxOutputs,
		New: func(n ops.Node) (ops.Op, error) {
			if err := checkOpset(name, n.Opset); err != nil {
				return nil, err
			}
			n.NumOutputs = max(n.NumOutputs, minOutputs)
			if maxOutputs != ops.Variadic && n.NumOutputs > maxOutputs {
				return nil, fmt.Errorf("%d outputs are not allowed", n.NumOutputs)
			}
			k, err := newOperation(n)
			if err != nil {
				return nil, err
			}
			return &op{multi: k, minInputs: minInputs, maxInputs: maxInputs, outputs: n.NumOutputs}, nil
		},
	}
}

func checkOpset(name string, opset int) error {
	oldest, ok := oldestOpsets[name]
	if !ok {
		oldest = defaultOldestOpset
	}
	if opset < oldest {
		return fmt.Errorf("opset %d is not supported, the oldest is %d", opset, oldest)
	}
	return nil
}

// op makes an ops.Op of a kernel or a multi.
type op struct {
	single               operation
	multi                multiOperation
	minInputs, maxInputs int
	outputs              int // of a multi
}

func (o *op) Infer(in []*ops.Input) ([]ops.Type, error) {
	if err := o.check(in); err != nil {
		return nil, err
	}
	var types []ops.Type
	if o.multi != nil {
		all, err := o.multi.inferAll(in)
		if err != nil {
			return nil, err
		}
		types = all[:o.outputs]
	} else {
		t, err := o.single.infer(in)
		if err != nil {
			return nil, err
		}
		types = []ops.Type{t}
	}
	for _, t := range types {
		if err := checkSizes(t); err != nil {
			return nil, fmt.Errorf("output: %w", err)
		}
	}
	return types, nil
}

func (o *op) Run(ctx *ops.Context, in, out []*ops.Tensor) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if o.multi != nil {
		return o.multi.runAll(ctx, in, out)
	}
	return o.single.run(ctx, in, out[0])
}

// late is a kernel that computes nothing while a model is loaded: its results
// depend on the seed of a run, or small inputs can be a lot of work.
type runOnly interface{ onlyInRuns() }

// typed is a kernel whose outputs follow from the types of its inputs, when fold
// does not return nil.
type typeFolder interface {
	fold(in []*ops.Input) *ops.Tensor
}

// maxFolded is the most elements of a tensor that is computed while a model is
// loaded: what shapes are computed with is small.
const maxFolded = 1 << 12

// Fold implements ops.Folder.
func (o *op) Fold(ctx *ops.Context, in []*ops.Input) ([]*ops.Tensor, error) {
	var k any = o.single
	if o.multi != nil {
		k = o.multi
	}
	if t, ok := k.(typeFolder); ok {
		if x := t.fold(in); x != nil {
			return []*ops.Tensor{x}, nil
		}
	}
	if _, ok := k.(runOnly); ok {
		return nil, nil
	}
	values := make([]*ops.Tensor, len(in))
	for i, x := range in {
		if x == nil {
			continue
		}
		if x.Const == nil || x.Const.Len() > maxFolded {
			return nil, nil
		}
		values[i] = x.Const
	}
	types, err := o.Infer(in)
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		shape, ok := t.Sizes()
		if !ok {
			return nil, nil
		}
		if n, err := ops.Len(shape); err != nil || n > maxFolded {
			return nil, err
		}
	}
	return ops.Run(o, ctx, values)
}

// checkValues is for a kernel whose output's type may be known without values, which
// can still be wrong.
func checkValues(k operation, in []*ops.Tensor, out *ops.Tensor) error {
	t, err := k.infer(inputs(in))
	if err != nil {
		return err
	}
	return t.Check(out)
}

func inputs(in []*ops.Tensor) []*ops.Input {
	known := make([]*ops.Input, len(in))
	for i, x := range in {
		if x != nil {
			known[i] = &ops.Input{Type: ops.TypeOf(x), Const: x}
		}
	}
	return known
}

func (o *op) check(in []*ops.Input) error {
	if n := len(in); n < o.minInputs || o.maxInputs != ops.Variadic && n > o.maxInputs {
		return fmt.Errorf("%d inputs are not allowed", n)
	}
	for i, x := range in {
		if x == nil {
			if i < o.minInputs || o.maxInputs == ops.Variadic {
				return fmt.Errorf("input %d is missing", i)
			}
			continue
		}
		if err := checkSizes(x.Type); err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		if x.Const != nil {
			if err := x.Check(x.Const); err != nil {
				return fmt.Errorf("input %d: the constant: %w", i, err)
			}
		}
	}
	return nil
}

// maxRank bounds the number of dimensions: a few nodes in a file could else ask for
// gigabytes of them. It is numpy's own limit.
const maxRank = 64

// checkSizes bounds what is known of a type, so that sizes can be multiplied
// and added without a thought of overflow.
func checkSizes(t ops.Type) error {
	if t.DType.Size() == 0 {
		return fmt.Errorf("%w: %v", ops.ErrDType, t.DType)
	}
	if err := checkRank(len(t.Shape)); err != nil {
		return err
	}
	known := make([]int, 0, len(t.Shape))
	for _, d := range t.Shape {
		if d.Known() {
			known = append(known, d.Size)
		}
	}
	if _, err := ops.Len(known); err != nil {
		return fmt.Errorf("%v: %w", t, err)
	}
	return nil
}

// checkRank is for where dimensions are made before checkSizes sees them.
func checkRank(rank int) error {
	if rank > maxRank {
		return fmt.Errorf("%w: %d dimensions, want at most %d", ops.ErrShape, rank, maxRank)
	}
	return nil
}

// checkDType returns an error unless the input's element type is one of those
// that are supported.
func checkDType(name string, t ops.Type, supported ...ops.DType) error {
	if slices.Contains(supported, t.DType) {
		return nil
	}
	names := make([]string, len(supported))
	for i, d := range supported {
		names[i] = d.String()
	}
	return fmt.Errorf("%w: %s is %v, want %s", ops.ErrDType, name, t, strings.Join(names, " or "))
}

// flagAttr returns an attribute that is 0 for false, also when it is absent, and another
// integer for true.
func flagAttr(a ops.Attributes, name string) (bool, error) {
	v, err := ops.Attr(a, name, int64(0))
	return v != 0, err
}

// number is the set of element types that arithmetic is done in.
type number interface {
	float32 | float64 | int32 | int64
}

// grain is the number of simple steps that are worth a call from a parallel
// loop.
const grain = 1 << 14
