package convert

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

const kindOnOff = "OnOff"

// Steps of a layer without a mean.
const (
	stepShifted   = "shifted"
	stepMinusHalf = "minus_half"
)

// tinySum prevents a division by 0 if every entry is 0.
const tinySum = 1e-20

// Kind implements Layer.
func (*OnOff) Kind() string { return kindOnOff }

// Output implements Layer.
func (l *OnOff) Output(in Size) (Size, error) {
	if l.Mean == nil {
		return Size{2 * in.Channels, in.Height, in.Width}, nil
	}
	want := []int{1, 1, in.Height, in.Width}
	if l.Mean.Len() == 1 {
		want = []int{1, 1, 1, 1}
	}
	if err := checkFloats("mean", l.Mean, want); err != nil {
		return Size{}, err
	}
	return Size{2 * in.Channels, in.Height, in.Width}, nil
}

func (l *OnOff) write(w *writer, in value) (value, error) {
	out, err := l.Output(in.size)
	if err != nil {
		return value{}, err
	}
	// The constant of a Sub node is a mean, which a training moves.
	shift := nodeSpec{op: "Add", step: stepShifted, inputs: []string{in.name}}
	if l.Mean != nil {
		shift.op, shift.step, shift.inputs = "Sub", "difference", append(shift.inputs, w.tensor("mean", l.Mean))
	} else {
		shift.inputs = append(shift.inputs, w.floats(stepMinusHalf, nil, []float32{-0.5}))
	}
	d := w.add(shift, in.size)
	on := w.add(nodeSpec{op: "Relu", step: "on", inputs: []string{d.name}}, in.size)
	minus := w.add(nodeSpec{op: "Neg", step: "minus", inputs: []string{d.name}}, in.size)
	off := w.add(nodeSpec{op: "Relu", step: "off", inputs: []string{minus.name}}, in.size)
	split := nodeSpec{op: "Concat", inputs: []string{on.name, off.name}, attrs: ops.Attributes{"axis": int64(1)}}
	if l.Mean == nil {
		return w.add(split, out), nil
	}
	split.step = "split"
	both := w.add(split, out)
	return w.normalize(both, w.floats("tiny", nil, []float32{tinySum})), nil
}

// normalize divides a value by its sum over the channels, as the last step of a layer.
// The tensor named tiny, unless the name is empty, is added to the sum.
func (w *writer) normalize(in value, tiny string) value {
	one := Size{1, in.size.Height, in.size.Width}
	sum := w.add(nodeSpec{
		op: "ReduceSum", step: "sum", inputs: []string{in.name, w.ints("axes", 1)}, attrs: ops.Attributes{"keepdims": int64(1)},
	}, one)
	if tiny != "" {
		sum = w.add(nodeSpec{op: "Add", step: "positive_sum", inputs: []string{sum.name, tiny}}, one)
	}
	return w.add(nodeSpec{op: "Div", inputs: []string{in.name, sum.name}}, in.size)
}

func readOnOff(r *reader) (*OnOff, error) {
	if r.nodes[r.name(stepShifted)] != nil {
		half, err := r.floats(stepMinusHalf)
		if err == nil && (half.Len() != 1 || half.Float32s()[0] != -0.5) {
			err = fmt.Errorf("%w: %s is not -0.5", ErrNotConverted, r.name(stepMinusHalf))
		}
		return &OnOff{}, err
	}
	mean, err := r.floats("mean")
	return &OnOff{Mean: mean}, err
}
