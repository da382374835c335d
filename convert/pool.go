package convert

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

const (
	kindAveragePool = "AveragePool"
	kindMaxPool     = "MaxPool"
)

// Kind implements Layer.
func (*AveragePool) Kind() string { return kindAveragePool }

// Kind implements Layer.
func (*MaxPool) Kind() string { return kindMaxPool }

// Output implements Layer.
func (l *AveragePool) Output(in Size) (Size, error) {
	if l.Dilations != [2]int{1, 1} {
		return Size{}, errors.New("an average pooling layer must have dilations of 1")
	}
	return poolOutput(l.Window, in)
}

// Output implements Layer.
func (l *MaxPool) Output(in Size) (Size, error) { return poolOutput(l.Window, in) }

func poolOutput(w Window, in Size) (Size, error) {
	oh, ow, err := w.Output(in.Height, in.Width)
	if err == nil && (2*w.Pads[0] > w.Kernel[0] || 2*w.Pads[1] > w.Kernel[1]) {
		err = errors.New("the padding of a pooling layer must be at most half its kernel")
	}
	return Size{in.Channels, oh, ow}, err
}

func (l *AveragePool) write(w *writer, in value) (value, error) {
	out, err := l.Output(in.size)
	if err != nil {
		return value{}, err
	}
	attrs := windowAttributes(l.Window)
	delete(attrs, "dilations") // AveragePool has them only from opset 19 on
	attrs["count_include_pad"] = int64(1)
	return w.add(nodeSpec{op: "AveragePool", inputs: []string{in.name}, attrs: attrs}, out), nil
}

func (l *MaxPool) write(w *writer, in value) (value, error) {
	out, err := l.Output(in.size)
	if err != nil {
		return value{}, err
	}
	return w.add(nodeSpec{op: "MaxPool", inputs: []string{in.name}, attrs: windowAttributes(l.Window)}, out), nil
}

func readPool(r *reader, kind string) (Layer, error) {
	_, attrs, err := r.node("")
	if err != nil {
		return nil, err
	}
	win, err := window(attrs)
	if err != nil {
		return nil, err
	}
	if kind == kindMaxPool {
		return &MaxPool{win}, nil
	}
	if include, err := ops.Attr[int64](attrs, "count_include_pad", 0); err != nil || include != 1 {
		return nil, fmt.Errorf("%w: the attribute count_include_pad is not 1", ErrNotConverted)
	}
	return &AveragePool{win}, nil
}
