// Package train trains Spike-By-Spike networks, as PyTorch-SbS does, and networks of
// convolutions and other standard layers.
//
// # Training a model
//
// A [Trainer] trains a model that package convert has written. It finds the parameters of
// the layers by the names of the nodes: weights, biases, epsilon_xy, and the running means
// of on/off splits. [Config] selects the parameters to train, the loss, the optimizer and
// the learning rates. Its zero value trains every layer.
//
// [Trainer.Step] computes the outputs and the gradients for one sub-batch of images. After
// Config.SubBatches calls of Step, an update changes the parameters, and Result.Update is
// set:
//
//	t, err := train.Open("model.onnx", train.Config{RateW: 0.03, SubBatches: 4})
//	if err != nil {
//		return err
//	}
//	defer t.Close()
//	for _, batch := range batches {
//		result, err := t.Step(ctx, batch)
//		if err != nil {
//			return err
//		}
//		if u := result.Update; u != nil {
//			fmt.Println(u.Number, u.LossPerImage)
//		}
//	}
//	return t.Save("trained.onnx")
//
// Config.Noise adds noise to the images, so that the trained model copes better with it.
//
// [Trainer.Fit] is such a loop. [Trainer.Save], [Trainer.Bytes] and [Trainer.Model] return or
// write the trained model, at any time.
//
// # Dialects
//
// There are two versions of PyTorch-SbS, called dialect 1 (May 2022) and dialect 2
// (January 2023). Config.Dialect selects the kind of update. In dialect 1, an update adds
// a step to W and epsilon_xy of the SbS layers. In dialect 2, it multiplies W by a factor
// and does not change epsilon_xy. In both dialects, an update then raises small parameters
// of SbS layers to a lower limit, and normalizes W so that the weights of every neuron sum
// to 1. An update adds a step to the parameters of all other layers. The documentation of
// package ops/sbs contains the formulas of the gradients.
//
// # Resuming
//
// [Trainer.State] returns the complete state of the training, and [Trainer.Restore] sets it.
// A training that was interrupted and resumed gives the same bits as an uninterrupted one.
// The number of workers and the processor do not affect the result either: a training can
// resume on another machine.
//
// # Training on several machines
//
// An update is defined by the gradients of its sub-batches, each computed on its own, and their sum in
// the order of the sub-batches, in float32. It does not matter who computes them: [Trainer.Gradient]
// computes the gradient of one sub-batch from a [Trainer.Snapshot] of another Trainer, and
// [Trainer.Add] makes an update of them, with the bits of Step.
//
// # Ownership and concurrency
//
// A Trainer is not safe for concurrent use. The models, bytes and states that it returns
// belong to the caller. The caller must not modify a Batch until Step returns. Close ends
// the goroutines of the Trainer.
//
// # Errors
//
// Errors about a file or bytes that are not a valid model wrap runtime.ErrModel. Errors
// about a model that cannot be trained, or about a Config, wrap [ErrTrain]. Errors about a
// Batch wrap runtime.ErrInput. The error of a Step whose loss is NaN or infinite wraps
// [ErrDiverged]. A Step that fails changes nothing. Update.Faults names the layers that did not
// learn in an update.
package train
