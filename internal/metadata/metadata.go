// Package metadata names the metadata properties and the outputs of the ONNX files that
// package convert writes, and reads and checks the property with the stages.
package metadata

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Prefix starts the keys of the metadata of this project.
const Prefix = "ai.sbs."

// IsOwn reports whether metadata is that of a model which this project has written.
func IsOwn(properties map[string]string) bool {
	for key := range properties {
		if strings.HasPrefix(key, Prefix) && key != Checksum { // any model can have a checksum
			return true
		}
	}
	return false
}

// ClassNames returns the names of the classes that metadata has, or nil if it has none.
func ClassNames(properties map[string]string) (names []string, err error) {
	if text := properties[Classes]; text != "" {
		if err := json.Unmarshal([]byte(text), &names); err != nil {
			return nil, fmt.Errorf("the metadata %s is not a list of class names", Classes)
		}
	}
	return names, nil
}

// Keys of a model's metadata properties.
const (
	// Approximations holds the settings of approximate convolutions whose nodes are standard
	// operators: a JSON list of Approximation.
	Approximations = Prefix + "approximation"

	Name     = Prefix + "name"     // the network's name
	Dialect  = Prefix + "dialect"  // the dialect of PyTorch-SbS, 1 or 2, that the network was trained in
	Step     = Prefix + "step"     // the training step of the weights
	Classes  = Prefix + "classes"  // the names of the classes: a JSON list
	Sources  = Prefix + "sources"  // the files that the arrays were read from: JSON
	Local    = Prefix + "local"    // the numbers of the layers that learn locally: a JSON list
	Training = Prefix + "training" // the training configuration: JSON
	Holdout  = Prefix + "holdout"  // the training images that no weight has seen: JSON
	Checksum = Prefix + "checksum" // of everything that the results depend on: see onnx.Stamp
)

// Approximation holds the settings of one layer. The keys are those of PyTorch-SbS.
type Approximation struct {
	Layer     int  `json:"layer"`
	FracBits  int  `json:"number_of_frac_bits"`
	TruncBits int  `json:"number_of_trunc_bits"`
	Enabled   bool `json:"approximation_enable"`
}

// Names of the output with the classes.
const (
	Probabilities = "probabilities" // after an SbS, NNMF or reconstruction layer
	Logits        = "logits"        // after any other layer
)
