package training

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/tfevents"
	"github.com/spike-by-spike/sbs/internal/trainlog"
	"github.com/spike-by-spike/sbs/ops"
)

// recorder writes the metrics as JSON and as event files for TensorBoard.
type recorder struct {
	places  places
	metrics *trainlog.Metrics
	events  *tfevents.Writer
	repairs []string // what was damaged in the log, and was removed
}

// newTraining is the number of the last update for newRecorder if the training is new. A
// training can resume after update 0.
const newTraining = -1

// newRecorder opens the logs of a training, which continues after update last.
func newRecorder(j *job, last int) (*recorder, error) {
	r := &recorder{places: j.places}
	var err error
	if r.metrics, err = trainlog.OpenMetrics(j.places.metrics(), int64(last)); err != nil {
		return nil, err
	}
	if repairs := r.metrics.Repairs(); repairs != "" {
		r.repairs = append(r.repairs, j.places.metrics()+": "+repairs)
	}
	events, err := tfevents.Repair(j.places.log)
	if err != nil {
		return nil, errors.Join(err, r.metrics.Close())
	}
	r.repairs = append(r.repairs, events...)
	if r.events, err = tfevents.Create(j.places.log, int64(last)+1); err != nil {
		return nil, errors.Join(err, r.metrics.Close())
	}
	return r, nil
}

// last returns the last record, or the zero value if there is none.
func (r *recorder) last() trainlog.Record {
	if all := r.metrics.Records(); len(all) > 0 {
		return all[len(all)-1]
	}
	return trainlog.Record{}
}

// update records an update, in TensorBoard with the tags of PyTorch-SbS.
func (r *recorder) update(u trainlog.Record) error {
	if err := r.metrics.Append(u); err != nil {
		return err
	}
	for _, v := range []struct {
		tag   string
		value *float64
	}{
		{"Train Error", u.TrainError}, {"Train Loss", &u.Loss}, {"Test Error", u.TestError},
		{"Test Error", u.TestLoss}, // PyTorch-SbS uses the same tag
		{"Learning Rate Scale WF", u.LearningRateW}, {"Learning Rate Scale Eps XY", u.LearningRateEpsilonXY},
	} {
		if v.value == nil {
			continue
		}
		if err := r.events.Scalar(u.Update, v.tag, *v.value); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("update %d, epoch %d: loss %.6g", u.Update, u.Epoch, u.Loss)
	if u.TrainError != nil {
		text += fmt.Sprintf(", accuracy %.2f%%", 100-*u.TrainError)
	}
	text += fmt.Sprintf(", %.1f s", u.Seconds)
	if u.TestError != nil {
		text += fmt.Sprintf(", test accuracy %.2f%%", 100-*u.TestError)
	}
	if u.TestLoss != nil {
		text += fmt.Sprintf(", test loss %.6g", *u.TestLoss)
	}
	return r.events.Text(u.Update, "Log", text)
}

// values records histograms of all weights and epsilon_xy.
func (r *recorder) values(update int64, n *convert.Network) error {
	var errs []error
	add := func(tag string, i int, values []float32) {
		errs = append(errs, r.events.Histogram(update, fmt.Sprintf("%s Layer %d", tag, i), values))
	}
	convolution := func(i int, weights, bias *ops.Tensor) {
		add("Weights", i, weights.Float32s())
		if bias != nil {
			add("Bias", i, bias.Float32s())
		}
	}
	for i, l := range n.Layers {
		switch l := l.(type) {
		case *convert.SbS:
			if !l.Pooling {
				add("Weights", i, l.Weights.Float32s())
			}
			if l.EpsilonXY != nil {
				add("Epsilon XY", i, l.EpsilonXY.Float32s())
			}
		case *convert.NNMF:
			add("Weights", i, l.Weights.Float32s())
		case *convert.Conv:
			convolution(i, l.Weights, l.Bias)
		case *convert.ApproxConv:
			convolution(i, l.Weights, l.Bias)
		}
	}
	return errors.Join(errs...)
}

func (r *recorder) sync() error { return errors.Join(r.metrics.Sync(), r.events.Flush()) }

// curves draws the curves, if there are records.
func (r *recorder) curves(title string) error {
	if len(r.metrics.Records()) == 0 {
		return nil
	}
	return trainlog.WriteCurves(r.places.curves(), title, r.metrics.Records())
}

func (r *recorder) close() error { return errors.Join(r.metrics.Close(), r.events.Close()) }

// trained returns the network with its current parameters and with the crop.
func (s *session) trained() (*convert.Network, error) {
	data, err := s.trainer.Bytes()
	if err != nil {
		return nil, err
	}
	n, err := convert.FromONNX(data)
	if err != nil {
		return nil, err
	}
	n.Input, n.Preprocessing.Crop = s.network.Input, s.network.Preprocessing.Crop
	n.Step = s.start() + s.step()
	return n, nil
}

// saveOptions returns the options for saving the arrays.
func (j *job) saveOptions() pytorch.SaveOptions {
	return pytorch.SaveOptions{Force: j.force, ArraysOnly: !j.places.configuration, EpsilonXYFolder: j.places.epsilonXY, Order: j.places.order}
}

// save writes the model and, if the training follows a configuration, the arrays.
func (s *session) save() error {
	n, err := s.trained()
	if err != nil {
		return err
	}
	if s.places.weights != "" {
		if _, err := pytorch.Save(s.places.weights, n, s.saveOptions()); err != nil {
			return err
		}
		// The next save changes the last step in the configuration that this one wrote.
		s.force = s.force || s.places.configuration
	}
	data, err := s.encode(n)
	if err != nil {
		return err
	}
	if err := s.writeModel(data); err != nil {
		return err
	}
	s.at.Saved = s.at.SubBatches
	return s.out.values(int64(s.at.SubBatches/s.subBatches), n)
}

// encode returns the model to write.
func (s *session) encode(n *convert.Network) ([]byte, error) {
	return convert.ToONNX(n, convert.Options{Batch: s.batchDim})
}

func (s *session) writeModel(data []byte) error {
	if err := os.MkdirAll(filepath.Dir(s.places.model), 0o755); err != nil {
		return err
	}
	if err := onnx.WriteFile(s.places.model, data); err != nil {
		return fmt.Errorf("cannot write the model: %w", err)
	}
	return nil
}

// trainsW reports whether a layer has weights that are trained.
func (j *job) trainsW() bool {
	return j.trains(j.config.FreezeW, func(l convert.Layer) bool { return weightsOf(l).trained() })
}

// trainsEpsilonXY reports whether a layer has an epsilon_xy that is trained.
func (j *job) trainsEpsilonXY() bool {
	return j.config.Dialect == 1 && j.trains(j.config.FreezeEpsilonXY, func(l convert.Layer) bool {
		layer, ok := l.(*convert.SbS)
		return ok && layer.EpsilonXY != nil
	})
}

func (j *job) trains(frozen []string, has func(convert.Layer) bool) bool {
	for i, l := range j.network.Layers {
		if has(l) && !slices.Contains(frozen, layerName(i)) {
			return true
		}
	}
	return false
}

// laterWeights returns an array file of a later step than the given one, or "" if there is none. A
// training that ends at the given step cannot have written such a file. Arrays of another order
// belong to another network; Save refuses them if they cannot share the folder.
func (j *job) laterWeights(step int) (string, error) {
	entries, err := os.ReadDir(j.places.weights)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		s, order, ok := pytorch.ParseName(e.Name())
		if ok && order == j.places.order && s > step {
			return filepath.Join(j.places.weights, e.Name()), nil
		}
	}
	return "", nil
}
