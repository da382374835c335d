// Package graph is the engine behind packages runtime and train. It works in steps,
// one file each: it decodes the message of an ONNX file (decode), binds every node to
// an operator (bind, function, subgraph), infers types and computes constants
// (infer), plans the memory of a run (plan), and runs (run). The operators with
// subgraphs (if, loop, scan) take part in binding, inference and runs.
package graph

import (
	"fmt"
	"slices"
	"sync"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
)

// ValueInfo describes an input or output of a model.
type ValueInfo struct {
	Name string
	ops.Type
}

// Program is a model that is ready to run. It is immutable, apart from what it keeps
// for the next runs, and safe for concurrent use.
type Program struct {
	Main        *Graph
	Inputs      []ValueInfo
	Outputs     []ValueInfo
	Metadata    map[string]string
	Warnings    []string
	Pool        *parallel.Pool
	MemoryLimit int64

	inputSlots map[string]int
	injectable map[string]bool      // the names of nodes that draw random numbers
	weights    map[*ops.Tensor]bool // the initializers of floating-point numbers, of all graphs
	sbsNodes   []string             // the names of all SbS nodes
	sbsSteps   []*Step              // those among them that are steps
	shared     []bool               // by output: it may share memory, see sharedOutputs
	variants   variants
	frames     sync.Pool // of *Frame
}

// IsWeight reports whether a tensor is an initializer of floating-point numbers.
func (p *Program) IsWeight(t *ops.Tensor) bool { return p.weights[t] }

// InputSlot returns the slot of an input in Main.
func (p *Program) InputSlot(name string) int { return p.inputSlots[name] }

// SbSLayers returns the names of the SbS nodes.
func (p *Program) SbSLayers() []string { return slices.Clone(p.sbsNodes) }

func (p *Program) warn(format string, args ...any) {
	p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...))
}

// fits returns an error if the values of a run take more memory than the limit.
func (p *Program) fits(used int64) error {
	if used <= p.MemoryLimit {
		return nil
	}
	return fmt.Errorf("%w: the values of the run would take %d bytes, the limit is %d (see MemoryLimit; smaller batches take less)",
		ErrMemory, used, p.MemoryLimit)
}
