package runtime

import (
	"errors"
	"time"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/ops"
)

// NodeProfile is the measurement of one execution of a node: see Profile.
type NodeProfile struct {
	Node     string   // the name of the node, or else of its first output
	Operator string   // as domain.Name, or Name for standard operators
	Output   ops.Type // of the first output

	// Time is how long the node took. Self is Time without the nodes of its subgraphs, which
	// are reported on their own: the Self of all nodes add up.
	Time, Self time.Duration

	// Memory is the memory of the values in use while the node ran, with its temporary
	// memory, in bytes: see MemoryLimit.
	Memory int64
}

// Profile calls f after every execution of a node, in the goroutine that called Run. A node in
// the body of a loop is reported before the loop, and once per iteration. The name of a node
// inside a function starts with the name of the node that calls the function. Values that were
// computed when the model was loaded, or follow from the shapes of the inputs, take no time
// and are not reported; large values that follow from constants are reported in the first run of
// some input shapes only. In a model with stages, the nodes of every stage that an image reached
// are reported. Nodes that run as one, such as Conv and Relu, are one node, whose name and operator
// are those of the nodes, joined with +. A run without Profile measures nothing.
func Profile(f func(NodeProfile)) RunOption {
	return runOption(func(o *runOptions) error {
		if f == nil {
			return errors.New("the function of Profile is nil")
		}
		o.Profile = &graph.Profiler{Report: func(n graph.NodeProfile) { f(NodeProfile(n)) }}
		return nil
	})
}
