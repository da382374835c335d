// Package ops says what an operator is: how a node of an ONNX graph becomes
// something that infers shapes and computes. The operators themselves are in
// the packages below it: ops/sbs (Spike-By-Spike) and ops/std (standard ONNX).
package ops

import (
	"context"
	"fmt"
	"strings"

	"github.com/spike-by-spike/sbs/internal/parallel"
)

// Operator describes one operator of one domain.
type Operator struct {
	Domain     string // "" for ai.onnx
	Name       string // ONNX op_type
	MinInputs  int
	MaxInputs  int // Variadic for any number
	MinOutputs int
	MaxOutputs int // Variadic for any number

	// New checks a node's attributes and returns what computes it. Errors need
	// not name the node: the caller does.
	New func(n Node) (Op, error)
}

// Variadic as Operator.MaxInputs or MaxOutputs means that there is no upper limit.
const Variadic = -1

// Node is what New needs to know of a graph node.
type Node struct {
	Name       string // what tells nodes apart that draw random numbers
	Attributes Attributes
	Opset      int // the opset version that the model imports for the domain
	NumInputs  int // including omitted ones
	NumOutputs int // those that the node has, from the first; 0 means the fewest
}

// Op is an operator with its attributes bound. It is immutable and safe for
// concurrent use.
type Op interface {
	// Infer returns the types of the node's outputs for the given inputs, or an
	// error when the inputs cannot be computed. An omitted optional input is nil.
	Infer(in []*Input) ([]Type, error)

	// Run computes the outputs. An omitted optional input is nil. Inputs are
	// never modified. The caller has inferred the types of the outputs, from the
	// values of the inputs too when nothing less will do, and out holds tensors
	// of these types, of any content: Run writes every element. Only where even
	// the values leave a size unknown is the tensor nil, and Run puts one there.
	Run(ctx *Context, in, out []*Tensor) error
}

// Folder is an Op whose outputs can be known when the model is loaded.
type Folder interface {
	Op

	// Fold returns the outputs when they follow from what is known of the inputs
	// and are little work, and nil otherwise. Infer has accepted the inputs.
	Fold(ctx *Context, in []*Input) ([]*Tensor, error)
}

// Run infers the types of an Op's outputs from its inputs, makes the outputs and
// computes them.
func Run(op Op, ctx *Context, in []*Tensor) ([]*Tensor, error) {
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

// Input is what is known of an input before a run.
type Input struct {
	Type
	Const *Tensor // the value, when it is a constant of the graph
}

// Type is the element type and shape of a value. The zero Type is that of a value
// of which nothing is known before a run, not even the rank; Infer may return it.
// No Input is of it.
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

// Context is what an Op may use during one run. It is a context.Context:
// long computations stop early once it is done.
type Context struct {
	context.Context

	// Pool runs the parallel loops. Results must not depend on its size.
	Pool *parallel.Pool

	// Seed selects the random numbers of the run, and FirstImage is the number
	// of the first entry of the batch in the caller's stream of images: image i
	// draws the same numbers in whichever batch it comes.
	Seed       uint64
	FirstImage uint64

	// Spikes or Uniforms, when not nil, replace the random numbers of the node
	// that is running. Which shape they have is the operator's to say.
	Spikes   *Tensor
	Uniforms *Tensor

	scratch any // see Scratch
}

// Scratch returns what a node keeps from run to run: a T that is zero at first.
// One run at a time has it. It is dropped when a type of an input or output is
// another than at the run before, or a value that the types of the outputs follow
// from.
func Scratch[T any](c *Context) *T {
	s, ok := c.scratch.(*T)
	if !ok {
		s = new(T)
		c.scratch = s
	}
	return s
}

// Do calls body on consecutive parts of [0, n) as For does. A body that is kept
// in the Scratch costs no allocation.
func (c *Context) Do(n, grain int, body parallel.Loop) error {
	return c.Pool.Do(c.Context, n, grain, body)
}

// For calls body on consecutive parts of [0, n) from several goroutines, at
// most grain indices a call, and returns the first error of body, or the
// context's error when it is done before all parts have run.
func (c *Context) For(n, grain int, body func(lo, hi int) error) error {
	return c.Pool.For(c.Context, n, grain, body)
}
