// Package runtime runs ONNX models: Spike-By-Spike networks that sbs-convert has
// written, and networks of standard operators. It is pure Go.
//
//	model, err := runtime.Open("model.onnx")
//	...
//	defer model.Close()
//	image, err := runtime.NewTensor([]int{1, 1, 28, 28}, pixels) // pixels from 0 to 1
//	...
//	out, err := model.Run(ctx, map[string]*runtime.Tensor{"image": image})
//	...
//	fmt.Println(out["probabilities"].Float32s())
//
// Package classify turns images into classes with a model, which is all that many
// programs need. Package train trains models.
//
// # Options
//
// An [Option] sets how a model is loaded, and a [RunOption] sets one run. Those that
// change Spike-By-Spike layers are both: [Spikes], [WithSampler], [Epsilon0],
// [EpsilonSchedule], and [Layer] for a single layer.
//
//	model, err := runtime.Open("model.onnx", runtime.Workers(2))
//	...
//	out, err := model.Run(ctx, inputs, runtime.Spikes(100), runtime.Layer("L0", runtime.Dynamics{Spikes: 25}))
//
// The zero value of an option means the default. A value out of range, or one that the
// model cannot follow, is an error that wraps [ErrOption].
//
// # Results
//
// What Run computes depends on the model, the inputs, the options that change layers,
// and the seed and number of each image: see [Seed] and [FirstImage]. It does not
// depend on the number of workers, nor on how images are grouped into batches.
//
// # Ownership
//
// A Model never changes. Run does not modify its inputs, and the caller must not modify
// them until Run returns. The outputs belong to the caller: they share memory neither
// with the model nor with the inputs nor with each other.
//
// # Concurrency
//
// A Model is safe for concurrent use. A Run computes in the goroutine of its caller and
// in up to Workers-1 goroutines of the model, which start when a run first needs them
// and which all runs of the model share. [Model.Close] ends them.
//
// # Memory
//
// A Model keeps its weights, in the form of the file and in the form that the inner
// loops need, and the buffers of its last runs; it does not keep the bytes of the file.
// [MemoryLimit] bounds the values of a run.
package runtime
