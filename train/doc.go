// Package train trains Spike-By-Spike networks, as PyTorch-SbS does, and networks of
// convolutions and other standard layers.
//
// # Training a model
//
// A Trainer trains a model that package convert has written. It finds the parameters of
// the layers by the names of the nodes: weights, biases, epsilon_xy, and the running means
// of on/off splits. Config selects the parameters to train, the loss, the optimizer and
// the learning rates. Its zero value trains every layer.
//
// Step computes the outputs and the gradients for one sub-batch of images. After
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
// Fit is such a loop. Save, Bytes and Model give the trained model at any time.
//
// # Dialects
//
// PyTorch-SbS has two dialects, and Config.Dialect selects the kind of update. In dialect
// 1, an update adds a step to W and epsilon_xy of the SbS layers. In dialect 2, it
// multiplies W by a factor and does not change epsilon_xy. In both dialects, an update
// then raises small parameters of SbS layers to a lower limit, and normalizes W so that
// the weights of every neuron sum to 1. An update adds a step to the parameters of all
// other layers. The documentation of package ops/sbs contains the formulas of the
// gradients.
//
// # Resuming
//
// State returns the complete state of the training, and Restore sets it. A training that
// was interrupted and resumed gives the same bits as an uninterrupted one. The number of
// workers does not affect the result either.
//
// # Errors
//
// Errors about a file or bytes that are not a valid model wrap runtime.ErrModel. Errors
// about a model that cannot be trained, or about a Config, wrap ErrTrain. Errors about a
// Batch wrap runtime.ErrInput. A Step that fails changes nothing.
package train
