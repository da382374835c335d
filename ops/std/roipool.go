package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops"
)

// newMaxRoiPool returns MaxRoiPool (opsets 1, 22): regions of images X (N, C, H, W), pooled to
// the same size. Each row of rois (R, 5) is a region: the index of the image, x1, y1, x2, y2.
// X and rois have the same type, float32 or float64. The corners are rounded to pixels, and
// each element of the output (R, C, height, width) is the largest number in its part of the
// region, or 0 if that lies outside the image.
//
// Attributes: pooled_shape (required), the height and width; spatial_scale (default 1), the
// number of pixels per unit of the regions.
func newMaxRoiPool(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("pooled_shape", "spatial_scale"); err != nil {
		return nil, err
	}
	sizes, err := sizesAttr(n.Attributes, "pooled_shape", 1)
	if err != nil {
		return nil, err
	}
	if len(sizes) != 2 {
		return nil, fmt.Errorf("%w: pooled_shape %v, want a height and a width", ops.ErrAttribute, sizes)
	}
	scale, err := ops.Attr(n.Attributes, "spatial_scale", float32(1))
	return &maxRoiPool{sizes[0], sizes[1], float64(scale)}, err
}

type maxRoiPool struct {
	height, width int
	scale         float64
}

// onlyInRuns implements runOnly.
func (*maxRoiPool) onlyInRuns() {}

func (k *maxRoiPool) infer(in []*ops.Input) (ops.Type, error) {
	x, rois := in[0].Type, in[1].Type
	if err := x.CheckDType("X", floatTypes...); err != nil {
		return x, err
	}
	if err := rois.CheckDType("rois", x.DType); err != nil {
		return x, err
	}
	if len(x.Shape) != 4 || len(rois.Shape) != 2 || rois.Shape[1].Known() && rois.Shape[1].Size != 5 {
		return x, fmt.Errorf("%w: X is %v, rois is %v, want (N, C, H, W) and (R, 5)", ops.ErrShape, x, rois)
	}
	return ops.Type{DType: x.DType, Shape: []ops.Dim{rois.Shape[0], x.Shape[1], {Size: k.height}, {Size: k.width}}}, nil
}

func (k *maxRoiPool) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if out.DType() == ops.Float32 {
		return poolRegions(ctx, k, in[0].Shape(), in[0].Float32s(), in[1].Float32s(), out.Float32s())
	}
	x, _ := ops.Data[float64](in[0])
	rois, _ := ops.Data[float64](in[1])
	y, _ := ops.Data[float64](out)
	return poolRegions(ctx, k, in[0].Shape(), x, rois, y)
}

func poolRegions[T float32 | float64](ctx *ops.Context, k *maxRoiPool, shape []int, x, rois, out []T) error {
	channels, height, width := shape[1], shape[2], shape[3]
	return ctx.For(len(rois)/5*channels, 1, func(lo, hi int) error {
		watching := cancelCheck{ctx: ctx}
		for i := lo; i < hi; i++ {
			region := rois[i/channels*5:][:5]
			image := float64(region[0])
			if !(image >= 0 && image < float64(shape[0])) {
				return fmt.Errorf("%w: a region has the image index %v, and there are %d images", ops.ErrValue, image, shape[0])
			}
			plane := x[(int(image)*channels+i%channels)*height*width:][:height*width]
			for r := range k.height {
				top, bottom := pooledPart(region[2], region[4], k.scale, r, k.height, height)
				for c := range k.width {
					left, right := pooledPart(region[1], region[3], k.scale, c, k.width, width)
					var best T
					for y := top; y < bottom && left < right; y++ {
						for p, v := range plane[y*width+left : y*width+right] {
							if y == top && p == 0 || v > best || v != v {
								best = v
							}
						}
						if err := watching.after(right - left); err != nil {
							return err
						}
					}
					out[(i*k.height+r)*k.width+c] = best
				}
				if err := watching.after(8 * k.width); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// pooledPart returns the pixels along an axis of an element of the output: the first one, and
// the one after the last. It computes in the type of the regions, as the rounding decides.
func pooledPart[T float32 | float64](from, to T, scale float64, element, elements, size int) (int, int) {
	start, end := math.Round(float64(T(from*T(scale)))), math.Round(float64(T(to*T(scale)))) //nolint:unconvert // the conversion rounds
	step := T(max(end-start+1, 1)) / T(elements)
	low := math.Floor(float64(T(T(element) * step)))   //nolint:unconvert // the conversion rounds
	high := math.Ceil(float64(T(T(element+1) * step))) //nolint:unconvert // the conversion rounds
	inside := func(v float64) int {
		if v != v {
			return 0
		}
		return int(min(max(v, 0), float64(size)))
	}
	return inside(low + start), inside(high + start)
}
