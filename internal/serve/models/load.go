package models

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/serve/batch"
	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/runtime"
)

// loaded is a model in memory. It stays there until the last request that uses it ends, also if
// the file has been replaced by then.
type loaded struct {
	model      *runtime.Model
	classifier *classify.Classifier // nil if the model does not classify images
	noImages   error                // why it does not
	queue      *batch.Queue
	batches    bool // requests may share a batch
	ownShapes  bool // an input has other dimensions of unknown size than the first one
	limits     *Limits
	since      time.Time

	mu    sync.Mutex
	users int // requests and runs in progress, plus 1 until the model is replaced
}

// load loads the model in a file.
func load(ctx context.Context, path string, l *Limits, observer batch.Observer) (*loaded, error) {
	opts := []runtime.Option{runtime.LoadContext(ctx), runtime.Workers(l.Workers)}
	if l.IgnoreChecksum {
		opts = append(opts, runtime.IgnoreChecksum())
	}
	m, err := runtime.Open(path, opts...)
	if err != nil {
		return nil, err
	}
	if err := checkTypes(m); err != nil {
		m.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	v := &loaded{model: m, limits: l, users: 1, since: time.Now()}
	v.classifier, v.noImages = classify.New(m, classify.Resize(), classify.Invert(l.Invert), classify.Workers(1))
	v.batches, v.ownShapes = sharesBatches(m, l.BatchAll)
	v.queue = batch.New(v, batch.Config{MaxImages: l.MaxBatch, MaxDelay: l.MaxDelay, MaxWaiting: l.MaxQueue, Observer: observer, Log: l.Log})
	return v, nil
}

// checkTypes returns an error for inputs and outputs of types that the protocol does not have.
func checkTypes(m *runtime.Model) error {
	for _, v := range slices.Concat(m.Inputs(), m.Outputs()) {
		if v.DType != 0 && inference.Datatype(v.DType) == "" {
			return fmt.Errorf("requests cannot transfer the input or output %q of type %v: convert it to a tensor of numbers in the model", v.Name, v.Type)
		}
	}
	return nil
}

// sharesBatches reports whether requests for a model may share a batch, and whether an input has
// dimensions of unknown size apart from the first one.
//
// The models of this project compute every image of a batch by itself. In a model of another
// program, nodes may combine the entries of the first dimension, or it may be something else, such
// as the words of a text.
func sharesBatches(m *runtime.Model, all bool) (batches, ownShapes bool) {
	batches = all || metadata.IsOwn(m.Metadata())
	for _, list := range [][]runtime.ValueInfo{m.Inputs(), m.Outputs()} {
		for _, v := range list {
			if v.DType == 0 || len(v.Shape) == 0 || v.Shape[0].Known() {
				return false, false
			}
		}
	}
	for _, v := range m.Inputs() {
		for _, d := range v.Shape[1:] {
			ownShapes = ownShapes || !d.Known()
		}
	}
	// Requests with different values of an optional input cannot share a run.
	return batches && len(m.Inputs()) > 0 && len(m.OptionalInputs()) == 0, ownShapes
}

// enter counts a request. It reports false if the model is closed.
func (v *loaded) enter() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.users == 0 {
		return false
	}
	v.users++
	return true
}

// Run implements batch.Runner. A run may last longer than the requests that it is for.
func (v *loaded) Run(ctx context.Context, inputs map[string]*runtime.Tensor, opts ...runtime.RunOption) (map[string]*runtime.Tensor, error) {
	if !v.enter() {
		return nil, errClosed
	}
	defer v.leave()
	return v.model.Run(ctx, inputs, opts...)
}

// errClosed is the error of requests that nobody waits for anymore.
var errClosed = inference.Errorf(inference.Unavailable, "the model has been closed")

// leave ends a request, or the time of the model itself. The last one closes the model.
func (v *loaded) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.users--; v.users > 0 {
		return
	}
	if v.classifier != nil {
		v.classifier.Close()
	}
	v.model.Close()
}

// Tensor describes an input or output of a model, as the protocol does.
type Tensor struct {
	Name, Datatype string
	Shape          []int64 // -1 for a dimension of any size
}

// Description describes a model.
type Description struct {
	Name, Version   string
	Inputs, Outputs []Tensor
	Properties      map[string]string
}

func (v *loaded) describe(name string) Description {
	d := Description{Name: name, Version: version, Inputs: tensors(v.model.Inputs()), Outputs: tensors(v.model.Outputs()), Properties: map[string]string{
		"loaded": v.since.UTC().Format(time.RFC3339),
	}}
	if c := v.classifier; c != nil {
		names, err := json.Marshal(c.Classes())
		if err == nil {
			d.Properties["classes"] = string(names)
		}
		d.Properties["image"] = c.Size().String()
	}
	if n := v.model.Metadata()[metadata.Name]; n != "" {
		d.Properties["network"] = n
	}
	var spikes []string
	for _, l := range v.model.SbSLayers() {
		layer, _, _ := strings.Cut(l.Name, "/")
		spikes = append(spikes, fmt.Sprintf("%s:%d", layer, l.Spikes))
	}
	if spikes != nil {
		d.Properties["spikes"] = strings.Join(spikes, ",")
	}
	if s := v.model.Stages(); s != nil {
		d.Properties["stages"] = strconv.Itoa(len(s))
	}
	return d
}

func tensors(values []runtime.ValueInfo) []Tensor {
	list := make([]Tensor, len(values))
	for i, v := range values {
		list[i] = Tensor{Name: v.Name, Datatype: inference.Datatype(v.DType), Shape: make([]int64, len(v.Shape))}
		for j, d := range v.Shape {
			list[i].Shape[j] = int64(d.Size)
		}
	}
	return list
}

// runError returns the error of a run for the client.
func runError(err error) error {
	var known *inference.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, runtime.ErrStages):
		return inference.Errorf(inference.Invalid, "the model has stages, whose thresholds apply only to its own spikes, sampler and epsilon: leave out the parameters spikes, sampler and epsilon_schedule")
	case errors.Is(err, runtime.ErrInput), errors.Is(err, runtime.ErrValue), errors.Is(err, runtime.ErrOption):
		return &inference.Error{Kind: inference.Invalid, Err: err}
	case errors.Is(err, runtime.ErrMemory):
		return &inference.Error{Kind: inference.TooLarge, Err: err}
	}
	return fmt.Errorf("the run of the model has failed: %w", err)
}
