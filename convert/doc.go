// Package convert describes Spike-By-Spike (SbS) networks and converts them to ONNX
// models and back.
//
// # Spike-By-Spike networks
//
// An SbS layer treats its input as a probability distribution over the entries of a patch of
// the image. It draws spikes from the distribution, one after the other, and each spike
// updates the output h of the layer, which has a probability per neuron. After a given number
// of spikes, h is the input of the next layer. Package ops/sbs gives the formulas and the
// papers. Besides SbS layers, a network can have the other layers of PyTorch-SbS, such as
// non-negative matrix factorizations, and the usual ones: convolutions, pooling, ReLU.
//
// # Describing a network
//
// [Network] describes a trained network independently of the files that it came from: the
// size of an image, the [Preprocessing], the layers with their weights, and the names of the
// files. The layers are *SbS, *NNMF, *Conv, *ApproxConv, *AveragePool, *MaxPool, *ReLU, *OnOff,
// *Poisson, *SpikeImage and *Reconstruction. They run in the order of Network.Layers; the output
// of each is the input of the next.
//
// Package importers/pytorch makes networks from the folders of PyTorch-SbS, and [ToONNX]
// writes them as models:
//
//	n, report, err := pytorch.Load(pytorch.Options{Weights: "models/mnist/Weights"})
//	data, err := convert.ToONNX(n, convert.Options{})
//
// The bytes are a complete model file. Package runtime runs it, and so do other ONNX
// runtimes, because the file defines the operators of this project as functions of standard
// operators (see [Body]). [WriteFile] writes it, also if it has more than 2 GB. To convert a model back, use [FromONNX]:
//
//	n, err := convert.FromONNX(data)
//	report, err := pytorch.Save("mnist/Weights", n, pytorch.SaveOptions{})
//
// A program can also make a network itself, as the example of ToONNX shows.
//
// # Stages
//
// A model may hold several networks for the same images, from few spikes to many: [Staged].
// An image leaves at the first stage whose two most probable classes are far enough apart.
// [StagesToONNX] writes such a model, [StagesFromONNX] reads it, and [ExtractStage] returns one
// stage as an ordinary model:
//
//	s := &convert.Staged{Stages: []convert.Stage{{Network: few, Threshold: 0.95}, {Network: many}}}
//	data, err := convert.StagesToONNX(s, convert.Options{})
//
// # Checks and errors
//
// [Network.Check] finds every mistake that can be found without running the network: nil and
// missing values, sizes that do not fit each other, weights of SbS and NNMF layers that are
// negative, NaN or infinite, and parameters out of their range. ToONNX and FromONNX call Check. Errors
// name the layer, counted from 0. An error about a model that ToONNX did not write wraps
// [ErrNotConverted].
//
// # Ownership and concurrency
//
// A Network refers to the tensors and slices in its fields; it does not copy them. ToONNX and
// the methods of Network do not change a network, and their results share no memory with it.
// The result of FromONNX shares no memory with its argument. Several goroutines may use a
// network at the same time as long as no goroutine changes it.
package convert
