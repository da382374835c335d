package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops"
)

// newRoiAlign returns RoiAlign (opsets 10, 16): regions of images X (N, C, H, W), pooled to
// the same size. rois (R, 4) holds the regions, (x1, y1, x2, y2), and batch_indices (R),
// int64, their images. X and rois have the same type, float32 or float64. Each element of
// the output (R, C, output_height, output_width) is the mean or the maximum of a grid of
// sampling points in its part of the region. Values at points between pixels are
// interpolated.
//
// Attributes: mode (default avg; or max); output_height (default 1), output_width (default
// 1); sampling_ratio (default 0), the number of sampling points per element and axis, where
// 0 means one per pixel; spatial_scale (default 1), the number of pixels per unit of the
// regions; coordinate_transformation_mode (default half_pixel; or output_half_pixel, which
// moves the regions by half a pixel and makes them at least one pixel large; since opset
// 16; before that, output_half_pixel is used).
func newRoiAlign(n ops.Node) (operation, error) {
	known := []string{"mode", "output_height", "output_width", "sampling_ratio", "spatial_scale"}
	if n.Opset >= 16 {
		known = append(known, "coordinate_transformation_mode")
	}
	if err := n.Attributes.Only(known...); err != nil {
		return nil, err
	}
	k := &roiAlign{offset: 0.5}
	coordinates, err := choiceAttr(n.Attributes, "coordinate_transformation_mode", "half_pixel", "output_half_pixel")
	if err != nil {
		return nil, err
	}
	if coordinates == "output_half_pixel" || n.Opset < 16 {
		k.offset = 0
	}
	mode, err := choiceAttr(n.Attributes, "mode", "avg", "max")
	if err != nil {
		return nil, err
	}
	k.largest = mode == "max"
	for _, p := range []struct {
		name             string
		standard, lowest int64
		value            *int
	}{{"output_height", 1, 1, &k.height}, {"output_width", 1, 1, &k.width}, {"sampling_ratio", 0, 0, &k.points}} {
		v, err := ops.Attr(n.Attributes, p.name, p.standard)
		if err != nil {
			return nil, err
		}
		if v < p.lowest || v > ops.MaxElements {
			return nil, fmt.Errorf("%w: %s %d is out of range", ops.ErrAttribute, p.name, v)
		}
		*p.value = int(v)
	}
	scale, err := ops.Attr(n.Attributes, "spatial_scale", float32(1))
	k.scale = float64(scale)
	return k, err
}

type roiAlign struct {
	height, width, points int
	scale, offset         float64
	largest               bool
}

// onlyInRuns implements runOnly.
func (*roiAlign) onlyInRuns() {}

func (k *roiAlign) infer(in []*ops.Input) (ops.Type, error) {
	x, rois := in[0].Type, in[1].Type
	if err := checkDType("X", x, floatTypes...); err != nil {
		return x, err
	}
	if err := checkDType("rois", rois, x.DType); err != nil {
		return x, err
	}
	number, err := checkVector("batch_indices", in[2], ops.Int64)
	if err != nil {
		return x, err
	}
	ok := len(x.Shape) == 4 && len(rois.Shape) == 2 && (!rois.Shape[1].Known() || rois.Shape[1].Size == 4)
	if ok {
		number, ok = mergeDims(number, rois.Shape[0])
	}
	if !ok || x.Shape[2].Size == 0 || x.Shape[3].Size == 0 {
		return x, fmt.Errorf("%w: X is %v, rois is %v, batch_indices is %v", ops.ErrShape, x, rois, in[2].Type)
	}
	return ops.Type{DType: x.DType, Shape: []ops.Dim{number, x.Shape[1], {Size: k.height}, {Size: k.width}}}, nil
}

// maxPoints is the maximum number of sampling points of an element along an axis. Without a
// limit, a region in a file could ask for endless work.
const maxPoints = 1 << 10

func (k *roiAlign) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	shape := in[0].Shape()
	t := temporary{ctx: ctx}
	rois, images := elementsOf[float64](&t, in[1]), in[2].Int64s()
	if t.err != nil {
		return t.err
	}
	channels, entries := shape[1], k.height*k.width
	return ctx.For(len(images)*channels, 1, func(lo, hi int) error {
		plane, err := ops.Temporary[float64](ctx, shape[2]*shape[3])
		if err != nil {
			return err
		}
		defer ops.Free(ctx, plane)
		for i := lo; i < hi; i++ {
			r := i / channels
			image, err := resolveIndex(images[r], shape[0])
			if err != nil {
				return err
			}
			if err := loadAll(ctx, plane, in[0], (image*channels+i%channels)*len(plane), 1); err != nil {
				return err
			}
			rows, err := k.part(rois[r*4+1], rois[r*4+3], k.height)
			if err != nil {
				return err
			}
			columns, err := k.part(rois[r*4], rois[r*4+2], k.width)
			if err != nil {
				return err
			}
			for e := range entries {
				if err := ctx.Err(); err != nil {
					return err
				}
				v := k.entry(plane, shape[2], shape[3], rows, columns, e/k.width, e%k.width)
				store(out, i*entries+e, 1, []float64{v})
			}
		}
		return nil
	})
}

// grid holds the sampling points of a region along one axis.
type grid struct {
	start, step float64
	points      int // per element of the output
}

// at returns the place of a sampling point of an element of the output.
func (g grid) at(element, point int) float64 {
	return g.start + float64((float64(element*g.points+point)+0.5)*g.step)
}

// part returns the sampling points along one axis of a region from one place to another,
// with the given number of elements of the output.
func (k *roiAlign) part(from, to float64, entries int) (grid, error) {
	start := float64(from*k.scale) - k.offset
	size := float64(to*k.scale) - k.offset - start
	if k.offset == 0 {
		size = max(size, 1)
	}
	size /= float64(entries)
	n := float64(k.points)
	if k.points == 0 {
		n = math.Ceil(size)
	}
	if !(n <= maxPoints) {
		return grid{}, fmt.Errorf("%w: the region from %v to %v needs %v sampling points per element, want at most %d", ops.ErrShape, from, to, n, maxPoints)
	}
	n = max(n, 0)
	g := grid{start: start, points: int(n)}
	if n > 0 {
		g.step = size / n
	}
	return g, nil
}

// entry computes one element of the output.
func (k *roiAlign) entry(plane []float64, height, width int, rows, columns grid, row, column int) float64 {
	total, top := 0.0, math.Inf(-1)
	for i := range rows.points {
		y := rows.at(row, i)
		for j := range columns.points {
			v := bilinear(plane, height, width, y, columns.at(column, j))
			total += v
			top = max(top, v)
		}
	}
	n := rows.points * columns.points
	switch {
	case n == 0:
		return 0
	case k.largest:
		return top
	}
	return total / float64(n)
}

// bilinear interpolates between four pixels. Places more than a pixel outside the image
// yield 0.
func bilinear(plane []float64, height, width int, y, x float64) float64 {
	if !(y >= -1 && y <= float64(height) && x >= -1 && x <= float64(width)) {
		return 0
	}
	y, x = min(max(y, 0), float64(height-1)), min(max(x, 0), float64(width-1))
	r, c := int(y), int(x)
	below, right := min(r+1, height-1), min(c+1, width-1)
	fy, fx := y-float64(r), x-float64(c)
	between := func(a, b, f float64) float64 { return float64((1-f)*a) + float64(f*b) }
	upper := between(plane[r*width+c], plane[r*width+right], fx)
	lower := between(plane[below*width+c], plane[below*width+right], fx)
	return between(upper, lower, fy)
}
