package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newGridSample returns GridSample (opsets 16, 20, 22): images X (N, C, H, W), sampled at the
// places in the grid (N, H', W', 2). A place is (x, y), from -1 at the first pixel to 1 at the
// last one. Since opset 20 there may be any number r of spatial axes, here at most 6: X is
// (N, C, D1, ..., Dr), the grid is (N, D1', ..., Dr', r), and a place lists the axes in reverse
// order. X has any numeric type, in mode nearest any type at all; the grid is float32 or
// float64.
//
// Attributes: mode (default linear; or nearest, cubic; before opset 20 linear is named
// bilinear and cubic is named bicubic); padding_mode, the value of places outside the image
// (default zeros; or border, the nearest pixel; or reflection); align_corners (default 0: -1
// and 1 are the outer edges of the first and last pixel; 1: their centers).
func newGridSample(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("align_corners", "mode", "padding_mode"); err != nil {
		return nil, err
	}
	k := gridSample{axes: 2}
	modes := []string{"bilinear", "nearest", "bicubic"}
	if n.Opset >= 20 {
		k.axes, modes = maxGridAxes, []string{"linear", "nearest", "cubic"}
	}
	mode, err := choiceAttr(n.Attributes, "mode", modes...)
	if err != nil {
		return nil, err
	}
	k.nearest, k.cubic = mode == modes[1], mode == modes[2]
	if k.padding, err = choiceAttr(n.Attributes, "padding_mode", "zeros", "border", "reflection"); err != nil {
		return nil, err
	}
	k.align, err = flagAttr(n.Attributes, "align_corners")
	return &k, err
}

// maxGridAxes is the maximum number of spatial axes. The number of pixels that belong to a
// place grows exponentially with it.
const maxGridAxes = 6

type gridSample struct {
	axes           int // maximum number of spatial axes
	nearest, cubic bool
	padding        string
	align          bool
}

func (k *gridSample) infer(in []*ops.Input) (ops.Type, error) {
	x, grid := in[0].Type, in[1].Type
	if !k.nearest {
		if err := x.CheckDType("X", numericTypes...); err != nil {
			return x, err
		}
	}
	if err := grid.CheckDType("grid", floatTypes...); err != nil {
		return x, err
	}
	axes := len(x.Shape) - 2
	ok := axes >= 1 && axes <= k.axes && len(grid.Shape) == axes+2 && (k.axes > 2 || axes == 2)
	var batch ops.Dim
	if ok {
		batch, ok = mergeDims(x.Shape[0], grid.Shape[0])
	}
	if !ok || grid.Shape[axes+1].Known() && grid.Shape[axes+1].Size != axes {
		return x, fmt.Errorf("%w: X is %v, grid is %v, want (N, C, D1, ..., Dr) and (N, D1', ..., Dr', r) with at most %d spatial axes", ops.ErrShape, x, grid, k.axes)
	}
	for _, d := range x.Shape[2:] {
		if d.Size == 0 {
			return x, fmt.Errorf("%w: X is %v, which has no pixels", ops.ErrShape, x)
		}
	}
	return ops.Type{DType: x.DType, Shape: slices.Concat([]ops.Dim{batch, x.Shape[1]}, grid.Shape[1:axes+1])}, nil
}

func (k *gridSample) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if out.Len() == 0 {
		return nil
	}
	shape := in[0].Shape()
	s := &sampling{gridSample: k, grid: in[1], single: in[1].Float32s(), sizes: shape[2:], channels: shape[1], positions: numElements(out.Shape()[2:])}
	x, y := in[0], out
	switch {
	case k.nearest:
		return s.copyNearest(ctx, x, out)
	case x.DType() == ops.Float32:
		return sampleImages(ctx, s, x.Float32s(), y.Float32s())
	}
	t := temporary{ctx: ctx}
	from := elementsOf[float64](&t, x)
	to, ok := ops.Data[float64](y)
	if !ok {
		to = bufferOf[float64](&t, y.Len())
	}
	if t.err != nil {
		return t.err
	}
	if err := sampleImages(ctx, s, from, to); err != nil || ok {
		return err
	}
	return storeAll(ctx, y, 0, 1, to)
}

// sampling is a GridSample of known shapes.
type sampling struct {
	*gridSample
	grid                *ops.Tensor
	single              []float32 // the elements of a grid of float32
	sizes               []int     // of the spatial axes of X
	channels, positions int       // of an image
}

// copyNearest copies a pixel to each element of the output.
func (s *sampling) copyNearest(ctx *ops.Context, x, out *ops.Tensor) error {
	pixels := numElements(s.sizes)
	return take(ctx, out, x, nil, 1, func(first int, from []int) error {
		for i := range from {
			channel, position := (first+i)/s.positions, (first+i)%s.positions
			at := 0
			for axis, size := range s.sizes {
				p := s.inside(math.RoundToEven(s.place(channel/s.channels*s.positions+position, axis)), size)
				if !(p >= 0 && p < float64(size)) {
					at = nowhere
					break
				}
				at = at*size + int(p)
			}
			if from[i] = at; at != nowhere {
				from[i] += channel * pixels
			}
		}
		return nil
	})
}

// place returns the coordinate along an axis of a place of the grid, in pixels. It computes
// in the type of the grid, as a place halfway between two pixels must stay there.
func (s *sampling) place(position, axis int) float64 {
	at := (position+1)*len(s.sizes) - 1 - axis
	if s.single != nil {
		return float64(pixelOf(s.single[at], float32(s.sizes[axis]), s.align))
	}
	g, _ := ops.Data[float64](s.grid)
	return pixelOf(g[at], float64(s.sizes[axis]), s.align)
}

