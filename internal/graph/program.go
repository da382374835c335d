// Package graph is the engine of packages runtime and train. It works in phases, with one
// file or a few files per phase:
//
//   - decode, values: decode the message of an ONNX file
//   - bind, function, subgraph: bind every node to an operator
//   - infer: infer types, and compute constants
//   - frame, plan: plan the memory of a run
//   - run, watch, batches: run
//
// Compile does the phases up to inference and returns a Program, and Program.Run does the
// others. The operators with subgraphs (if, loop, scan) implement binding, inference and
// runs behind the interface control.
package graph

import (
	"fmt"
	"sync"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// ValueInfo describes an input or output of a model.
type ValueInfo struct {
	Name string
	ops.Type
}

// OptionalInput is an input of a model with a default value: its initializer.
type OptionalInput struct {
	ValueInfo
	Default *ops.Tensor
}

// SbSLayer describes an SbS node.
type SbSLayer struct {
	Name     string
	Spikes   int
	Sampler  sbs.Sampler
	Epsilon0 float32

	FullLayer bool // the operator is SbSFullLayer
	Positions int  // output positions per image; 0 if they are not known before a run
	Updates   int  // spike updates per image, see sbs.Updates; 0 if they are not known before a run
}

// Program is a model that is ready to run. It is safe for concurrent use, and immutable
// apart from its caches.
type Program struct {
	Main        *Graph
	Inputs      []ValueInfo     // required in each run
	Optional    []OptionalInput // in Main.Inputs, they follow the required ones
	Outputs     []ValueInfo
	Metadata    map[string]string
	Warnings    []string
	SbSLayers   []SbSLayer     // in the order of the file
	Pool        *parallel.Pool // runs the loops of all operators
	MemoryLimit int64          // of the values of one run, in bytes
	Crop        int            // pixels removed from every side of an image at least, before any other operator

	// Unchecked is the number of nodes whose types are known only in a run, counted with
	// Options.Problem.
	Unchecked int

	fused      *Graph // Main with chains of steps that run as one, nil for none: see fuse
	fixed      bool   // training does not change the weights: they are constants for the operators, too
	inputSlots map[string]int
	injectable map[string]bool      // the names of nodes whose random numbers a caller may replace
	weights    map[*ops.Tensor]bool // the floating-point initializers of all graphs
	sbsNodes   []string             // the names of all SbS nodes
	sbsSteps   []*Step              // the SbS nodes that run as the operator, not as a function
	shared     []bool               // by output: see sharedOutputs
	together   *Step                // draws random numbers for the whole batch: see runEach; nil for none
	variants   variants
	frames     sync.Pool // of *frame, for the main graph
}

// IsWeight reports whether a tensor is a floating-point initializer.
func (p *Program) IsWeight(t *ops.Tensor) bool { return p.weights[t] }

// value returns input i of Main.Inputs.
func (p *Program) value(i int, inputs map[string]*ops.Tensor) *ops.Tensor {
	if i < len(p.Inputs) {
		return inputs[p.Inputs[i].Name]
	}
	in := p.Optional[i-len(p.Inputs)]
	if t := inputs[in.Name]; t != nil {
		return t
	}
	return in.Default
}

// inputTypes returns the types of Main.Inputs, nil for a type that is not known.
func (p *Program) inputTypes() []*ops.Input {
	types := make([]*ops.Input, 0, len(p.Main.Inputs))
	add := func(t ops.Type) {
		var in *ops.Input
		if t.DType != 0 && !t.Unranked {
			in = &ops.Input{Type: t}
		}
		types = append(types, in)
	}
	for _, v := range p.Inputs {
		add(v.Type)
	}
	for _, v := range p.Optional {
		add(v.Type)
	}
	return types
}

// InputSlot returns the slot of an input in Main.
func (p *Program) InputSlot(name string) int { return p.inputSlots[name] }

func (p *Program) warn(format string, args ...any) {
	p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...))
}

// fits returns an error if the memory used by the values of a run is above the limit.
func (p *Program) fits(used int64) error {
	if used <= p.MemoryLimit {
		return nil
	}
	return fmt.Errorf("%w: the values of the run would take %d bytes, but the limit is %d: use smaller batches or a higher memory limit",
		ErrMemory, used, p.MemoryLimit)
}
