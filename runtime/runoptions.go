package runtime

import (
	"errors"
	"slices"

	"github.com/spike-by-spike/sbs/internal/graph"
)

// Seed selects the random numbers of all images of a run. The default is 0.
func Seed(seed uint64) RunOption {
	return runOption(func(o *graph.RunOptions) error {
		o.Seed, o.Seeds = seed, nil
		return nil
	})
}

// Seeds gives each image of the batch a seed of its own.
func Seeds(seeds []uint64) RunOption {
	seeds = slices.Clone(seeds)
	return runOption(func(o *graph.RunOptions) error {
		o.Seeds = seeds
		return nil
	})
}

// FirstImage sets the number of the first image of the batch; the next image has the
// next number. An image draws its random numbers by its seed and its number, so that
// images 0 to 63 give the same results, bit for bit, in one batch and one by one. The
// default is 0.
func FirstImage(i uint64) RunOption {
	return runOption(func(o *graph.RunOptions) error {
		o.FirstImage, o.Images = i, nil
		return nil
	})
}

// ImageNumbers gives each image of the batch a number of its own: see FirstImage.
func ImageNumbers(numbers []uint64) RunOption {
	numbers = slices.Clone(numbers)
	return runOption(func(o *graph.RunOptions) error {
		o.Images = numbers
		return nil
	})
}

// Observe calls f with the name and value of every tensor that a node computes, in the
// order of execution, from the goroutine that called Run. The output of layer i of a
// converted network is named L{i}. Values inside a function are prefixed with the name
// of the call. Values in subgraphs, and constants, are not reported. f may keep the
// tensors but must not modify them. A run with Observe takes more memory, since values
// cannot share buffers.
func Observe(f func(name string, t *Tensor)) RunOption {
	return runOption(func(o *graph.RunOptions) error {
		if f == nil {
			return errors.New("Observe needs a function")
		}
		o.Observe = f
		return nil
	})
}

// Snapshot is h of one Spike-By-Spike layer after some of its spikes.
type Snapshot = graph.Snapshot

// Watcher asks for snapshots of Spike-By-Spike layers: see Watch.
type Watcher = graph.Watcher

// Watch hands out h of Spike-By-Spike layers after chosen numbers of their spikes, and
// the spikes themselves on request, to draw how a layer settles. Watching does not
// change the outputs of the run. Each snapshot costs as much as a run of the layer with
// that many spikes. If the watcher's function returns false, Run returns an error that
// wraps ErrStopped, and no outputs.
//
// A snapshot shows one layer after some of its spikes, computed from the final output of
// the layers before it. The answer of a whole network that has few spikes everywhere is
// a Run with fewer Spikes.
func Watch(w Watcher) RunOption {
	w.Layers, w.After = slices.Clone(w.Layers), slices.Clone(w.After)
	return runOption(func(o *graph.RunOptions) error {
		o.Watch = &w
		return nil
	})
}

// InjectSpikes gives SbS nodes, by name, the spikes to use instead of random ones: int64
// (batch, number of spikes, output height, output width), each a row of the node's
// weights.
func InjectSpikes(byNode map[string]*Tensor) RunOption {
	return runOption(func(o *graph.RunOptions) error {
		o.Spikes = byNode
		return nil
	})
}

// InjectUniforms gives SbS nodes, by name, the uniform numbers in [0, 1) from which to
// draw the spikes: float32 (batch, number of spikes, output height, output width). The
// standard operators that draw uniform numbers, RandomUniform and RandomUniformLike,
// take them too, as their float32 output.
func InjectUniforms(byNode map[string]*Tensor) RunOption {
	return runOption(func(o *graph.RunOptions) error {
		o.Uniforms = byNode
		return nil
	})
}
