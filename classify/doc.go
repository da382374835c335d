// Package classify classifies images with an ONNX model: a Spike-By-Spike network that
// sbs-convert wrote, or another model that takes a batch of images and returns one
// vector per image.
//
//	c, err := classify.Open("model.onnx", classify.Resize())
//	...
//	defer c.Close()
//	results, err := c.Images(ctx, img) // img is an image.Image
//	...
//	fmt.Println(results[0].Name, results[0].Probability)
//
// [Classifier.OpenFiles] reads the images of files and folders, with their labels, and
// [Classifier.All] classifies them batch by batch. [Classifier.Run] takes tensors.
//
// Pictures that are dark on light are inverted if the model learned light on dark, and the
// other way round: see [Invert]. Transparent pixels are put on white. [DecodeImage] and
// [Classifier.OpenFiles] turn images as their orientation tag says; image.Decode does not.
//
// # Models
//
// The model has one input, float32 (batch, channels, height, width), for pixels from 0
// to 1 in 1 or 3 channels. Its output is float32 (batch, classes). An output with the
// name "probabilities" is used unchanged, and softmax is applied to an output with the
// name "logits". Any other output is used unchanged if its values are not negative and
// sum to 1; otherwise softmax is applied. If a model has several outputs, [Output]
// chooses one. Without this option, one of the outputs must have one of these two names.
//
// A model may have stages, from few spikes to many: see runtime.Stage. An image leaves at the
// first stage whose two most probable classes are far enough apart. [Result] has the stage of
// the image and the number of its spike updates. The option [Stage] chooses one stage.
//
// # Random numbers
//
// Spike-By-Spike layers draw random spikes. The result for an image depends on the
// pixels, the seed (see [Seed]) and the number of the image, which is its index in the
// call or in the files. It does not depend on the number of workers, the batch size or the
// processor. The same is true of the random numbers of [Noise].
//
// # Ownership and concurrency
//
// A Classifier is safe for concurrent use. Results belong to the caller. [Classifier.Close]
// ends the goroutines of the Classifier.
//
// # Errors
//
// Errors of the model wrap the errors of package runtime, such as runtime.ErrOption. An
// image in a file that cannot be classified does not end [Classifier.All]: the error is in
// its [FileResult].
package classify
