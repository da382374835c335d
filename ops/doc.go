// Package ops defines the operators of an ONNX graph: how a node infers the types of
// its outputs and how it computes them. Package ops/std has the standard operators of
// ONNX, and package ops/sbs the Spike-By-Spike operator.
//
// # Tensors
//
// A [Tensor] holds the elements of a value. Its documentation says which function
// shares memory and who may modify a tensor at what time.
//
// # Operators
//
// An [Operator] describes one operator of a domain. Its New checks the attributes of a
// node and returns an [Op], which infers and computes:
//
//	square := ops.Operator{
//		Domain: "example.com", Name: "Square",
//		MinInputs: 1, MaxInputs: 1, MinOutputs: 1, MaxOutputs: 1,
//		New: func(ops.Node) (ops.Op, error) { return squareOp{}, nil },
//	}
//	model, err := runtime.Open("model.onnx", runtime.WithOperators(square))
//
// The option runtime.WithOperators adds operators to a model or replaces built-in
// ones. An Op that also implements [Differentiable] can be trained through, and one
// that implements [Folder] can be computed when the model is loaded.
//
// [Run] runs a single Op, with a [Context] from [NewContext]. Package ops/opstest
// checks that an operator keeps the contract of Op.
package ops
