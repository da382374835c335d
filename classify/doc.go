// Package classify classifies images with an ONNX model: a Spike-By-Spike network that
// sbs-convert has written, or another model that takes a batch of images and gives one
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
// # Models
//
// The model has one input, float32 (batch, channels, height, width), for pixels from 0
// to 1 in 1 or 3 channels. Its output is float32 (batch, classes). An output that is
// named "probabilities" is taken as it is, and one that is named "logits" goes through
// the softmax function. Any other output is taken as probabilities if it is not negative
// and sums to 1, and goes through the softmax function otherwise. If a model has several
// outputs, [Output] chooses one; without it, one of these two names must be among them.
//
// # Random numbers
//
// Spike-By-Spike layers draw random spikes. The result for an image depends on the
// pixels, the seed (see [Seed]) and the number of the image: its index in the call or in
// the files. It does not depend on the number of workers, nor on batches.
//
// # Concurrency
//
// A Classifier is safe for concurrent use.
package classify
