package convert

import (
	"errors"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// SpikeImage is a layer that draws spikes from the whole image as one distribution. The output is
// the number of spikes of each value of the image, with the mean 1. Package ops/sbs documents what
// it computes.
type SpikeImage struct {
	// Spikes is the number of spikes per image, at least 0. With 0 spikes, the layer divides the
	// image by its mean.
	Spikes int
}

const kindSpikeImage = "SpikeImage"

// Kind implements Layer.
func (*SpikeImage) Kind() string { return kindSpikeImage }

func (l *SpikeImage) operator() string {
	if l.Spikes == 0 {
		return ""
	}
	return sbs.OpSpikeImage
}

// Output implements Layer.
func (*SpikeImage) Output(in Size) (Size, error) { return in, nil }

func (l *SpikeImage) write(w *writer, in value) (value, error) {
	return value{}, errors.New("not implemented")
}

func readSpikeImage(r *reader) (*SpikeImage, error) { return nil, errors.New("not implemented") }

func spikeImageFunction(Inject) (*onnxpb.FunctionProto, error) {
	return nil, errors.New("not implemented")
}
