package onnxgo

import (
	"fmt"
	"strings"

	"gorgonia.org/tensor"
)

// ID implements graph.Node.
func (n *node) ID() int64 { return n.id }

// SetName implements onnx.Namer. Nodes with the same name have the same value.
func (n *node) SetName(name string) {
	b := n.backend
	v := b.byName[name]
	if v == nil {
		v = &value{name: name, index: len(b.values)}
		b.values = append(b.values, v)
		b.byName[name] = v
	}
	n.value = v
}

// GetName implements onnx.Namer.
func (n *node) GetName() string { return n.name }

// GetTensor implements onnx.DataCarrier. A computed value has no tensor before the model
// has run, and none if it has no elements: gorgonia has no empty tensors.
func (n *node) GetTensor() tensor.Tensor {
	if n.tensor == nil {
		return n.decoded
	}
	return n.tensor
}

// SetTensor implements onnx.DataCarrier. While onnx-go decodes a model, it calls SetTensor
// for declarations and then for initializers. Later calls set an input.
func (n *node) SetTensor(t tensor.Tensor) error {
	b := n.backend
	switch {
	case len(b.operations) == 0:
		n.initializer = n.initializer || n.filled
		n.filled = true
		n.decoded = t
		return nil
	case n.computed:
		return fmt.Errorf("onnxgo: %q is computed by the model and cannot be set", n.name)
	case b.isInitializer(n.value):
		return fmt.Errorf("onnxgo: %q is an initializer and cannot be set: SetInput of onnx-go also counts initializers that the file lists as inputs, use GetNodeByName instead", n.name)
	case n.decoded == nil:
		return fmt.Errorf("onnxgo: %q is not an input of the model: a Backend holds one model, use a new one for another", n.name)
	}
	if _, err := typeOf(t); err != nil {
		return fmt.Errorf("onnxgo: input %q: %w", n.name, err)
	}
	n.tensor = t
	return nil
}

// isInitializer distinguishes initializers from inputs. onnx-go sets both in the same way,
// but inputs before outputs and initializers after them, and an initializer that is also
// declared twice.
func (b *Backend) isInitializer(v *value) bool {
	return v.initializer || v.decoded != nil && v.index > b.computed
}

// invented reports whether a value is the input that onnx-go adds to an operation without
// inputs.
func (b *Backend) invented(name string) bool {
	v := b.byName[name]
	return strings.HasSuffix(name, "/input") && v.decoded == nil && !v.computed
}
