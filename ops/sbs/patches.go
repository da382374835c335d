package sbs

import (
	"fmt"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// maxPadded is the largest number of elements of an image with its padding. Every
// worker holds one such image.
const maxPadded = 1 << 24

// locatePatches finds out how to reach the entries of the patches.
func (r *run) locatePatches() error {
	height, width := r.height+r.Pads[0]+r.Pads[2], r.width+r.Pads[1]+r.Pads[3]
	r.padded = r.Pads != [4]int{}
	r.rowLength, r.imageLength = width, r.channels*height*width
	if n, err := ops.Len([]int{r.channels, height, width}); r.padded && (err != nil || n > maxPadded) {
		return fmt.Errorf("an image of X with its pads, %dx%dx%d, has more than %d elements", r.channels, height, width, maxPadded)
	}
	r.offsets = make([]int32, 0, (r.k+kernel.RowLen-1)/kernel.RowLen*kernel.RowLen)
	for c := range r.channels {
		for i := range r.Kernel[0] {
			for j := range r.Kernel[1] {
				r.offsets = append(r.offsets, int32((c*height+i*r.Dilations[0])*width+j*r.Dilations[1]))
			}
		}
	}
	return nil
}

// image returns an image of X, with its padding if there is any. It is valid until the
// worker asks for another one.
func (r *run) image(w *workspace, b int) []float32 {
	size := r.channels * r.height * r.width
	x := r.x[b*size:][:size]
	if !r.padded {
		return x
	}
	if w.number == b {
		return w.padded
	}
	w.number = b
	if len(w.padded) != r.imageLength {
		w.padded = make([]float32, r.imageLength)
	}
	clear(w.padded)
	height := r.height + r.Pads[0] + r.Pads[2]
	for row := range r.channels * r.height {
		channel, y := row/r.height, row%r.height
		copy(w.padded[(channel*height+y+r.Pads[0])*r.rowLength+r.Pads[1]:], x[row*r.width:(row+1)*r.width])
	}
	return w.padded
}

// start returns the index in its image at which the patch of an output position starts.
func (r *run) start(pos int) int {
	return pos/r.ow*r.Strides[0]*r.rowLength + pos%r.ow*r.Strides[1]
}
