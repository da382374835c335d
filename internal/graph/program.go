// Package graph is the engine behind packages runtime and train. It works in steps,
// one file each: it decodes the message of an ONNX file (decode), binds every node to
// an operator (bind, function, subgraph), infers types and computes constants
// (infer), plans the memory of a run (plan), and runs (run). The operators with
// subgraphs (if, loop, scan) take part in binding, inference and runs.
package graph

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// The errors that package runtime exports.
var (
	ErrModel           = errors.New("cannot run this model")
	ErrUnknownOperator = errors.New("unknown operator")
	ErrInput           = errors.New("bad input")
	ErrMemory          = errors.New("too much memory")
	ErrOption          = errors.New("bad option")
	ErrStopped         = errors.New("stopped by the watcher")
)

// NodeError is an error at one node of a graph, while a model is loaded or run.
type NodeError struct {
	Node     string // the node's name, or that of its first output
	Operator string // as domain.Name, or Name for standard operators
	Err      error
}

func (e *NodeError) Error() string {
	return fmt.Sprintf("node %q (%s): %v", e.Node, e.Operator, e.Err)
}

func (e *NodeError) Unwrap() error { return e.Err }

// ValueInfo describes an input or output of a model.
type ValueInfo struct {
	Name string
	ops.Type
}

// Options sets how a message becomes a Program.
type Options struct {
	Workers         int                     // 0 means all CPU cores that the process may use
	MemoryLimit     int64                   // bytes; 0 means DefaultMemoryLimit
	PreferFunctions bool                    // use functions of the model instead of built-in operators
	Operators       []ops.Operator          // added to the built-in ones, or replacing them
	Dynamics        sbs.Dynamics            // of every SbS node
	Layers          map[string]sbs.Dynamics // of single SbS nodes, by layer; see MatchLayer
}

// DefaultMemoryLimit is far above what networks for images need, and keeps a hostile
// file from taking all memory of a machine.
const DefaultMemoryLimit = 4 << 30

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
