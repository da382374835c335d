package graph

import (
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Options sets how Compile makes a Program.
type Options struct {
	Workers         int                     // 0 means all CPU cores that the process may use
	MemoryLimit     int64                   // bytes; 0 means DefaultMemoryLimit
	PreferFunctions bool                    // use functions of the model instead of built-in operators
	Operators       []ops.Operator          // in addition to the built-in ones, over which they take precedence
	Dynamics        sbs.Dynamics            // of all SbS nodes
	Layers          map[string]sbs.Dynamics // of single SbS nodes: see MatchLayer for the keys
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
	Spikes     map[string]*ops.Tensor  // by node
	Uniforms   map[string]*ops.Tensor  // by node
	Dynamics   sbs.Dynamics            // of all SbS nodes
	Layers     map[string]sbs.Dynamics // of single SbS nodes: see MatchLayer for the keys
}

// Snapshot is the state of one Spike-By-Spike layer after some of its spikes.
type Snapshot struct {
	// Layer is the name of the layer's node, such as "L0/SbS".
	Layer string

	// Spikes is the number of spikes, at each output position, that H results from.
	Spikes int

	// H holds the activities of the neurons: float32 (batch, neurons, height, width).
	// At each output position they are not negative and their sum is 1, unless the
	// layer weights its output positions (attribute alpha_iterations).
	H *ops.Tensor

	// Drawn holds the spikes: int64 (batch, Spikes, height, width). A spike is the
	// index of an input of the layer, which is a row of its weights; -1 means that the
	// position draws no spikes because all its inputs are 0. Drawn is nil unless
	// Watcher.Spikes is set.
	Drawn *ops.Tensor
}

// Watcher asks for snapshots of Spike-By-Spike layers during a run.
type Watcher struct {
	// Layers names the layers to watch, as "L0" or "L0/SbS". An empty list means all
	// Spike-By-Spike layers.
	Layers []string

	// After lists the numbers of spikes after which to take a snapshot, in any order.
	// It must not be empty. Numbers above the number of spikes of a layer are ignored.
	After []int

	// Spikes also asks for the spikes: see Snapshot.Drawn.
	Spikes bool

	// Snapshot is called with the snapshots, in the goroutine that called Run: layer by
	// layer in the order of execution, and with an increasing number of spikes within a
	// layer. It may keep and modify the tensors. If it returns false, the run ends with
	// ErrStopped.
	Snapshot func(Snapshot) bool
}
