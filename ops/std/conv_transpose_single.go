package std

import (
	"sync"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// transposedConv is a ConvTranspose in float32. For parts of the output, a product of matrices gives
// what every input position adds to each place of its window, and the sums of these are the output:
// of the bias and the taps, in this order, and for each tap of the channels. A part consists of some
// filters of a group and a slab of the first spatial axis. Slabs that are next to each other compute
// the input positions between them twice, so that no two workers add to the same number.
type transposedConv struct {
	ctx               *ops.Context
	x, w, bias, out   []float32 // bias may be nil
	axes              []spatialAxis
	images, group     int
	channels, filters int // of one group
	taps              int
	positions, places int // of an image: of a channel in X, and of a channel in the output
	row               int // positions of X per step of the first axis
	block, blocks     int // filters of a part, and parts of the filters of a group
	slab, slabs       int // output places of a part along the first axis, and parts of an image
}

// mostProducts is about the number of products of one part, which take temporary memory.
const mostProducts = 1 << 18

func (k *convTranspose) runSingle(ctx *ops.Context, axes []spatialAxis, in []*ops.Tensor, out *ops.Tensor) error {
	x, w := in[0], in[1]
	c := transposedConv{
		ctx: ctx, x: x.Float32s(), w: w.Float32s(), out: out.Float32s(), axes: axes,
		images: x.Shape()[0], group: k.group, channels: x.Shape()[1] / k.group, filters: w.Shape()[1],
		taps: numElements(w.Shape()[2:]), positions: numElements(x.Shape()[2:]), places: numElements(out.Shape()[2:]),
	}
	if b := optionalInput(in, 2); b != nil {
		c.bias = b.Float32s()
	}
	c.row = c.positions / axes[0].out
	c.divide()
	return ctx.Do(c.images*c.group*c.blocks*c.slabs, 1, &c)
}

// divide chooses the sizes of the parts, so that few input positions are computed twice.
func (c *transposedConv) divide() {
	a := c.axes[0]
	shared := (a.kernel-1)*a.dilation/a.stride + 1
	least := min(a.out, 8*max(1, shared)) // input positions of a slab
	perFilter := max(1, c.taps*c.row)
	steps := mostProducts / perFilter / c.filters // the product may be too large for an int
	c.block = c.filters
	if steps < least {
		steps = least
		c.block = min(c.filters, max(1, mostProducts/perFilter/least))
	}
	steps = max(1, min(steps, max(least, (a.out+3)/4)))
	c.slab = min(a.in, steps*a.stride)
	c.slabs = (a.in + c.slab - 1) / c.slab
	c.blocks = (c.filters + c.block - 1) / c.block
}

// Part implements parallel.Loop over the parts of all groups and images.
func (c *transposedConv) Part(lo, hi int) error {
	for ; lo < hi; lo++ {
		slab := lo % c.slabs
		filter := lo / c.slabs % c.blocks * c.block
		group := lo / c.slabs / c.blocks
		if err := c.part(group, filter, min(filter+c.block, c.filters), slab*c.slab, min((slab+1)*c.slab, c.axes[0].in)); err != nil {
			return err
		}
	}
	return nil
}

// transposedMemory holds memory of parts, which takes about as much time to get anew as the part.
var transposedMemory = sync.Pool{New: func() any { return new([]float32) }}

// part computes the places first to last-1 along the first axis for the filters lo to hi-1 of a group of
// an image; group counts the groups of all images.
func (c *transposedConv) part(group, lo, hi, first, last int) error {
	a := c.axes[0]
	from := max(0, ceilDiv(first+a.before-(a.kernel-1)*a.dilation, a.stride))
	to := min(a.out, (last-1+a.before)/a.stride+1)
	n, rows := max(0, to-from)*c.row, (hi-lo)*c.taps
	if c.channels == 0 {
		n = 0
	}
	step := c.places / a.in // places per step of the first axis
	sum := transposedSums{axes: c.axes, from: from, to: to, first: first, last: last, skipped: first * step}
	sum.separate()
	phases := 0
	if sum.starts != nil {
		phases = (last - first) * step
	}
	if err := c.ctx.Reserve(4 * int64(rows*n+phases)); err != nil {
		return err
	}
	defer c.ctx.Release(4 * int64(rows*n+phases))
	memory := transposedMemory.Get().(*[]float32)
	defer transposedMemory.Put(memory)
	if cap(*memory) < rows*n+phases {
		*memory = make([]float32, rows*n+phases)
	}
	products, separated := (*memory)[:rows*n], (*memory)[rows*n:][:phases]
	if rows*n > 0 {
		width := c.filters * c.taps
		w := c.w[group%c.group*c.channels*width+lo*c.taps:]
		x := c.x[group*c.channels*c.positions+from*c.row:]
		var err error
		if c.channels == 1 {
			err = c.scale(products, w[:rows], x[:n])
		} else {
			err = kernel.Gemm(c.ctx, true, false, rows, n, c.channels, w, width, x, c.positions, products, n, false)
		}
		if err != nil {
			return err
		}
	}
	watching := cancelCheck{ctx: c.ctx}
	sum.watching = &watching
	for f := lo; f < hi; f++ {
		plane := c.out[(group*c.filters+f)*c.places:][first*step : last*step]
		sums := plane
		if phases > 0 {
			sums = separated
		}
		var start float32
		if c.bias != nil {
			start = c.bias[group%c.group*c.filters+f]
		}
		for part := sums; len(part) > 0; {
			some := min(len(part), stepsPerCheck)
			repeat(part[:some], start)
			part = part[some:]
			if err := watching.after(some); err != nil {
				return err
			}
		}
		tap := coordinates{shape: make([]int, len(c.axes)), at: make([]int, len(c.axes))}
		for i, a := range c.axes {
			tap.shape[i] = a.kernel
		}
		for t := range min(c.taps, c.taps*n) {
			if err := sum.add(sums, products[((f-lo)*c.taps+t)*n:][:n], tap.at); err != nil {
				return err
			}
			tap.next()
		}
		if phases > 0 {
			if err := sum.join(plane, separated); err != nil {
				return err
			}
		}
	}
	return nil
}

// scale computes the products if there is one channel.
func (c *transposedConv) scale(products, w, x []float32) error {
	watching := cancelCheck{ctx: c.ctx}
	for i := range w {
		for first := 0; first < len(x); first += stepsPerCheck {
			last := min(first+stepsPerCheck, len(x))
			kernel.Combine(kernel.Mul, products[i*len(x):][first:last], x[first:last], w[i:], 1, 0)
			if err := watching.after(last - first); err != nil {
				return err
			}
		}
	}
	return nil
}

// ceilDiv returns a/b, rounded up.
func ceilDiv(a, b int) int {
	if a <= 0 {
		return -(-a / b)
	}
	return (a + b - 1) / b
}

// transposedSums adds what input positions add to a place of their windows. Along the first axis, the
// input positions are from to to-1, and the places of the output first to last-1.
type transposedSums struct {
	watching    *cancelCheck
	axes        []spatialAxis
	from, to    int
	first, last int
	skipped     int // places of the output before the sums

	// If positions along the last axis are apart in the output, the sums of a row lie in another order:
	// the places 0, s, 2s and so on for a stride of s, then 1, s+1 and so on. starts has the first of
	// each of these phases. It is nil if the sums lie as the output does.
	starts []int
}

// separate sets starts.
func (s *transposedSums) separate() {
	a := s.axes[len(s.axes)-1]
	if len(s.axes) == 1 || a.stride == 1 || a.stride > a.in {
		return
	}
	for p, start := 0, 0; p < a.stride; p++ {
		s.starts = append(s.starts, start)
		start += (a.in - p + a.stride - 1) / a.stride
	}
}

// join copies sums in the order of phases to the output.
func (s *transposedSums) join(plane, phases []float32) error {
	a := s.axes[len(s.axes)-1]
	for i := 0; i < len(plane); i += a.in {
		row, sums := plane[i:][:a.in], phases[i:][:a.in]
		if a.stride == 2 {
			interleave(row, sums)
		} else {
			for p, start := range s.starts {
				for j, at := start, p; at < a.in; j, at = j+1, at+a.stride {
					row[at] = sums[j]
				}
			}
		}
		if err := s.watching.after(a.in); err != nil {
			return err
		}
	}
	return nil
}

// interleave sets the even numbers of a row to the first half of sums, and the odd ones to the second.
func interleave(row, sums []float32) {
	odd := sums[(len(sums)+1)/2:]
	even := sums[:len(odd)]
	for i, v := range odd {
		pair := row[2*i : 2*i+2 : 2*i+2]
		pair[0], pair[1] = even[i], v
	}
	if len(row)%2 == 1 {
		row[len(row)-1] = sums[len(odd)]
	}
}

func (s *transposedSums) add(plane, values []float32, tap []int) error {
	return s.axis(0, plane, values, tap, 0, 0)
}

// axis goes through the positions along an axis and the axes after it. place and value are the
// indices so far.
func (s *transposedSums) axis(axis int, plane, values []float32, tap []int, place, value int) error {
	a := &s.axes[axis]
	from, to, first, last := 0, a.out, 0, a.in
	if axis == 0 {
		from, to, first, last = s.from, s.to, s.first, s.last
	}
	offset := tap[axis]*a.dilation - a.before // of the output place of position 0
	lo, hi := max(from, ceilDiv(first-offset, a.stride)), min(to, ceilDiv(last-offset, a.stride))
	if lo >= hi {
		return s.watching.after(1)
	}
	row, at := place*a.in, lo*a.stride+offset
	place, value = row+at, value*(to-from)+lo-from
	if next := axis + 1; next < len(s.axes) {
		last := &s.axes[next]
		if next == len(s.axes)-1 && last.out <= stepsPerCheck && (s.starts != nil || last.stride == 1) {
			return s.rows(hi-lo, a.stride, plane, values, tap, place, value)
		}
		for range hi - lo {
			if err := s.axis(axis+1, plane, values, tap, place, value); err != nil {
				return err
			}
			place, value = place+a.stride, value+1
		}
		return nil
	}
	step := a.stride
	if s.starts != nil {
		place, step = row+s.starts[at%step]+at/step, 1
	}
	place -= s.skipped
	for n := hi - lo; n > 0; {
		some := min(n, stepsPerCheck)
		addApart(plane[place:], values[value:value+some], step)
		place, value, n = place+some*step, value+some, n-some
		if err := s.watching.after(some); err != nil {
			return err
		}
	}
	return nil
}

// rows is axis for the last axis and count places along the axis before it, which are stride apart. The
// sums of a row are consecutive, and at most stepsPerCheck.
func (s *transposedSums) rows(count, stride int, plane, values []float32, tap []int, place, value int) error {
	axis := len(s.axes) - 1
	a := &s.axes[axis]
	offset := tap[axis]*a.dilation - a.before
	lo, hi := max(0, ceilDiv(-offset, a.stride)), min(a.out, ceilDiv(a.in-offset, a.stride))
	if lo >= hi {
		return s.watching.after(1)
	}
	at := lo*a.stride + offset
	place, value = place*a.in+at-s.skipped, value*a.out+lo
	if s.starts != nil {
		place += s.starts[at%a.stride] + at/a.stride - at
	}
	for most := stepsPerCheck / (hi - lo); count > 0; count -= most {
		some := min(count, most)
		kernel.AddRows(plane[place:], stride*a.in, values[value:], a.out, some, hi-lo)
		place, value = place+some*stride*a.in, value+some*a.out
		if err := s.watching.after(some * (hi - lo)); err != nil {
			return err
		}
	}
	return nil
}

// addApart adds values to numbers that are step apart.
func addApart(sums, values []float32, step int) {
	switch step {
	case 1:
		sums = sums[:len(values)]
		kernel.Combine(kernel.Add, sums, sums, values, 1, 1)
	default:
		for i, v := range values {
			sums[i*step] += v
		}
	}
}
