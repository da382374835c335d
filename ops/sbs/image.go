package sbs

import (
	"context"
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// ImageParams holds the attributes of a Poisson or SpikeImage node, whose random numbers belong
// to a whole image. The descriptions of the operators say what they mean.
type ImageParams struct {
	Spikes       int     // number_of_spikes, 1 to MaxSpikes
	Seed         int64   // seed
	FunctionSeed float32 // function_seed; this package does not use it
}

// ImageParamsOf reads and checks the attributes of a Poisson or SpikeImage node. It refuses
// attributes that it does not know. The error wraps ops.ErrAttribute.
func ImageParamsOf(a ops.Attributes) (ImageParams, error) {
	r := attrReader{attrs: a, err: a.Only(AttrSpikes, AttrSeed, AttrFunctionSeed)}
	p := ImageParams{
		Spikes:       int(attr[int64](&r, AttrSpikes, 0)),
		Seed:         attr[int64](&r, AttrSeed, 0),
		FunctionSeed: attr[float32](&r, AttrFunctionSeed, 0),
	}
	if r.err == nil && (p.Spikes < 1 || p.Spikes > MaxSpikes) {
		r.err = fmt.Errorf("%w: %s is %d, want 1 to %d", ops.ErrAttribute, AttrSpikes, p.Spikes, MaxSpikes)
	}
	return p, r.err
}

// Attributes returns the attributes from which ImageParamsOf makes p. It does not check p.
func (p ImageParams) Attributes() ops.Attributes {
	return ops.Attributes{AttrSpikes: int64(p.Spikes), AttrSeed: p.Seed, AttrFunctionSeed: p.FunctionSeed}
}

// imageKey returns what the random numbers of entry b of the batch have in common.
func (p *ImageParams) imageKey(ctx *ops.Context, b int) uint64 {
	return kernel.ImageKey(ctx.ImageSeed(b), uint64(p.Seed), ctx.Image(b))
}

// inputGivenOfImage is the input of a Poisson or SpikeImage node for numbers to use instead of
// random ones.
const inputGivenOfImage = 1

// inferImage checks the type of X, (B, C, H, W), which is also the type of the output.
func inferImage(in []*ops.Input) (ops.Type, error) {
	x := optional(in, 0)
	if x == nil {
		return ops.Type{}, fmt.Errorf("%w: the input X is missing", ops.ErrShape)
	}
	if x.DType != ops.Float32 || len(x.Shape) != 4 {
		return ops.Type{}, fmt.Errorf("%w: X is %v, want float32(batch, channels, height, width)", ops.ErrShape, x.Type)
	}
	return x.Type, nil
}

// checkImageGradients checks the arguments of Backward of an operator whose output has the type
// of X.
func checkImageGradients(in, out, gradOut, gradIn []*ops.Tensor) error {
	if err := ops.CheckGradients(in, out, gradOut, gradIn); err != nil {
		return err
	}
	if len(in) < 1 || len(out) != 1 || in[0] == nil {
		return fmt.Errorf("%w: want the input X and one output", ops.ErrShape)
	}
	return ops.TypeOf(in[0]).Check(out[0])
}

// imageNumbers describes the spikes that can be given to a node that draws them from whole images,
// for the type of X.
func imageNumbers(x ops.Type, spikes int) numbers {
	n := numbers{
		shape: []ops.Dim{x.Shape[0], {Size: spikes}, {Size: 1}, {Size: 1}},
		sizes: "(batch, number_of_spikes, 1, 1)", source: "image", most: math.MaxInt32,
	}
	if sizes, ok := (ops.Type{Shape: x.Shape[1:]}).Sizes(); ok {
		if values, err := ops.Len(sizes); err == nil {
			n.most = int64(values) - 1
		}
	}
	return n
}

// checkImageSize returns an error if spikes cannot be drawn from an image with so many values.
func checkImageSize(values int) error {
	if values > math.MaxInt32 {
		return fmt.Errorf("%w: an image of X has %d values, more than %d", ops.ErrShape, values, math.MaxInt32)
	}
	return nil
}

// imageSpikes draws spikes from one image after the other. It is temporary memory of one worker.
type imageSpikes struct {
	sums    []float32 // the running sums of an image
	sampler *kernel.Sampler
}

// newImageSpikes returns memory for images with n values. It takes imageSpikesBytes.
func newImageSpikes(n int) *imageSpikes {
	return &imageSpikes{sums: make([]float32, n), sampler: kernel.NewSampler(n)}
}

func imageSpikesBytes(n int) int64 { return 4*int64(n) + kernel.SamplerBytes(n) }

// start prepares to draw the spikes of an image, the one with this index in the batch, and
// returns its sum. There are no spikes if the sum is 0. The sums are added in float64 and each is
// rounded, as in PyTorch: an image has many more values than a patch.
func (s *imageSpikes) start(ctx context.Context, image []float32, index int, given *injected) (total float32, err error) {
	var sum float64
	if err := inParts(ctx, len(image), func(lo, hi int) {
		for i, v := range image[lo:hi] {
			sum += float64(v)
			s.sums[lo+i] = float32(sum)
		}
	}); err != nil {
		return 0, err
	}
	switch total = float32(sum); {
	case !(total <= math.MaxFloat32):
		return 0, fmt.Errorf("%w: X: the sum over image %d is too large for float32", ops.ErrValue, index)
	case total > 0 && !given.any():
		s.sampler.Prepare(s.sums)
	}
	return total, nil
}

// draw sets dst to spikes first, first+1, ... of the image, for an even first: the given ones, or
// random ones with a key.
func (s *imageSpikes) draw(ctx context.Context, dst []int32, index, first int, given *injected, key uint64, lowDiscrepancy bool) error {
	if given.any() {
		return given.spikes(ctx, dst, s.sums, index, first, 0)
	}
	s.sampler.Draw(dst, first, key, lowDiscrepancy)
	return nil
}

// inParts calls f for consecutive parts of [0, n), and checks the context before each.
func inParts(ctx context.Context, n int, f func(lo, hi int)) error {
	for lo := 0; lo < n; lo += checkGrain {
		if err := ctx.Err(); err != nil {
			return err
		}
		f(lo, min(lo+checkGrain, n))
	}
	return nil
}
