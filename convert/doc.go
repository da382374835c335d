// Package convert describes Spike-By-Spike (SbS) networks and converts them to ONNX
// models and back.
//
// # Spike-By-Spike networks
//
// An SbS layer treats its input as a probability distribution over the entries of a
// patch of the image. It draws spikes from the distribution, one after the other, and
// each spike updates the output h of the layer, which has a probability per neuron. After a given number of spikes, h is the input of the next layer. Package
// ops/sbs gives the formulas and the papers. Around SbS layers, a network can have
// the usual layers: convolutions, pooling, ReLU.
//
// # The description
//
// Network describes a trained network independently of the files that it came from:
// the size of an image, the Preprocessing, the layers with their weights, and the files
// that it was read from. The layers are *SbS, *Conv, *AveragePool, *MaxPool, *ReLU, *OnOff
// and *Reconstruction. They run in the order of Network.Layers; the output of each is
// the input of the next.
//
// Importers make networks. Package importers/pytorch reads the folders of PyTorch-SbS:
//
//	n, report, err := pytorch.Load(pytorch.Options{Weights: "models/mnist/Weights"})
//	data, err := convert.ToONNX(n, convert.Options{})
//
// The bytes are a complete model file. Package runtime runs it, and so do other ONNX
// runtimes, because the file defines the SbS operator as a function of standard
// operators (see Body). To convert a model back:
//
//	n, err := convert.FromONNX(data)
//	report, err := pytorch.Save("mnist/Weights", n, pytorch.SaveOptions{})
//
// A program can also make a network itself, as the example of ToONNX shows.
//
// # What is checked
//
// Network.Check finds everything that can be known before a run: nil and missing
// values, sizes that do not fit each other, weights of SbS layers that are negative,
// NaN or infinite, parameters out of their range. ToONNX and FromONNX call it. Errors
// name the layer, counted from 0.
//
// # Ownership
//
// A Network refers to the tensors and slices that it was made of. ToONNX and the
// methods read them, copy what they need and change nothing; a network must not be
// changed while they run. The result of FromONNX shares no memory with its argument.
// Several goroutines may use one network at the same time as long as none of them
// changes it.
package convert
