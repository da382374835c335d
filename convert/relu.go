package convert

const kindReLU = "Relu"

// Kind implements Layer.
func (*ReLU) Kind() string { return kindReLU }

// Output implements Layer.
func (*ReLU) Output(in Size) (Size, error) { return in, nil }

func (*ReLU) write(w *writer, in value) (value, error) {
	return w.add(nodeSpec{op: "Relu", inputs: []string{in.name}}, in.size), nil
}
