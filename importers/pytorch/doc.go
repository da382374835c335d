// Package pytorch reads and writes networks of PyTorch-SbS, the implementation of
// Spike-By-Spike networks in PyTorch by the University of Bremen.
//
// # Folders
//
// PyTorch-SbS keeps a network in a folder: one .npy file per array, and a configuration
// in JSON. There are two forms, which are called dialect 1 and dialect 2. PyTorch-SbS of January
// 2023 and of July 2023, its last state, use the same form, but differ in the layers that they
// have and in the meaning of some keys:
//
//	mynet/
//	  network.json  dataset.json  def.json     dialect 2 (2023)
//	  mynet.json                               or dialect 1 (May 2022): one file, any name
//	  Weights/Weight_L0_S199.npy  Bias_L3_S199.npy  Mean_L1_S199.npy
//	  EpsXY/EpsXY_L0_S199.npy                  dialect 1 only
//
// In the name of an array, L is followed by the layer, counted from 0 over all layers,
// and S by the training step. The configuration describes the layers, the number and
// effect of the spikes, and the training. docs/pytorch-format.md lists all keys and
// rules, and the differences.
//
// # Reading
//
// [Load] reads a trained network. Its [Report] names the files and the training step that
// were read, what was assumed where the files leave something open, and contains a warning about
// every problem that was tolerated:
//
//	n, report, err := pytorch.Load(pytorch.Options{Weights: "mynet/Weights"})
//
// The result is a convert.Network, which convert.ToONNX turns into a model. NewNetwork
// makes an untrained network from a configuration alone, and NewLastLayer a network with an
// untrained last layer for other classes. TrainingOf returns the training
// configuration of a network. A model stores it, so TrainingOf also works for a network
// from convert.FromONNX.
//
// # Writing
//
// Save writes a network as a folder that PyTorch-SbS and Load read. Arrays that have not
// changed get the bytes of the files they were read from. CheckSave finds out in advance
// whether Save can succeed.
//
// # What is checked
//
// No file is trusted. Anything that is missing, contradictory, out of its range or not a
// finite number is an error, which names the file, the layer and the key, and says what
// to do. This is stricter than PyTorch-SbS, which continues with random weights if a file
// is missing. All errors of this package start with "pytorch: ". Use errors.Is to
// recognize ErrNoConfiguration, ErrMissing and ErrUnsupported.
//
// # Ownership
//
// Networks and reports belong to the caller. Save and TrainingOf do not change the
// network that they are given. The functions may be called concurrently, except that
// two calls of Save must not write to the same folder.
package pytorch
