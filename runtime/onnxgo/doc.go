// Package onnxgo is a backend of github.com/owulveryck/onnx-go that runs models with
// package runtime, for programs that are written for onnx-go and gorgonia tensors:
//
//	backend := onnxgo.New()
//	model := onnx.NewModel(backend)
//	err := model.UnmarshalBinary(data)
//	...
//	err = model.SetInput(0, image) // a *tensor.Dense, pixels 0..1
//	...
//	err = backend.Run()
//	...
//	out, err := model.GetOutputTensors()
//
// Any other program does better with package runtime itself: this package links
// gorgonia, and gets to see what onnx-go lets through of a file:
//
//   - No version of the operator set: 17 is assumed, that of the files of this module,
//     or what [Backend.Decode] finds in the file.
//   - No operator's domain: SbS is that of this module, anything else a standard
//     operator. Decode refuses what this would be wrong for.
//   - No names of nodes: errors, and runtime.InjectSpikes, have the name of a
//     node's first output in their place, "L0" for "L0/SbS". So have the random numbers
//     of a standard operator without a seed: they are other ones than those of
//     package runtime. Those of SbS nodes are the same.
//   - No symbolic dimensions: the shapes of the tensors given are what counts. A model
//     with an open batch takes batches of any size, and is compiled again where the
//     size is another than the time before.
//
// onnx-go itself refuses subgraphs (Loop, If, Scan, and so the files that
// convert.BodyInline makes), and constants that are empty, of bool stored as bytes, or of
// anything but float32, float64, int32, int64 and bool. For some of this UnmarshalBinary
// panics; Decode does not.
package onnxgo
