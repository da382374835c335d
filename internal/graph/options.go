package graph

import (
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

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

// RunOptions sets how one run is done.
type RunOptions struct {
	Seed, FirstImage uint64
	Seeds, Images    []uint64 // one per image, instead of Seed and of FirstImage and the numbers after it
	Observe          func(name string, t *ops.Tensor)
	Watch            *Watcher
	Spikes, Uniforms map[string]*ops.Tensor  // by node
	Dynamics         sbs.Dynamics            // of all SbS nodes
	Layers           map[string]sbs.Dynamics // of single SbS nodes, by layer; see MatchLayer
}

// Snapshot is h of one SbS layer after some of its spikes.
type Snapshot struct {
	Layer  string      // the name of the node, such as "L0/SbS"
	Spikes int         // the number of spikes so far
	H      *ops.Tensor // float32 (batch, neurons, height, width)
	Drawn  *ops.Tensor // int64 (batch, Spikes, height, width), rows of W; nil unless asked for
}

// Watcher asks for snapshots of SbS layers while a model runs.
type Watcher struct {
	// Layers names the layers to watch, as "L0" or "L0/SbS"; nil means all SbS
	// layers.
	Layers []string

	// After lists the numbers of spikes after which to take a snapshot, in any order.
	// Numbers above the layer's number of spikes are ignored.
	After []int

	// Spikes asks for the spikes as well.
	Spikes bool

	// Snapshot gets the snapshots: layer by layer in the order of execution, and by
	// the number of spikes within a layer, from the goroutine that called Run. It may
	// keep and modify the tensors. If it returns false, the run ends with ErrStopped.
	Snapshot func(Snapshot) bool
}
