package std

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/ops"
)

// newGridSample returns GridSample (opset 16): images X (N, C, H, W), sampled at the places
// in the grid (N, H', W', 2). A place is (x, y), from -1 at the first pixel to 1 at the
// last one. X and the grid are float32 or float64.
//
// Attributes: mode (default bilinear; or nearest, bicubic); padding_mode, the value of
// places outside the image (default zeros; or border, the nearest pixel; or reflection);
// align_corners (default 0: -1 and 1 are the outer edges of the first and last pixel; 1:
// their centers).
func newGridSample(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("align_corners", "mode", "padding_mode"); err != nil {
		return nil, err
	}
	var k gridSample
	var err error
	if k.mode, err = choiceAttr(n.Attributes, "mode", "bilinear", "nearest", "bicubic"); err != nil {
		return nil, err
	}
	if k.padding, err = choiceAttr(n.Attributes, "padding_mode", "zeros", "border", "reflection"); err != nil {
		return nil, err
	}
	align, err := ops.Attr(n.Attributes, "align_corners", int64(0))
	k.align = align != 0
	return &k, err
}

type gridSample struct {
	mode, padding string
	align         bool
}

func (k *gridSample) infer(in []*ops.Input) (ops.Type, error) {
	x, grid := in[0].Type, in[1].Type
	if err := checkDType("X", x, floatTypes...); err != nil {
		return x, err
	}
	if err := checkDType("grid", grid, floatTypes...); err != nil {
		return x, err
	}
	ok := len(x.Shape) == 4 && len(grid.Shape) == 4
	var batch ops.Dim
	if ok {
		batch, ok = mergeDims(x.Shape[0], grid.Shape[0])
	}
	if !ok || grid.Shape[3].Known() && grid.Shape[3].Size != 2 || x.Shape[2].Size == 0 || x.Shape[3].Size == 0 {
		return x, fmt.Errorf("%w: X is %v, grid is %v", ops.ErrShape, x, grid)
	}
	return ops.Type{DType: x.DType, Shape: []ops.Dim{batch, x.Shape[1], grid.Shape[1], grid.Shape[2]}}, nil
}

func (k *gridSample) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	channels, height, width := in[0].Shape()[1], in[0].Shape()[2], in[0].Shape()[3]
	positions := numElements(out.Shape()[2:])
	// A part covers whole channels if they are small, because it loads their pixels.
	return ctx.For(out.Len(), max(grain/64, min(positions, stepsPerCheck)), func(lo, hi int) error {
		plane, err := ops.Temporary[float64](ctx, height*width)
		if err != nil {
			return err
		}
		defer ops.Free(ctx, plane)
		watching, loaded := cancelCheck{ctx: ctx}, -1
		var at [2]float64
		for i := lo; i < hi; i++ {
			if c := i / positions; c != loaded {
				if err := loadAll(ctx, plane, in[0], c*height*width, 1); err != nil {
					return err
				}
				loaded = c
			}
			if err := watching.after(64); err != nil {
				return err
			}
			load(at[:], in[1], (i/positions/channels*positions+i%positions)*2, 1)
			rows, columns := k.taps(at[1], height), k.taps(at[0], width)
			sum := 0.0
			for r, w := range rows.weight {
				for c, v := range columns.weight {
					if rows.index[r] >= 0 && columns.index[c] >= 0 {
						sum += float64(w * v * plane[rows.index[r]*width+columns.index[c]])
					}
				}
			}
			store(out, i, 1, []float64{sum})
		}
		return nil
	})
}

// taps returns the pixels along one axis whose weighted sum is the value at a place. An
// index of nowhere stands for 0.
func (k *gridSample) taps(place float64, size int) tapList {
	x := (float64((place+1)*float64(size)) - 1) / 2
	if k.align {
		x = (place + 1) / 2 * float64(size-1)
	}
	if k.mode != "bicubic" {
		x = k.inside(x, size)
	}
	// Places farther away have the same taps, but might not be convertible to int.
	x = min(max(x, -4), float64(size)+4)
	if x != x {
		x = -4
	}
	start := int(math.Floor(x))
	f := x - float64(start)
	var t tapList
	switch k.mode {
	case "nearest":
		start, t.weight = int(math.RoundToEven(x)), []float64{1}
	case "bilinear":
		t.weight = []float64{1 - f, f}
	default:
		start, t.weight = start-1, cubicWeights(f, -0.75)
	}
	for i := range t.weight {
		at := start + i
		if k.mode == "bicubic" {
			at = int(k.inside(float64(at), size))
		}
		if at < 0 || at >= size {
			at = nowhere
		}
		t.index = append(t.index, at)
	}
	return t
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
