package sbs

import (
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

// maxCount is the largest given count of a value.
const maxCount = math.MaxInt32
