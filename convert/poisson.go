package convert

import (
	"errors"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Poisson is a layer that replaces each value of an image by a random count with the Poisson
// distribution, and divides the counts by their sum over the image. Package ops/sbs documents
// what it computes.
type Poisson struct {
	Spikes int // the mean count of the largest value of an image, at least 1
}

const kindPoisson = "Poisson"

// Kind implements Layer.
func (*Poisson) Kind() string { return kindPoisson }

func (*Poisson) operator() string { return sbs.OpPoisson }

// Output implements Layer.
func (*Poisson) Output(in Size) (Size, error) { return in, nil }

func (l *Poisson) write(w *writer, in value) (value, error) {
	return value{}, errors.New("not implemented")
}

func readPoisson(r *reader) (*Poisson, error) { return nil, errors.New("not implemented") }

func poissonFunction(Inject) (*onnxpb.FunctionProto, error) {
	return nil, errors.New("not implemented")
}
