package sbs

import (
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// window says which entries of X an output position sees: the attributes kernel_shape,
// strides, dilations and pads.
type window struct {
	Kernel, Strides, Dilations [2]int // height, width
	Pads                       [4]int // top, left, bottom, right
}

func (p *Params) window() window { return window{p.Kernel, p.Strides, p.Dilations, p.Pads} }

// geometry holds the sizes of the inputs and the output of one run of a layer with a window.
// Where the package documentation uses letters, such as K, the fields have these letters.
type geometry struct {
	win                            window
	batch, channels, height, width int // of X
	k, n, oh, ow                   int
	places                         int // of the kernel, KH*KW
	positions                      int // of the output of an image, OH*OW
}

// geometryOf returns the geometry for an X of shape (B, C, H, W) and an output of shape
// (B, N, OH, OW).
func (w window) geometryOf(x, out []int) geometry {
	places := w.Kernel[0] * w.Kernel[1]
	return geometry{
		win: w, batch: x[0], channels: x[1], height: x[2], width: x[3],
		k: x[1] * places, n: out[1], oh: out[2], ow: out[3],
		places: places, positions: out[2] * out[3],
	}
}

// inputAt returns the row and column of X that output position pos sees at a place of
// the kernel. In the padding they are outside X.
func (g *geometry) inputAt(pos, place int) (y, x int) {
	y = pos/g.ow*g.win.Strides[0] - g.win.Pads[0] + place/g.win.Kernel[1]*g.win.Dilations[0]
	x = pos%g.ow*g.win.Strides[1] - g.win.Pads[1] + place%g.win.Kernel[1]*g.win.Dilations[1]
	return y, x
}

// indexAt returns the index in one channel of an image of X that output position pos
// sees at a place of the kernel, and false in the padding.
func (g *geometry) indexAt(pos, place int) (int, bool) {
	y, x := g.inputAt(pos, place)
	return y*g.width + x, y >= 0 && y < g.height && x >= 0 && x < g.width
}

// outputSize returns the number of output positions along axis 0 (height) or 1 (width)
// of an X with the given size there. It is below 1 if the kernel does not fit.
func (w window) outputSize(size, axis int) int {
	span := size + w.Pads[axis] + w.Pads[axis+2] - w.Dilations[axis]*(w.Kernel[axis]-1) - 1
	if span < 0 {
		return 0
	}
	return span/w.Strides[axis] + 1
}

// infer checks the types of X, (B, C, H, W), and W, (K, N), and returns the type of the output,
// (B, N, OH, OW).
func (w window) infer(x, weights ops.Type) (out ops.Type, err error) {
	if x.DType != ops.Float32 || len(x.Shape) != 4 {
		return out, fmt.Errorf("%w: X is %v, want float32(batch, channels, height, width)", ops.ErrShape, x)
	}
	if weights.DType != ops.Float32 || len(weights.Shape) != 2 {
		return out, fmt.Errorf("%w: W is %v, want float32(K, N)", ops.ErrShape, weights)
	}
	if c, k := x.Shape[1], weights.Shape[0]; c.Known() && k.Known() && k.Size != c.Size*w.Kernel[0]*w.Kernel[1] {
		return out, fmt.Errorf("%w: X is %v with kernel_shape %v, which needs W with %d rows, but W is %v",
			ops.ErrShape, x, w.Kernel, c.Size*w.Kernel[0]*w.Kernel[1], weights)
	}
	for _, d := range weights.Shape {
		if d.Known() && d.Size < 1 {
			return out, fmt.Errorf("%w: W is %v, which has no weights", ops.ErrShape, weights)
		}
	}
	out = ops.Type{DType: ops.Float32, Shape: []ops.Dim{x.Shape[0], weights.Shape[1], {Size: -1}, {Size: -1}}}
	for i := range 2 {
		size := x.Shape[2+i]
		if !size.Known() {
			continue
		}
		o := w.outputSize(size.Size, i)
		if o < 1 {
			return out, fmt.Errorf("%w: kernel_shape %v with dilations %v and pads %v does not fit into X, which is %v",
				ops.ErrShape, w.Kernel, w.Dilations, w.Pads, x)
		}
		out.Shape[2+i].Size = o
	}
	known := make([]int, 0, len(out.Shape))
	for _, d := range out.Shape {
		if d.Known() {
			known = append(known, d.Size)
		}
	}
	_, err = ops.Len(known)
	return out, err
}

// tooLarge returns the error for a patch whose sum is not finite.
func (g *geometry) tooLarge(b, pos int) error {
	return fmt.Errorf("%w: X: the sum over the patch of image %d, output position (%d, %d) is too large for float32", ops.ErrValue, b, pos/g.ow, pos%g.ow)
}
