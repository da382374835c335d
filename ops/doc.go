// Package ops defines the operators of an ONNX graph: how a node infers the types of
// its outputs and how it computes them. Package ops/std has the standard operators of
// ONNX, package ops/ml those of ai.onnx.ml, and package ops/sbs the Spike-By-Spike operator.
//
// # Tensors
//
// A [Tensor] holds the elements of a value. The documentation of Tensor says which
// functions share memory, and when a tensor may be modified.
//
// # Operators
//
// An [Operator] describes one operator of a domain. Its function New checks the
// attributes of a node and returns an [Op], which infers the types of the outputs and
// computes them:
//
//	square := ops.Operator{
//		Domain: "example.com", Name: "Square",
//		MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1,
//		New: func(ops.Node) (ops.Op, error) { return squareOp{}, nil },
//	}
//	model, err := runtime.Open("model.onnx", runtime.WithOperators(square))
//
// The option runtime.WithOperators adds operators to a model or replaces built-in ones.
// Gradients can pass through an Op that also implements [Differentiable]. An Op that
// implements [Folder] can be computed when the model is loaded.
//
// [Run] runs a single Op, with a [Context] from [NewContext]. Package ops/opstest
// checks that an operator keeps the contract of Op.
//
// # Concurrency
//
// An Op is immutable and safe for concurrent use. Every run needs its own Context, which
// also distributes the loops of the Op to several goroutines.
//
// # Errors
//
// Errors about attributes, shapes, element types and values wrap [ErrAttribute],
// [ErrShape], [ErrDType] and [ErrValue]. A model adds the name of the node, as a
// [NodeError].
package ops
