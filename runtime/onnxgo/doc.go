// Package onnxgo is a backend of github.com/owulveryck/onnx-go that runs models with
// package runtime. It is meant for programs that use onnx-go and the tensors of
// gorgonia.org/tensor:
//
//	backend := onnxgo.New()
//	model := onnx.NewModel(backend)
//	err := model.UnmarshalBinary(data)
//	...
//	err = model.SetInput(0, image) // a *tensor.Dense with pixels from 0 to 1
//	...
//	err = backend.Run()
//	...
//	out, err := model.GetOutputTensors()
//
// [Backend.Decode] replaces the second and third lines for files that onnx-go may not
// support: Decode returns an error where onnx-go panics or ignores an essential part of
// the file.
//
// Other programs should use package runtime. This package links gorgonia, and onnx-go does
// not pass on everything in a file:
//
//   - The version of the operator set is missing. The package assumes 17, the version of
//     the files of this module, unless Decode reads the version from the file.
//   - The domains of operators are missing. The package takes operators with the names of
//     the operators of this module, such as SbS, for these, and every other operator for a
//     standard operator. Decode refuses files for which this is wrong.
//   - The names of nodes are missing. In errors and in runtime.InjectSpikes, a node has
//     the name of its first output instead, such as "L0" for "L0/SbS". A standard operator
//     without a seed derives its random numbers from this name, so they differ from the
//     random numbers in package runtime. The random numbers of SbS nodes, and of
//     other nodes of this module, are the same.
//   - Symbolic dimensions are missing. The shapes of the inputs decide: a model with a
//     symbolic batch takes batches of any size. The model is compiled again whenever the
//     shape of an input differs from its shape in the previous run.
//   - The metadata and the functions are missing. Of a model with stages, the last stage
//     runs.
//
// onnx-go refuses subgraphs. It therefore refuses the operators Loop, If and Scan, and the
// files that package convert makes with BodyInline. It also refuses constants that are
// empty, bool constants that are stored as bytes, and constants of types other than
// float32, float64, int32, int64 and bool. For some of these files, UnmarshalBinary panics
// and Decode returns an error.
package onnxgo
