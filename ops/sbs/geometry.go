package sbs

// geometry holds a layer with the sizes of the inputs and the output of one run. Where
// the package documentation uses letters, such as K, the fields have these letters.
type geometry struct {
	*layer
	batch, channels, height, width int // of X
	k, n, oh, ow                   int
	places                         int // of the kernel, KH*KW
	positions                      int // of the output of an image, OH*OW
}

// geometryOf returns the geometry for an X of shape (B, C, H, W) and an output of shape
// (B, N, OH, OW).
func (l *layer) geometryOf(x, out []int) geometry {
	places := l.Kernel[0] * l.Kernel[1]
	return geometry{
		layer: l, batch: x[0], channels: x[1], height: x[2], width: x[3],
		k: x[1] * places, n: out[1], oh: out[2], ow: out[3],
		places: places, positions: out[2] * out[3],
	}
}

// inputAt returns the row and column of X that output position pos sees at a place of
// the kernel. In the padding they are outside X.
func (g *geometry) inputAt(pos, place int) (y, x int) {
	y = pos/g.ow*g.Strides[0] - g.Pads[0] + place/g.Kernel[1]*g.Dilations[0]
	x = pos%g.ow*g.Strides[1] - g.Pads[1] + place%g.Kernel[1]*g.Dilations[1]
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
func (l *layer) outputSize(size, axis int) int {
	span := size + l.Pads[axis] + l.Pads[axis+2] - l.Dilations[axis]*(l.Kernel[axis]-1) - 1
	if span < 0 {
		return 0
	}
	return span/l.Strides[axis] + 1
}
