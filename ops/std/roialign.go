package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops"
)

// newRoiAlign returns RoiAlign (opsets 10, 16, 22): regions of images X (N, C, H, W), pooled to
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
	if err := x.CheckDType("X", floatTypes...); err != nil {
		return x, err
	}
	if err := rois.CheckDType("rois", x.DType); err != nil {
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
	t := temporary{ctx: ctx}
	rois := elementsOf[float64](&t, in[1])
	if t.err != nil {
		return t.err
	}
	if in[0].DType() == ops.Float32 {
		return alignRegions(ctx, k, in, rois, in[0].Float32s(), out.Float32s())
	}
	x, _ := ops.Data[float64](in[0])
	y, _ := ops.Data[float64](out)
	return alignRegions(ctx, k, in, rois, x, y)
}

// alignedChannels is the number of channels for which the places of the sampling points are
// computed once.
const alignedChannels = 64

func alignRegions[T float32 | float64](ctx *ops.Context, k *roiAlign, in []*ops.Tensor, rois []float64, x, y []T) error {
	shape, images := in[0].Shape(), in[2].Int64s()
	channels, pixels, entries := shape[1], shape[2]*shape[3], k.height*k.width
	blocks := (channels + alignedChannels - 1) / alignedChannels
	return ctx.For(len(images)*blocks, 1, func(lo, hi int) error {
		watching := cancelCheck{ctx: ctx}
		var results [alignedChannels]float64
		points := make([]samplingPoint, 0, chunk)
		for ; lo < hi; lo++ {
			r, first := lo/blocks, lo%blocks*alignedChannels
			n := min(alignedChannels, channels-first)
			image, err := resolveIndex(images[r], shape[0])
			if err != nil {
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
			planes := x[(image*channels+first)*pixels:][:n*pixels]
			for e := range entries {
				total := rows.points * columns.points
				clear(results[:])
				for from := 0; from < total; from += chunk {
					points = points[:0]
					for i := from; i < min(from+chunk, total); i++ {
						points = append(points, bilinear(shape[2], shape[3], rows.at(e/k.width, i/columns.points), columns.at(e%k.width, i%columns.points)))
					}
					for c := range n {
						results[c] = pooled(results[c], points, planes[c*pixels:][:pixels], k.largest, from == 0)
					}
					if err := watching.after(n * len(points)); err != nil {
						return err
					}
				}
				for c := range n {
					v := results[c]
					if !k.largest && total > 0 {
						v /= float64(total)
					}
					y[(r*channels+first+c)*entries+e] = T(v)
				}
				if err := watching.after(n); err != nil {
					return err
				}
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

// samplingPoint holds the four pixels around a place and their weights.
type samplingPoint struct {
	pixel  [4]int
	weight [4]float64
}

// pooled adds sampling points to the result of an element of the output. The maximum is, as in
// all implementations of ONNX, that of the weighted pixels, not of the interpolated values.
func pooled[T float32 | float64](v float64, points []samplingPoint, plane []T, largest, first bool) float64 {
	for i := range points {
		p := &points[i]
		a, b := float64(p.weight[0]*float64(plane[p.pixel[0]])), float64(p.weight[1]*float64(plane[p.pixel[1]]))
		c, d := float64(p.weight[2]*float64(plane[p.pixel[2]])), float64(p.weight[3]*float64(plane[p.pixel[3]]))
		switch {
		case !largest:
			v += a + b + c + d
		case first && i == 0:
			v = max(a, b, c, d)
		default:
			v = max(v, a, b, c, d)
		}
	}
	return v
}

// bilinear returns the pixels between which a place is interpolated. Places more than a pixel
// outside the image have weights of 0.
func bilinear(height, width int, y, x float64) (p samplingPoint) {
	if !(y >= -1 && y <= float64(height) && x >= -1 && x <= float64(width)) {
		return p
	}
	y, x = min(max(y, 0), float64(height-1)), min(max(x, 0), float64(width-1))
	r, c := int(y), int(x)
	below, right := min(r+1, height-1), min(c+1, width-1)
	fy, fx := y-float64(r), x-float64(c)
	p.pixel = [4]int{r*width + c, r*width + right, below*width + c, below*width + right}
	p.weight = [4]float64{(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx}
	return p
}
