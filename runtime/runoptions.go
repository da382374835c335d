package runtime

import (
	"errors"
	"slices"

	"github.com/spike-by-spike/sbs/internal/graph"
)

// Seed sets the seed of the random numbers of all images of a run. The default is 0.
func Seed(seed uint64) RunOption {
	return runOption(func(o *runOptions) error {
		o.Seed, o.Seeds = seed, nil
		return nil
	})
}

// Seeds sets one seed per image of the batch. The batch is the first dimension of the first
// input of the model. nil means one seed for all images: see Seed.
func Seeds(seeds []uint64) RunOption {
	seeds = slices.Clone(seeds)
	return runOption(func(o *runOptions) error {
		o.Seeds = seeds
		return nil
	})
}

// FirstImage sets the number of the first image of the batch; the numbers of the other
// images follow. The default is 0. The random numbers of an image depend on its seed and its
// number, and not on its place in the batch: images 0 to 63 give the same results, bit for
// bit, in one batch and one by one. This holds for every model but those with nodes that
// combine the images of a batch by definition, such as BatchNormalization in training mode,
// DynamicQuantizeLinear and reductions over the first axis, and for models of other programs
// whose random nodes do not have the batch as their first dimension. A model of this project
// with such nodes, which earlier versions of sbs-convert wrote, is run image by image, and
// Observe reports the values of each image.
func FirstImage(i uint64) RunOption {
	return runOption(func(o *runOptions) error {
		o.FirstImage, o.Images = i, nil
		return nil
	})
}

// ImageNumbers sets one number per image of the batch, for images that are not numbered
// consecutively. nil means consecutive numbers: see FirstImage.
func ImageNumbers(numbers []uint64) RunOption {
	numbers = slices.Clone(numbers)
	return runOption(func(o *runOptions) error {
		o.Images = numbers
		return nil
	})
}

// Observe calls f with the name and value of every tensor that a node computes, in the
// order of execution, in the goroutine that called Run. f may keep the tensors but must not
// modify them. A tensor may also be a sequence, an optional value or a map.
//
// In a model that sbs-convert has written, the output of layer 0 is named "L0", and so on.
// The name of a value inside a function starts with the name of the node that calls the
// function. Values in subgraphs, and constants that were computed when the model was loaded,
// are not reported. A run with Observe takes more memory, since values do not share buffers.
func Observe(f func(name string, t *Tensor)) RunOption {
	return runOption(func(o *runOptions) error {
		if f == nil {
			return errors.New("the function of Observe is nil")
		}
		o.Observe = f
		return nil
	})
}

// Snapshot is the state of one Spike-By-Spike layer after some of its spikes: see Watch.
type Snapshot struct {
	// Layer is the name of the layer's node, such as "L0/SbS".
	Layer string

	// Spikes is the number of spikes per output position after which the snapshot was
	// taken, and Total is the number of spikes of the layer in this run. With
	// SbSLayer.FullLayer, these are spikes per image.
	Spikes, Total int

	// H holds the activities of the neurons: float32 (batch, neurons, height, width).
	// At each output position they are not negative and their sum is 1, unless the
	// layer weights its output positions (attribute alpha_iterations).
	H *Tensor

	// Drawn holds the spikes: int64 (batch, Spikes, height, width). A spike is the
	// index of an input of the layer, which is a row of its weights; -1 means that the
	// position draws no spikes because all its inputs are 0 or, with SbSLayer.FullLayer, that
	// it does not see the place of this spike. Drawn is nil unless Watcher.Spikes is set.
	Drawn *Tensor
}

// Watcher asks for snapshots of Spike-By-Spike layers during a run: see Watch.
type Watcher struct {
	// Layers names the layers to watch, as "L0" or "L0/SbS". An empty list means all
	// Spike-By-Spike layers.
	Layers []string

	// After lists the numbers of spikes after which to take a snapshot, in any order.
	// It must not be empty. A number above the number of spikes of a layer is ignored
	// for this layer.
	After []int

	// Spikes also asks for the spikes: see Snapshot.Drawn.
	Spikes bool

	// Snapshot is called with the snapshots, in the goroutine that called Run: layer by
	// layer in the order of execution, and with an increasing number of spikes within a
	// layer. It may keep and modify the tensors. If it returns false, the run ends with
	// ErrStopped.
	Snapshot func(Snapshot) bool
}

// Watch reports the activities h of Spike-By-Spike layers after chosen numbers of their
// spikes, for example to show how a layer settles. It does not change the outputs of the
// run. A snapshot takes as long as a run of the layer with its number of spikes. If the
// function of the watcher returns false, Run returns no outputs and an error that wraps
// ErrStopped. Layers in subgraphs cannot be watched.
//
// A snapshot is computed from the final outputs of the layers before, which have drawn all
// their spikes. To see the output of a network whose layers all have few spikes, use a run
// with fewer Spikes instead.
func Watch(w Watcher) RunOption {
	g := &graph.Watcher{Layers: slices.Clone(w.Layers), After: slices.Clone(w.After), Spikes: w.Spikes}
	if w.Snapshot != nil {
		g.Snapshot = func(s graph.Snapshot) bool { return w.Snapshot(Snapshot(s)) }
	}
	return runOption(func(o *runOptions) error {
		o.Watch = g
		return nil
	})
}

// InjectSpikes sets the spikes of Spike-By-Spike layers, named as "L0" or "L0/SbS", instead
// of random ones. They are int64 tensors (batch, number of spikes, output height, output
// width). A spike is an index of a row of the weights of the layer; -1 is allowed where
// all inputs of an output position are 0. For a SpikeImage layer the tensor is (batch, number
// of spikes, 1, 1), and a spike is an index of a value of the image; for a Poisson layer it
// holds the counts of all values, in the shape of the layer's input. Injected spikes take
// precedence over injected uniforms. The caller must not modify the tensors until Run returns.
func InjectSpikes(byLayer map[string]*Tensor) RunOption {
	return runOption(func(o *runOptions) error {
		o.Spikes = byLayer
		return nil
	})
}

// InjectUniforms sets the numbers in [0, 1) from which Spike-By-Spike, SpikeImage and Poisson
// layers draw their spikes or counts, named as "L0" or "L0/SbS", instead of random ones. They
// are float32 tensors with the shapes of InjectSpikes. Nodes with the standard operators
// RandomUniform and RandomUniformLike also accept them, under the name of the node: the
// tensor is then the output of the node. The caller must not modify the tensors
// until Run returns.
func InjectUniforms(byLayer map[string]*Tensor) RunOption {
	return runOption(func(o *runOptions) error {
		o.Uniforms = byLayer
		return nil
	})
}
