package std

const (
	blockElements = 1 << 15 // of one block of columns
	tileHeight    = 4       // filters that the innermost loop computes at once
)

// convolution is one run of a conv, as a product of matrices: the weights of
// each group, (filters, taps), by (taps, columns) of pixels. A column is an
// output position of an image, and a tap a place in the window of a channel.
type convolution struct {
	x, w, bias, out   []float32
	channels, filters int // of one group
	group             int
	taps              int
	rows, cols        axis
}

// block computes the columns lo to hi of a group; pixels has room for them. A
// sum is always added up tap by tap, so that no block has a say in it.
func (c *convolution) block(pixels []float32, group, lo, hi int) {
	for at := lo; at < hi; at++ {
		c.gather(pixels[(at-lo)*c.taps:][:c.taps], group, at)
	}
	positions := c.rows.out * c.cols.out
	for top := 0; top < c.filters; top += tileHeight {
		count := min(tileHeight, c.filters-top)
		first := group*c.filters + top
		var w [tileHeight][]float32
		for i := range w {
			// What is computed for a filter too many is not stored.
			w[i] = c.w[(first+min(i, count-1))*c.taps:][:c.taps]
		}
		var bias [tileHeight]float32
		if c.bias != nil {
			copy(bias[:count], c.bias[first:])
		}
		for at := lo; at < hi; at++ {
			sums := tile(&w, pixels[(at-lo)*c.taps:][:c.taps])
			image, position := at/positions, at%positions
			out := c.out[(image*c.group*c.filters+first)*positions+position:]
			for i := range count {
				out[i*positions] = sums[i] + bias[i]
			}
		}
	}
}

// gather copies the pixels of one column.
func (c *convolution) gather(pixels []float32, group, column int) {
	height, width := c.rows.in, c.cols.in
	positions := c.rows.out * c.cols.out
	image, position := column/positions, column%positions
	top := position/c.cols.out*c.rows.stride - c.rows.before
	left := position%c.cols.out*c.cols.stride - c.cols.before
	first := (image*c.group + group) * c.channels
	tap := 0
	for channel := range c.channels {
		in := c.x[(first+channel)*height*width:][:height*width]
		for ky := range c.rows.kernel {
			y := top + ky*c.rows.dilation
			for kx := range c.cols.kernel {
				x := left + kx*c.cols.dilation
				var v float32
				if uint(y) < uint(height) && uint(x) < uint(width) {
					v = in[y*width+x]
				}
				pixels[tap] = v
				tap++
			}
		}
	}
}

// tile multiplies rows of weights by a column of pixels. Four sums are what the
// compiler keeps in registers with all that they need: twice as many run at
// half the speed.
func tile(w *[tileHeight][]float32, pixels []float32) (sums [tileHeight]float32) {
	w0, w1, w2, w3 := w[0][:len(pixels)], w[1][:len(pixels)], w[2][:len(pixels)], w[3][:len(pixels)]
	var s0, s1, s2, s3 float32
	for k, p := range pixels {
		s0 += w0[k] * p
		s1 += w1[k] * p
		s2 += w2[k] * p
		s3 += w3[k] * p
	}
	return [tileHeight]float32{s0, s1, s2, s3}
}
