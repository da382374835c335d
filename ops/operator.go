// Package ops defines operators: how a node of an ONNX graph infers the types of
// its outputs and computes them. Package ops/std has the standard operators of
// ONNX, and package ops/sbs the Spike-By-Spike operator.
//
// A program can add operators of its own to a model, or replace built-in ones,
// with runtime.WithOperators. An [Operator] describes one operator of a domain;
// its New checks the attributes of a node and returns an [Op], which infers and
// computes:
//
//	square := ops.Operator{
//		Domain: "example.com", Name: "Square",
//		MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1,
//		New: func(ops.Node) (ops.Op, error) { return squareOp{}, nil },
//	}
//	model, err := runtime.Open("model.onnx", runtime.WithOperators(square))
//
// [Run] runs a single Op, with a [Context] from [NewContext]. Package ops/opstest
// checks that an operator keeps the contract of Op.
package ops

import (
	"errors"
	"fmt"
	"strings"
)

// Operator describes one operator of one domain.
type Operator struct {
	Domain     string // "" for ai.onnx
	Name       string // ONNX op_type
	MinInputs  int
	MaxInputs  int // Variadic for any number
	MinOutputs int
	MaxOutputs int // Variadic for any number

	// New checks a node's attributes and returns an Op that computes the node.
	// Errors need not name the node: the caller adds its name.
	New func(n Node) (Op, error)
}

// Variadic as Operator.MaxInputs or MaxOutputs means that there is no upper limit.
const Variadic = -1

// Node describes a node of a graph to Operator.New.
type Node struct {
	Name       string // unique in the graph; nodes that draw random numbers depend on it
	Attributes Attributes
	Opset      int // the version of the domain's operator set that the model imports
	NumInputs  int // including omitted ones
	NumOutputs int // up to the last one in use; 0 means the operator's minimum
}

// Op is an operator with its attributes bound. It is immutable and safe for
// concurrent use.
type Op interface {
	// Infer returns the types of the node's outputs for the given inputs, or an
	// error when the inputs cannot be computed. An omitted optional input is nil.
	Infer(in []*Input) ([]Type, error)

	// Run computes the outputs. An omitted optional input is nil. Run must not
	// modify the inputs, nor keep inputs or outputs after it returns. The caller
	// has inferred the types of the outputs, using input values when types alone
	// do not determine them. out holds tensors of these types with arbitrary
	// contents: Run writes every element. If even the input values leave a size
	// unknown, the tensor is nil and Run stores a new one in out.
	Run(ctx *Context, in, out []*Tensor) error
}

// Folder is an Op whose outputs can be computed when the model is loaded.
type Folder interface {
	Op

	// Fold returns the outputs if they follow from the types and constant values
	// of the inputs with little work, and nil otherwise. Infer has accepted the
	// inputs.
	Fold(ctx *Context, in []*Input) ([]*Tensor, error)
}

// Run infers the types of an Op's outputs from its inputs, allocates the outputs
// and computes them. An omitted optional input is nil.
func Run(op Op, ctx *Context, in []*Tensor) ([]*Tensor, error) {
	if op == nil || ctx == nil {
		return nil, errors.New("ops: Run needs an Op and a Context: see NewContext")
	}
	known := make([]*Input, len(in))
	for i, x := range in {
		if x != nil {
			known[i] = &Input{Type: TypeOf(x), Const: x}
		}
	}
	types, err := op.Infer(known)
	if err != nil {
		return nil, err
	}
	out := make([]*Tensor, len(types))
	for i, t := range types {
		if shape, ok := t.Sizes(); ok {
			if out[i], err = Zeros(t.DType, shape); err != nil {
				return nil, err
			}
		}
	}
	return out, op.Run(ctx, in, out)
}

// Input describes an input of a node before a run.
type Input struct {
	Type
	Const *Tensor // the value, if the input is a constant of the graph
}

// Type is the element type and shape of a value. The zero Type means that nothing
// is known, not even the rank. Infer may return it; an Input never has it.
type Type struct {
	DType DType
	Shape []Dim
}

// Dim is a dimension: a size of at least 0, or unknown (-1) until a run, with
// an optional symbolic name.
type Dim struct {
	Size   int
	Symbol string
}

// Known reports whether the size is known.
func (d Dim) Known() bool { return d.Size >= 0 }

func (d Dim) String() string {
	switch {
	case d.Size >= 0:
		return fmt.Sprint(d.Size)
	case d.Symbol != "":
		return d.Symbol
	}
	return "?"
}

// Dims returns known dimensions of the given sizes; a negative size makes an
// unknown one.
func Dims(sizes ...int) []Dim {
	d := make([]Dim, len(sizes))
	for i, s := range sizes {
		d[i] = Dim{Size: max(s, -1)}
	}
	return d
}

func (t Type) String() string {
	if t.DType == 0 {
		return "unknown"
	}
	s := make([]string, len(t.Shape))
	for i, d := range t.Shape {
		s[i] = d.String()
	}
	return fmt.Sprintf("%v(%s)", t.DType, strings.Join(s, ", "))
}

// Sizes returns the sizes of the dimensions, false when not all are known.
func (t Type) Sizes() (shape []int, known bool) {
	shape = make([]int, len(t.Shape))
	for i, d := range t.Shape {
		if !d.Known() {
			return nil, false
		}
		shape[i] = d.Size
	}
	return shape, true
}

// Check reports whether a tensor is of type t: same element type, same rank,
// same size wherever t's is known.
func (t Type) Check(x *Tensor) error {
	ok := x.DType() == t.DType && len(x.Shape()) == len(t.Shape)
	for i := 0; ok && i < len(t.Shape); i++ {
		ok = !t.Shape[i].Known() || t.Shape[i].Size == x.Shape()[i]
	}
	if !ok {
		return fmt.Errorf("%w: want %v, got %v", ErrShape, t, TypeOf(x))
	}
	return nil
}

// TypeOf returns the type of a tensor.
func TypeOf(x *Tensor) Type {
	return Type{DType: x.DType(), Shape: Dims(x.Shape()...)}
}
