package convert

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"

	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Check returns an error if the network cannot be written as an ONNX model: if it is
// nil or has no layers, if a layer is nil or does not fit the output of the layer
// before it (see Sizes), or if a value is out of range. Weights of SbS and NNMF layers must
// be finite and at least 0, entries of EpsilonXY must be 0 to 1e4, and the numbers of the
// preprocessing must be finite. ToONNX and FromONNX call Check.
func (n *Network) Check() error {
	_, err := n.check()
	return err
}

// check makes all checks and returns the result of Sizes.
func (n *Network) check() ([]Size, error) {
	sizes, err := n.Sizes()
	if err != nil {
		return nil, err
	}
	if len(n.Layers) == 0 {
		return nil, errors.New("convert: the network has no layers")
	}
	if !utf8.ValidString(n.Name) {
		return nil, fmt.Errorf("convert: the name %q is not valid UTF-8", n.Name)
	}
	if n.Holdout != nil {
		if err := n.Holdout.check(); err != nil {
			return nil, fmt.Errorf("convert: holdout: %w", err)
		}
	}
	if n.Borders != nil {
		if err := (*metadata.Borders)(n.Borders).Check(); err != nil {
			return nil, fmt.Errorf("convert: borders: %w", err)
		}
	}
	if err := n.Preprocessing.checkValues(); err != nil {
		return nil, fmt.Errorf("convert: preprocessing: %w", err)
	}
	if n.Preprocessing.Normalize {
		if err := n.checkNormalized(); err != nil {
			return nil, err
		}
	}
	var before Layer
	for i, l := range n.Layers {
		if err := checkLayer(l, before); err != nil {
			return nil, fmt.Errorf("convert: layer %d (%s): %w", i, l.Kind(), err)
		}
		before = l
	}
	return sizes, nil
}

// isNil reports whether a layer is nil or a nil pointer.
func isNil(l Layer) bool {
	v := reflect.ValueOf(l)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

func (p Preprocessing) checkValues() error {
	for c, m := range p.OnOffMean {
		if !finite(m) {
			return fmt.Errorf("the mean of channel %d is %v, want a finite number", c, m)
		}
	}
	if !finite(p.Offset) {
		return fmt.Errorf("the offset is %v, want a finite number", p.Offset)
	}
	switch {
	case !p.Normalize:
	case p.OnOffMean != nil:
		return errors.New("images with an on/off split cannot be normalized: the split is at the mean of the data set, and normalized images have another one")
	case p.Offset != 0:
		return fmt.Errorf("the offset is %v, want 0: it has no effect on normalized images", p.Offset)
	}
	return nil
}

// checkNormalized returns an error if the negative pixels of normalized images would reach a layer
// that does not take them.
func (n *Network) checkNormalized() error {
	for i, l := range n.Layers {
		switch l.(type) {
		case *AveragePool, *MaxPool: // their outputs can be negative, too
			continue
		case *SbS, *NNMF, *Poisson, *SpikeImage:
			return fmt.Errorf("convert: layer %d (%s): normalized images have negative pixels, but this layer takes values of at least 0: only networks that begin with another layer, such as a convolution, can normalize their images", i, l.Kind())
		}
		return nil
	}
	return nil
}

// checkLayer checks the values of a layer, and whether it may follow the layer before
// it. Layer.Output checks everything else.
func checkLayer(l, before Layer) error {
	switch l := l.(type) {
	case *SbS:
		if l.Epsilon0 == 0 {
			return errors.New("epsilon_0 is 0, so that no spike would change h: want a number above 0")
		}
		if _, err := sbs.ParamsOf(l.params(0).Attributes()); err != nil {
			return err
		}
		if err := checkValues("weights", l.Weights, math.MaxFloat32); err != nil {
			return err
		}
		return checkValues("epsilon_xy", l.EpsilonXY, sbs.MaxEpsilon)
	case *NNMF:
		if _, err := sbs.NNMFParamsOf(l.params().Attributes()); err != nil {
			return err
		}
		return checkValues("weights", l.Weights, math.MaxFloat32)
	case *ApproxConv:
		return l.approximation().Check()
	case *Poisson:
		return checkSpikes(l.Spikes, 1)
	case *SpikeImage:
		return checkSpikes(l.Spikes, 0)
	case *Reconstruction:
		if s, ok := before.(*SbS); !ok || s.Weights != l.Weights {
			return errNoSbS
		}
	}
	return nil
}

// checkSpikes checks the number of spikes of an image.
func checkSpikes(n, least int) error {
	if n < least || n > sbs.MaxSpikes {
		return fmt.Errorf("%s is %d, want %d to %d", sbs.AttrSpikes, n, least, sbs.MaxSpikes)
	}
	return nil
}

// checkValues checks that the values of a tensor, which may be nil, are 0 to
// most.
func checkValues(what string, t *ops.Tensor, most float32) error {
	if t == nil {
		return nil
	}
	for i, v := range t.Float32s() {
		if v >= 0 && v <= most { // false for NaN
			continue
		}
		want := "a finite number of at least 0"
		if most < math.MaxFloat32 {
			want = fmt.Sprintf("0 to %v", most)
		}
		return fmt.Errorf("%s: %v is %v, want %s", what, ops.Coordinates(i, t.Shape()), v, want)
	}
	return nil
}

func finite(v float32) bool { return math.Abs(float64(v)) <= math.MaxFloat32 }
