package std

import "github.com/spike-by-spike/sbs/internal/kernel"

// depthwiseLoop is a parallel.Loop over the bands of all channels of a convolution whose groups
// have one channel.
type depthwiseLoop convolution

func (l *depthwiseLoop) Part(lo, hi int) error {
	c := (*convolution)(l)
	p := c.planes
	if err := c.ctx.Reserve(p.bytes()); err != nil {
		return err
	}
	defer c.ctx.Release(p.bytes())
	b := p.buffers()
	defer planePool.Put(b)
	size, positions, taps := c.rows.in*c.cols.in, c.rows.out*c.cols.out, len(p.taps)
	watching := cancelCheck{ctx: c.ctx}
	for i := lo; i < hi; i++ {
		band, plane := i%p.bands, i/p.bands
		p.fill(b, c.x[plane*size:][:size], band, 0, i > lo)
		group := plane % c.group
		n := p.positions(band)
		for f := range c.filters {
			filter := group*c.filters + f
			var bias float32
			if c.bias != nil {
				bias = c.bias[filter]
			}
			err := p.inPieces(&watching, n, func(from, to int) {
				kernel.WeightTaps(b.results[from:to], b.phases[from:], p.taps, c.w[filter*taps:][:taps], bias)
			})
			if err != nil {
				return err
			}
			at := (plane*c.filters + f) * positions
			p.store(c.out[at:][:positions], b, band)
			if c.stages != nil {
				first, last := p.rowsOf(band)
				if err := apply(&watching, c.stages, at+first*c.cols.out, at+last*c.cols.out); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
