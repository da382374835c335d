package onnxgo

import (
	"fmt"
	"strings"

	"gorgonia.org/tensor"
)

// ID implements graph.Node.
func (n *node) ID() int64 { return n.id }

// SetName implements onnx.Namer. Nodes of the same name are of the same value.
func (n *node) SetName(name string) {
	b := n.backend
	v := b.byName[name]
	if v == nil {
		v = &value{name: name, place: len(b.values)}
		b.values = append(b.values, v)
		b.byName[name] = v
	}
	n.value = v
}

// GetName implements onnx.Namer.
func (n *node) GetName() string { return n.name }

// GetTensor implements onnx.DataCarrier. What is computed has no tensor before the
// model has run, and none if it is empty: gorgonia has no such tensors.
func (n *node) GetTensor() tensor.Tensor {
	if n.tensor == nil {
		return n.decoded
	}
	return n.tensor
}

// SetTensor implements onnx.DataCarrier. While the model is decoded it is called for
// what the file declares, and then for initializers; later it sets an input.
func (n *node) SetTensor(t tensor.Tensor) error {
	b := n.backend
	switch {
	case len(b.operations) == 0:
		n.initializer = n.initializer || n.filled
		n.filled = true
		n.decoded = t
		return nil
	case n.computed:
		return fmt.Errorf("onnxgo: %q is computed by the model, it cannot be set", n.name)
	case b.isInitializer(n.value):
		return fmt.Errorf("onnxgo: %q is an initializer, it cannot be set. onnx-go counts initializers that are listed as inputs: set the input through GetNodeByName", n.name)
	case n.decoded == nil:
		return fmt.Errorf("onnxgo: %q is not declared as an input: a Backend holds one model", n.name)
	}
	if _, err := typeOf(t); err != nil {
		return fmt.Errorf("onnxgo: input %q: %w", n.name, err)
	}
	n.tensor = t
	return nil
}

// isInitializer tells initializers from inputs, which onnx-go sets alike. It sets inputs
// before outputs and initializers after them; one that is also declared is set twice.
func (b *Backend) isInitializer(v *value) bool {
	return v.initializer || v.decoded != nil && v.place > b.computed
}

// invented reports whether a value is the input that onnx-go gives to an operation
// without any.
func (b *Backend) invented(name string) bool {
	v := b.byName[name]
	return strings.HasSuffix(name, "/input") && v.decoded == nil && !v.computed
}
