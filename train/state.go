package train

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/runtime"
)

// trainerState is the state between two calls of Step, except for the parameters and
// their moments. The fields are exported for gob.
type trainerState struct {
	Images     uint64 // number of images so far, which is the number of the next image
	Updates    int    // number of updates so far
	SubBatches int    // of the update in progress

	UpdateLoss, UpdateLossSum   float64 // sums over the sub-batches and over the images
	UpdateImages, UpdateCorrect int

	EpochLoss                 float64 // sum over the updates of the epoch, with ScheduleByEpoch
	EpochImages, EpochCorrect int

	Rates         [2]rate   // of weights and epsilon_xy
	Scales        []float32 // largest absolute value of the incoming gradient, by step; -1 means not measured
	Contributions []int64   // number of contributions to the gradient of the weights, by step
}

// Position is the progress of a training.
type Position struct {
	Images     uint64 // number of images so far
	Updates    int    // number of updates so far
	SubBatches int    // number of sub-batches of the update in progress
}

// Position returns the progress of the training. After Restore, the caller must continue
// with the batch that follows this position.
func (t *Trainer) Position() Position {
	if t == nil {
		return Position{}
	}
	return Position{t.state.Images, t.state.Updates, t.state.SubBatches}
}

// savedTrainer is the encoded form of a Trainer.
type savedTrainer struct {
	Config string // its digest
	State  trainerState
	Params []savedParam
}

type savedParam struct {
	Name       string
	Value, Sum []float32
	Moments    moments
}

// State returns the state of the training: parameters, moments of the optimizer, learning
// rates, the gradient sums of an unfinished update, and the position in the random
// numbers. A training that resumes from it with Restore gives the same bits as an
// uninterrupted one.
func (t *Trainer) State() ([]byte, error) {
	if !t.made() {
		return nil, errNoTrainer
	}
	digest, err := t.config.digest()
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	s := savedTrainer{Config: digest, State: t.state}
	for _, p := range t.params {
		s.Params = append(s.Params, savedParam{p.name, p.value.Float32s(), p.sum, p.moments})
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return b.Bytes(), nil
}

// Restore sets the state to one that State has returned, of a Trainer with the same model
// and Config. If Restore returns an error, the Trainer is unchanged.
func (t *Trainer) Restore(state []byte) error {
	if !t.made() {
		return errNoTrainer
	}
	var s savedTrainer
	if err := gob.NewDecoder(bytes.NewReader(state)).Decode(&s); err != nil {
		return fmt.Errorf("train: %w: the state is damaged or not a state of a Trainer", ErrTrain)
	}
	if err := t.checkSaved(&s); err != nil {
		return fmt.Errorf("train: %w: %w", ErrTrain, err)
	}
	t.state = s.State
	for i, p := range t.params {
		copy(p.value.Float32s(), s.Params[i].Value)
		copy(p.sum, s.Params[i].Sum)
		p.moments = s.Params[i].Moments
	}
	return nil
}

func (t *Trainer) checkSaved(s *savedTrainer) error {
	if n := len(t.program.Main.Steps); len(s.Params) != len(t.params) || len(s.State.Scales) != n || len(s.State.Contributions) != n {
		return fmt.Errorf("the state belongs to another model or Config: the state has %d trained tensors and %d nodes, the model has %d and %d",
			len(s.Params), len(s.State.Scales), len(t.params), n)
	}
	if st := s.State; st.Updates < 0 || st.SubBatches < 0 || st.SubBatches >= t.config.SubBatches || st.UpdateImages < 0 {
		return fmt.Errorf("the state belongs to another Config or is damaged: it is at update %d, sub-batch %d of %d", st.Updates, st.SubBatches, t.config.SubBatches)
	}
	if digest, err := t.config.digest(); err != nil || digest != s.Config {
		return errors.New("the state belongs to another Config")
	}
	for i, p := range t.params {
		q := s.Params[i]
		moments := 0
		if q.Moments.First != nil {
			moments = len(p.sum)
		}
		if q.Name != p.name || len(q.Value) != len(p.sum) || len(q.Sum) != len(p.sum) ||
			len(q.Moments.First) != moments || len(q.Moments.Second) != moments || q.Moments.Steps < 0 {
			return fmt.Errorf("the state belongs to another model or Config: the state has %q with %d elements, the model has %q with %d",
				q.Name, len(q.Value), p.name, len(p.sum))
		}
	}
	return nil
}

// Bytes returns the ONNX file of the model with its current parameters and with the
// Dynamics and Layers of the Config.
func (t *Trainer) Bytes() ([]byte, error) {
	if !t.made() {
		return nil, errNoTrainer
	}
	pb, err := onnx.Unmarshal(context.Background(), t.source)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	trained := map[string]*param{}
	for _, p := range t.params {
		trained[p.name] = p
	}
	list := pb.GetGraph().GetInitializer()
	for i, old := range list {
		if p := trained[old.GetName()]; p != nil {
			list[i] = onnx.Float32Tensor(p.name, p.value.Shape(), p.value.Float32s())
			list[i].DocString = old.GetDocString()
		}
	}
	data, err := onnx.MarshalStamped(pb)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	return data, nil
}

// Save writes the result of Bytes to a file. It replaces an existing file atomically.
func (t *Trainer) Save(path string) error {
	data, err := t.Bytes()
	if err != nil {
		return err
	}
	if err := onnx.WriteFile(path, data); err != nil {
		return fmt.Errorf("train: %w", err)
	}
	return nil
}

// Model returns a runtime.Model with the current parameters. Later steps do not change
// it.
func (t *Trainer) Model(opts ...runtime.Option) (*runtime.Model, error) {
	data, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	return runtime.New(data, append([]runtime.Option{runtime.WithOperators(t.config.Operators...)}, opts...)...)
}
