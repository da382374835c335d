package std

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// isConvolution reports whether a link is a Conv of float32 images.
func isConvolution(l *Link) bool {
	_, ok := l.operation().(*conv)
	return ok && !l.continues() && l.single(0)
}

// endsWithPool reports whether a chain is Conv, Relu and a MaxPool of windows of 2 x 2 pixels.
func endsWithPool(chain []Link) bool {
	if len(chain) != 3 || !isRelu(&chain[1]) {
		return false
	}
	p, ok := chain[2].operation().(*pool)
	c := chain[0].operation().(*conv)
	if !ok || p.average || !p.window.isPairs() || len(chain[0].Types) < 2 || chain[0].Types[1] == nil {
		return false
	}
	w := chain[0].Types[1].Shape // fused pools need a convolution by tiles
	return len(w) == 4 && suitsTiles(w[0].Size/c.group, w[1].Size*w[2].Size*w[3].Size)
}

func isRelu(l *Link) bool { _, ok := l.operation().(rectifier); return ok }

// isPairs reports whether the windows are adjacent pairs of pixels in both of two axes.
func (w *window) isPairs() bool {
	if len(w.kernel) != 2 || w.autoPad != "NOTSET" || w.ceil {
		return false
	}
	for i := range 2 {
		if w.kernel[i] != 2 || numberAt(w.strides, i, 1) != 2 || numberAt(w.dilations, i, 1) != 1 || numberAt(w.pads, i, 0) != 0 || numberAt(w.pads, 2+i, 0) != 0 {
			return false
		}
	}
	return true
}

// fusedConvolution computes a Conv. Each block of its output passes the other links while it is in
// the caches.
type fusedConvolution struct{ chain []Link }

// Run implements Fused.
func (f *fusedConvolution) Run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if out.Len() == 0 {
		return nil
	}
	l := &f.chain[0]
	c, own := l.operation().(*conv), l.inputsOf(in, nil)
	if out.DType() != ops.Float32 || own[0].DType() != ops.Float32 || len(out.Shape()) > 4 {
		return inTurn(ctx, f.chain, in, out)
	}
	j, err := c.convolution(ctx, own)
	if err != nil {
		return err
	}
	rest := f.chain[1:]
	if j.pools = endsWithPool(f.chain); j.pools {
		if j.windows == nil || j.rows.out/2 != out.Shape()[2] || j.cols.out/2 != out.Shape()[3] || j.single() {
			return inTurn(ctx, f.chain, in, out)
		}
		return j.compute(ctx, own, out)
	}
	if out.Len() != j.images*j.group*j.filters*j.rows.out*j.cols.out {
		return inTurn(ctx, f.chain, in, out) // the output of the convolution broadcasts in a later link
	}
	var ok bool
	if j.stages, ok = stagesOf(ctx, rest, in, out, false); !ok {
		return inTurn(ctx, f.chain, in, out)
	}
	return j.compute(ctx, own, out)
}

// poolBlock stores the maxima of windows of 2 x 2 pixels of a block of sums, without negative
// numbers. Row i of the block starts at i*cols*width in the sums. spare has the size of the sums.
func (c *convolution) poolBlock(out []float32, positions int, sums, spare []float32, g kernel.Grid, width, filters, row, col int) {
	length := g.Cols * width
	rows, cols, outCols := g.Rows/2, g.Cols/2, c.cols.out/2
	taps := [4]int{0, width, length, length + width}
	if rows*cols == 0 {
		return
	}
	lowest := float32(math.Inf(-1))
	// Every second position holds a maximum.
	for i := range rows {
		kernel.MaxTaps(spare[i*2*cols*width:][:(2*cols-1)*width], sums[2*i*length:], taps[:], lowest)
	}
	n := (2*rows*cols - 1) * width
	kernel.Relu(spare[:n], spare[:n])
	if cols == outCols {
		kernel.Transpose(out[row/2*outCols:], positions, spare, 2*width, rows*cols, filters)
		return
	}
	for i := range rows {
		kernel.Transpose(out[(row/2+i)*outCols+col/2:], positions, spare[i*2*cols*width:], 2*width, cols, filters)
	}
}
