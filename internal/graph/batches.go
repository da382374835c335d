package graph

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/ops"
)

// drawsPerImage lists the standard operators that draw random numbers of which the first
// dimension is the batch. The fallbacks of the SbS operator that earlier versions wrote draw
// the spikes of all images at once: the numbers of an image would then depend on the other
// images of its batch.
var drawsPerImage = []string{"Bernoulli", "Multinomial", "RandomNormalLike", "RandomUniformLike"}

// probes are batch sizes that are unlikely to equal another dimension.
var probes = [2]int{3, 11}

// findBatches sets p.together to the first node whose random numbers do not have the batch
// as their first dimension. It infers the types of all values for some batch sizes. Only the
// models of this project are checked: the first dimension of another model may be something
// else than the batch, such as the steps of a sequence.
func (k *compiler) findBatches() error {
	p := k.p
	if !metadata.IsOwn(p.Metadata) {
		return nil
	}
	var draws []*Step
	p.Main.walk(func(g *Graph) {
		for i := range g.Steps {
			if slices.Contains(drawsPerImage, g.Steps[i].Operator) {
				draws = append(draws, &g.Steps[i])
			}
		}
	})
	if len(draws) == 0 || len(p.Inputs) == 0 || len(p.Inputs[0].Shape) == 0 || p.Inputs[0].Shape[0].Known() {
		return nil
	}
	first := map[*Step][]int{} // the first dimension for each batch size, -1 if it is unknown
	for _, size := range probes {
		in := p.inputTypes()
		for _, x := range in[:len(p.Inputs)] {
			if x != nil && len(x.Shape) > 0 && !x.Shape[0].Known() {
				x.Shape = slices.Clone(x.Shape)
				x.Shape[0] = ops.Dim{Size: size}
			}
		}
		inf := k.newInference()
		inf.tolerate = Problem.error // a batch of this size may be impossible
		seen := map[*Step]int{}
		inf.inferred = func(s *Step, out []ops.Type) {
			seen[s] = -1
			if len(out) > 0 && len(out[0].Shape) > 0 {
				seen[s] = out[0].Shape[0].Size
			}
		}
		if _, err := inf.graph(p.Main, in); err != nil && k.Context.Err() != nil {
			return err
		}
		for _, s := range draws {
			n, ok := seen[s]
			if !ok {
				n = -1
			}
			first[s] = append(first[s], n)
		}
	}
	for _, s := range draws {
		if !slices.Equal(first[s], probes[:]) {
			p.together = s
			return nil
		}
	}
	return nil
}

// Run computes the outputs for the given inputs, both by name.
func (p *Program) Run(ctx context.Context, inputs map[string]*ops.Tensor, o RunOptions) (map[string]*ops.Tensor, error) {
	if ctx == nil {
		return nil, errors.New("the context is nil: pass context.Background() if the run need not end early")
	}
	if err := p.CheckInputs(inputs); err != nil {
		return nil, err
	}
	if err := p.checkOptions(&o, inputs); err != nil {
		return nil, err
	}
	if out, done, err := p.runEach(ctx, inputs, o); done || err != nil {
		return out, err
	}
	return p.runWhole(ctx, inputs, o)
}

// runEach runs a batch image by image, for a program whose random numbers would otherwise
// depend on the batch. It treats a batch of one image in the same way, so that an image has
// the same numbers alone and in a batch. It reports false if the batch cannot be divided: an input or an
// output has no entry per image, or the caller has given the random numbers.
func (p *Program) runEach(ctx context.Context, inputs map[string]*ops.Tensor, o RunOptions) (map[string]*ops.Tensor, bool, error) {
	if p.together == nil || len(o.Spikes)+len(o.Uniforms) > 0 {
		return nil, false, nil
	}
	batch := inputs[p.Inputs[0].Name].Shape()[0]
	if batch == 0 {
		return nil, false, nil
	}
	for _, in := range p.Inputs {
		if shape := inputs[in.Name].Shape(); len(shape) == 0 || shape[0] != batch || in.Shape[0].Known() {
			return nil, false, nil
		}
	}
	rows := map[string][]*ops.Tensor{}
	var memory int64 // of the rows
	for i := range batch {
		one := maps.Clone(inputs) // an optional input has no entry per image
		for _, in := range p.Inputs {
			t := inputs[in.Name]
			row, err := t.Take(0, i)
			if err == nil {
				one[in.Name], err = row.Reshaped(append([]int{1}, t.Shape()[1:]...))
			}
			if err != nil {
				return nil, false, err
			}
		}
		// Nodes take the entries of another dimension for images. One seed for each image keeps
		// the numbers of different images independent of each other.
		numbers := ops.Context{Seed: o.Seed, FirstImage: o.FirstImage, Seeds: o.Seeds, Images: o.Images}
		part := o
		part.Seed = rand.NewPCG(numbers.ImageSeed(i), numbers.Image(i)).Uint64()
		part.FirstImage, part.Seeds, part.Images = 0, nil, nil
		if i > 0 {
			part.Updates = nil // the same for every image
		}
		out, err := p.runWhole(ctx, one, part)
		if err != nil {
			return nil, false, err
		}
		for name, t := range out {
			if len(t.Shape()) == 0 || t.Shape()[0] != 1 {
				return nil, false, nil
			}
			if memory += size(t); i == 0 {
				memory += size(t) * int64(batch) // of all rows together
			}
			rows[name] = append(rows[name], t)
		}
		if err := p.fits(memory); err != nil {
			return nil, false, err
		}
	}
	all := map[string]*ops.Tensor{}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		joined, err := join(rows[name])
		if err != nil {
			return nil, false, fmt.Errorf("output %q: %w", name, err)
		}
		all[name] = joined
	}
	return all, true, nil
}

// join joins rows along their first dimension, which is 1.
func join(rows []*ops.Tensor) (*ops.Tensor, error) {
	shape := slices.Clone(rows[0].Shape())
	shape[0] = len(rows)
	out, err := ops.Zeros(rows[0].DType(), shape)
	if err != nil {
		return nil, err
	}
	for i, t := range rows {
		if !slices.Equal(t.Shape(), rows[0].Shape()) {
			return nil, fmt.Errorf("%w: it is %v for the first image, but %v for image %d of the batch: run the images one by one", ops.ErrShape, ops.TypeOf(rows[0]), ops.TypeOf(t), i)
		}
		row, err := t.Reshaped(shape[1:])
		if err == nil {
			err = out.Put(0, i, row)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
