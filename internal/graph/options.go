package graph

import (
	"context"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/internal/parallel"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Options sets how Compile makes a Program.
type Options struct {
	Context         context.Context // ends Compile; nil never does
	Workers         int             // 0 means all CPU cores that the process may use
	MemoryLimit     int64           // bytes; 0 means DefaultMemoryLimit
	PreferFunctions bool            // use functions of the model instead of built-in operators
	FixWeights      bool            // no weight ever changes: see Program.fixed
	NoFusion        bool            // run every step by itself, for tests
	FixDefaults     bool            // inputs with an initializer cannot be given in a run: see Program.Optional
	Operators       []ops.Operator  // in addition to the built-in ones, over which they take precedence
	Dynamics        Dynamics
	Shared          *Shared // nil if the program shares nothing with others

	// Problem is called with everything that keeps the model from running, instead of ending
	// Compile with the first of it. Compile may then return a Program that cannot run. See
	// Check.
	Problem func(Problem)
}

// Shared is what several programs have in common: the goroutines, and the tensors that
// their messages have in common. A Shared must not be used by several calls of Compile at
// the same time, and is not needed after the last one.
type Shared struct {
	pool    *parallel.Pool
	tensors map[*onnxpb.TensorProto]*ops.Tensor // decoded so far
}

// NewShared returns a Shared with the given number of workers, see Options.Workers.
func NewShared(workers int) *Shared {
	return &Shared{pool: parallel.New(workers), tensors: map[*onnxpb.TensorProto]*ops.Tensor{}}
}

// Dynamics sets the dynamics of SbS nodes. An entry of Layers for a node takes precedence
// over one for its layer, this over Each, and Each over All.
type Dynamics struct {
	All    sbs.Dynamics
	Each   []sbs.Dynamics          // nil, or one per SbS node in the order of the file
	Layers map[string]sbs.Dynamics // see MatchLayer for the keys
}

// DefaultMemoryLimit is far above the needs of networks for images, and keeps a hostile
// file from taking all memory of a machine.
const DefaultMemoryLimit = 4 << 30

// RunOptions sets how Program.Run computes. The options of the same names in package
// runtime explain the fields.
type RunOptions struct {
	Seed       uint64
	FirstImage uint64
	Seeds      []uint64 // per image; nil means Seed for all
	Images     []uint64 // the number of each image; nil means FirstImage, FirstImage+1, ...
	Observe    func(name string, t *ops.Tensor)
	Watch      *Watcher
	Spikes     map[string]*ops.Tensor // by node
	Uniforms   map[string]*ops.Tensor // by node
	Dynamics   Dynamics
	Profile    *Profiler // nil for a run that is not measured
	Updates    *int64    // if not nil, the run adds the number of spike updates per image
}

// Watcher asks for the state of SbS layers during a run. Package runtime documents it.
type Watcher struct {
	Layers   []string
	After    []int
	Spikes   bool
	Snapshot func(Snapshot) bool
}

// Snapshot is the state of one SbS layer after some of its spikes. Package runtime
// documents it.
type Snapshot struct {
	Layer  string
	Spikes int
	Total  int
	H      *ops.Tensor
	Drawn  *ops.Tensor
}
