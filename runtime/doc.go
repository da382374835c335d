// Package runtime executes ONNX models: Spike-By-Spike networks as sbs-convert
// writes them, and networks of the standard operators in ops/std. It is pure
// Go.
//
//	model, err := runtime.Open("model.onnx")
//	...
//	image, err := runtime.NewTensor([]int{1, 1, 28, 28}, pixels) // pixels 0..1
//	...
//	out, err := model.Run(ctx, map[string]*runtime.Tensor{"image": image})
//	...
//	fmt.Println(out["probabilities"].Float32s())
//
// A Tuner goes on training a model, as PyTorch-SbS does it:
//
//	tuner, err := runtime.NewTuner(model, runtime.TuneConfig{RateW: 0.01, FreezeW: []string{"L0"}})
//	...
//	for _, b := range batches {
//		result, err := tuner.Step(ctx, runtime.Batch{Images: b.Images, Labels: b.Labels})
//		...
//	}
//	onnx, err := tuner.Bytes()
//
// A Model is immutable and safe for concurrent use. What Run computes depends on
// the model, the inputs, the seed and the number of the first image, and not on
// the number of workers or on how images are put into batches: see Seed and
// FirstImage.
package runtime
