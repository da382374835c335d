package convert

import "fmt"

const kindConv = "Conv"

// Kind implements Layer.
func (*Conv) Kind() string { return kindConv }

// Output implements Layer.
func (l *Conv) Output(in Size) (Size, error) {
	oh, ow, err := l.Window.Output(in.Height, in.Width)
	if err != nil {
		return Size{}, err
	}
	if err := checkFloats("weights", l.Weights, []int{-1, in.Channels, l.Kernel[0], l.Kernel[1]}); err != nil {
		return Size{}, fmt.Errorf("for an input of %v: %w", in, err)
	}
	out := Size{l.Weights.Shape()[0], oh, ow}
	if l.Bias != nil {
		if err := checkFloats("bias", l.Bias, []int{out.Channels}); err != nil {
			return Size{}, err
		}
	}
	return out, nil
}

func (l *Conv) write(w *writer, in value) (value, error) {
	out, err := l.Output(in.size)
	if err != nil {
		return value{}, err
	}
	inputs := []string{in.name, w.tensor("W", l.Weights)}
	if l.Bias != nil {
		inputs = append(inputs, w.tensor("B", l.Bias))
	}
	return w.add(nodeSpec{op: "Conv", inputs: inputs, attrs: windowAttributes(l.Window)}, out), nil
}

func readConv(r *reader) (*Conv, error) {
	n, attrs, err := r.node("")
	if err != nil {
		return nil, err
	}
	l := &Conv{}
	if l.Window, err = window(attrs); err != nil {
		return nil, err
	}
	if l.Weights, err = r.input(n, 1); err != nil {
		return nil, err
	}
	if l.Bias, err = r.input(n, 2); err != nil {
		return nil, err
	}
	return l, nil
}
