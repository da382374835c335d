package runtime

import (
	stdbytes "bytes"
	"encoding/gob"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/train"
)

// tuneState is what training carries from one Step to the next, weights and
// their moments aside. The fields are exported for their encoding.
type tuneState struct {
	Images     uint64 // seen so far: the number of the next image
	Updates    int    // made so far
	SubBatches int    // of the update under way

	UpdateLoss                  float64
	UpdateImages, UpdateCorrect int

	EpochLoss                 float64 // with ScheduleByEpoch: of its updates so far
	EpochImages, EpochCorrect int

	Rates         [2]train.Rate // of weights and epsilon_xy
	Scales        []float32     // of the gradients that come to each step; -1 means not measured
	Contributions []int64       // to the gradient of each step's weights
}

// Position says how far training has come.
type Position struct {
	Images     uint64 // seen so far
	Updates    int    // made so far
	SubBatches int    // of the update under way
}

// Position returns how far training has come, which after Restore says which
// batches come next.
func (t *Tuner) Position() Position {
	return Position{t.state.Images, t.state.Updates, t.state.SubBatches}
}

// savedTuner is the encoded form of a Tuner.
type savedTuner struct {
	State  tuneState
	Params []savedParam
}

type savedParam struct {
	Name       string
	Value, Sum []float32
	Moments    train.Moments
}

// State returns everything that Restore needs to go on as if there had been no
// break, bit for bit: weights, the optimizer's moments, the learning rates, the
// gradients of an unfinished update, and which random numbers come next.
func (t *Tuner) State() ([]byte, error) {
	s := savedTuner{State: t.state}
	for _, p := range t.params {
		s.Params = append(s.Params, savedParam{p.name, p.value.Float32s(), p.sum, p.moments})
	}
	var b stdbytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	return b.Bytes(), nil
}

// Restore continues from what State returned, for a Tuner of the same model and
// the same TuneConfig. After an error the Tuner is as before.
func (t *Tuner) Restore(state []byte) error {
	var s savedTuner
	if err := gob.NewDecoder(stdbytes.NewReader(state)).Decode(&s); err != nil {
		return fmt.Errorf("runtime: %w: the state cannot be read: %w", ErrTune, err)
	}
	if err := t.checkSaved(&s); err != nil {
		return fmt.Errorf("runtime: %w: %w", ErrTune, err)
	}
	t.state = s.State
	for i, p := range t.params {
		copy(p.value.Float32s(), s.Params[i].Value)
		copy(p.sum, s.Params[i].Sum)
		p.moments = s.Params[i].Moments
	}
	return nil
}

func (t *Tuner) checkSaved(s *savedTuner) error {
	if n := len(t.model.graph.steps); len(s.Params) != len(t.params) || len(s.State.Scales) != n || len(s.State.Contributions) != n {
		return fmt.Errorf("the state is of %d trained tensors in %d nodes, the model has %d in %d: it is of another model or TuneConfig",
			len(s.Params), len(s.State.Scales), len(t.params), n)
	}
	if st := s.State; st.Updates < 0 || st.SubBatches < 0 || st.SubBatches >= t.config.SubBatches || st.UpdateImages < 0 {
		return fmt.Errorf("the state is at update %d, sub-batch %d of %d", st.Updates, st.SubBatches, t.config.SubBatches)
	}
	for i, p := range t.params {
		q := s.Params[i]
		moments := 0
		if q.Moments.First != nil {
			moments = len(p.sum)
		}
		if q.Name != p.name || len(q.Value) != len(p.sum) || len(q.Sum) != len(p.sum) ||
			len(q.Moments.First) != moments || len(q.Moments.Second) != moments || q.Moments.Steps < 0 {
			return fmt.Errorf("the state holds %q with %d elements where the model has %q with %d: it is of another model or TuneConfig",
				q.Name, len(q.Value), p.name, len(p.sum))
		}
	}
	return nil
}

// Bytes returns the model's ONNX file with the weights and epsilon_xy as they are
// now.
func (t *Tuner) Bytes() ([]byte, error) {
	pb, err := onnx.Unmarshal(t.model.source)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	tuned := map[string]*param{}
	for _, p := range t.params {
		tuned[p.name] = p
	}
	list := pb.GetGraph().GetInitializer()
	for i, old := range list {
		if p := tuned[old.GetName()]; p != nil {
			list[i] = onnx.Float32Tensor(p.name, p.value.Shape(), p.value.Float32s())
			list[i].DocString = old.GetDocString()
		}
	}
	data, err := onnx.Marshal(pb)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	return data, nil
}

// Model returns a model with the weights and epsilon_xy as they are now, and the
// options that the Tuner's was loaded with.
func (t *Tuner) Model() (*Model, error) {
	data, err := t.Bytes()
	if err != nil {
		return nil, err
	}
	m, err := New(data, t.model.options...)
	if err != nil {
		return nil, err
	}
	m.pool = t.model.pool
	return m, nil
}