// pixelOf converts a coordinate between -1 and 1 to pixels.
func pixelOf[T float32 | float64](v, size T, align bool) T {
	if align {
		return T((v + 1) / 2 * (size - 1)) //nolint:unconvert // the conversion rounds
	}
	return (T((v+1)*size) - 1) / 2 //nolint:unconvert // the conversion rounds
}

// inside maps a place outside the image to a place inside, unless places outside count as
// 0.
func (k *gridSample) inside(x float64, size int) float64 {
	last := float64(size - 1)
	switch k.padding {
	case "border":
		return min(max(x, 0), last)
	case "reflection":
		low, span := -0.5, float64(size)
		if k.align {
			low, span = 0, last
		}
		if span == 0 {
			return 0
		}
		x = math.Mod(math.Abs(x-low), 2*span)
		if x > span {
			x = 2*span - x
		}
		return min(max(x+low, 0), last)
	}
	return x
}

// taps sets the pixels along an axis whose weighted sum is the value at a place, and their
// weights. An index of nowhere stands for 0.
func (s *sampling) taps(x float64, size int, index []int, weight []float64) {
	if !s.cubic {
		x = s.inside(x, size)
	}
	start := math.Floor(x)
	f := x - start
	if s.cubic {
		for i := range weight {
			weight[i] = cubicWeight(math.Abs(float64(i-1)-f), -0.75)
		}
		start--
	} else {
		weight[0], weight[1] = 1-f, f
	}
	for i := range index {
		at := start + float64(i)
		if s.cubic {
			at = s.inside(at, size)
		}
		index[i] = nowhere
		if at >= 0 && at < float64(size) {
			index[i] = int(at)
		}
	}
}

// sampleImages computes the modes linear and cubic. It finds the pixels of a place once for
// all channels.
func sampleImages[T float32 | float64](ctx *ops.Context, s *sampling, x, out []T) error {
	perAxis, taps := 2, 1
	if s.cubic {
		perAxis = 4
	}
	for range s.sizes {
		taps *= perAxis
	}
	pixels, block := numElements(s.sizes), max(1, (1<<12)/taps)
	blocks := (s.positions + block - 1) / block // of an image
	images := len(out) / (s.positions * s.channels)
	return ctx.For(images*blocks, 1, func(lo, hi int) error {
		t := temporary{ctx: ctx}
		index, weight := bufferOf[int](&t, block*taps), bufferOf[float64](&t, block*taps)
		if t.err != nil {
			return t.err
		}
		defer ops.Free(ctx, index)
		defer ops.Free(ctx, weight)
		watching := cancelCheck{ctx: ctx}
		for ; lo < hi; lo++ {
			image, first := lo/blocks, lo%blocks*block
			n := min(block, s.positions-first)
			for i := range n {
				s.expand(image*s.positions+first+i, perAxis, index[i*taps:][:taps], weight[i*taps:][:taps])
			}
			for c := range s.channels {
				plane := x[(image*s.channels+c)*pixels:][:pixels]
				row := out[(image*s.channels+c)*s.positions+first:][:n]
				for i := range row {
					if taps == 4 {
						at, w := index[4*i:4*i+4:4*i+4], weight[4*i:4*i+4:4*i+4]
						if at[0]|at[1]|at[2]|at[3] >= 0 { // all are in the image
							sum := float64(w[0]*float64(plane[at[0]])) + float64(w[1]*float64(plane[at[1]]))
							row[i] = T(sum + float64(w[2]*float64(plane[at[2]])) + float64(w[3]*float64(plane[at[3]])))
							continue
						}
					}
					sum := 0.0
					for j, at := range index[i*taps:][:taps] {
						if at != nowhere {
							sum += float64(weight[i*taps+j] * float64(plane[at]))
						}
					}
					row[i] = T(sum)
				}
				if err := watching.after(n * taps); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// expand sets the pixels of a place, by their index in a plane, and their weights.
func (s *sampling) expand(position, perAxis int, index []int, weight []float64) {
	if len(index) == 4 && perAxis == 2 && s.expandInside(position, index, weight) {
		return
	}
	var axisIndex [4]int
	var axisWeight [4]float64
	index[0], weight[0] = 0, 1
	count := 1
	for axis, size := range s.sizes {
		s.taps(s.place(position, axis), size, axisIndex[:perAxis], axisWeight[:perAxis])
		for i := count - 1; i >= 0; i-- { // from the end, as the entries grow in place
			at, w := index[i], weight[i]
			for j := range perAxis {
				to := i*perAxis + j
				weight[to] = w * axisWeight[j]
				if index[to] = nowhere; at != nowhere && axisIndex[j] != nowhere {
					index[to] = at*size + axisIndex[j]
				}
			}
		}
		count *= perAxis
	}
}

// expandInside is expand for the linear mode and two axes, if all four pixels are in the image. It
// returns false otherwise.
func (s *sampling) expandInside(position int, index []int, weight []float64) bool {
	height, width := s.sizes[0], s.sizes[1]
	y, x := s.place(position, 0), s.place(position, 1)
	if !(y >= 0 && x >= 0 && y < float64(height-1) && x < float64(width-1)) {
		return false
	}
	row, column := int(y), int(x)
	v, u := y-float64(row), x-float64(column)
	at := row*width + column
	index[0], index[1], index[2], index[3] = at, at+1, at+width, at+width+1
	weight[0], weight[1], weight[2], weight[3] = (1-v)*(1-u), (1-v)*u, v*(1-u), v*u
	return true
}
