package pytorch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// changedName names Options.Set as the origin of values in errors.
const changedName = "--set"

// change replaces values of the configuration: see Options.Set.
func (c *config) change(list []string) error {
	for _, text := range list {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" || value == "" {
			return fmt.Errorf("%s %s: want KEY=VALUE, such as learning_parameters.learning_rate_gamma_w=0.1", changedName, text)
		}
		section, name, nested := strings.Cut(key, ".")
		if !nested {
			section, name = "", key
		}
		if _, ok := c.keys()[section][name]; !ok || section == "" && nested {
			return fmt.Errorf("%s %s: there is no key %q in a configuration", changedName, text, key)
		}
		if err := c.changeValue(section, name, value); err != nil {
			return err
		}
	}
	return nil
}

// changeValue replaces the value of a key. A value that is no JSON is a string.
func (c *config) changeValue(section, name, value string) error {
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) } // a string has no error
	member := func(value string) string {
		text := fmt.Sprintf("{%s: %s}", quote(name), value)
		if section != "" {
			text = fmt.Sprintf("{%s: %s}", quote(section), text)
		}
		return text
	}
	if !json.Valid([]byte(value)) {
		value = quote(value)
	}
	d, err := parse(changedName, []byte(member(value)))
	if err != nil {
		return err
	}
	files, sums, at := c.files, c.sums, c.given
	key := strings.TrimPrefix(section+"."+name, ".")
	before, given := at[key]
	if err := c.merge(d); err != nil {
		return err
	}
	// The value has no file of its own, and paths in it are relative to the one that it replaces.
	if c.files, c.sums = files, sums; given {
		c.given[key] = before
	} else {
		c.given[key] = files[0]
	}
	return nil
}

// keyNeurons is the key with the numbers of inputs and outputs of all layers.
const keyNeurons = "network_structure.forward_neuron_numbers"

// resize gives the layers with weights, apart from the last one, other numbers of neurons: see
// Options.Neurons.
func (c *config) resize(neurons []int) error {
	if len(neurons) == 0 {
		return nil
	}
	refused := func(format string, args ...any) error {
		return fmt.Errorf("%s cannot be changed to %v neurons: %s", c.where(keyNeurons), neurons, fmt.Sprintf(format, args...))
	}
	var hidden []int
	for i, n := range c.neurons {
		if len(n) != 2 || n[0] < 1 || n[1] < 1 {
			return refused("the entry of layer %d must have two numbers", i)
		}
		if c.hasNeurons(i) {
			hidden = append(hidden, i)
		}
	}
	if len(hidden) > 0 {
		hidden = hidden[:len(hidden)-1]
	}
	if len(hidden) != len(neurons) {
		return refused("the number of layers with neurons before the last one is %d", len(hidden))
	}
	pairs := make([][]int, len(c.neurons))
	for i, n := range c.neurons {
		in, out := n[0], n[1]
		if i > 0 {
			if n[0] != c.neurons[i-1][1] {
				return refused("layer %d has %d inputs, and the layer before it %d outputs", i, n[0], c.neurons[i-1][1])
			}
			in = pairs[i-1][1]
		}
		switch k := slices.Index(hidden, i); {
		case k >= 0:
			out = neurons[k]
		case !c.hasNeurons(i) && n[1]%n[0] == 0:
			out = in * (n[1] / n[0]) // a pooling has as many outputs as inputs, and an on/off split twice as many
		}
		pairs[i] = []int{in, out}
	}
	value, err := json.Marshal(pairs)
	if err != nil {
		return err
	}
	return c.changeValue("network_structure", strings.TrimPrefix(keyNeurons, "network_structure."), string(value))
}

// hasNeurons reports whether layer i has neurons of its own, which a pooling has not.
func (c *config) hasNeurons(i int) bool {
	if c.layerType == nil {
		return !at(c.pooling, i, false)
	}
	k, ok := kindOfType(at(c.layerType, i, ""))
	return ok && k.weighted() && k != kindSbSPooling
}
