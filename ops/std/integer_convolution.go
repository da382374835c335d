package std

import (
	"slices"
	"sync"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// integerConvolution is a convolution of quantized images for inputs of one shape. Its operands are
// kept from run to run.
type integerConvolution struct {
	of              *conv
	image, window   []int      // shapes of x and w
	grid            *pixelGrid // nil if the padding is too large
	group, channels int
	filters         int // of one group, like channels
	words           int // of a place of a group

	taps    kernel.Taps
	single  bool                  // whether a group has one channel
	ready   bool                  // whether the weights are constant and complete
	rows    []*kernel.IntegerRows // of each group
	pixels  []uint32              // grids of each word of each group, of the current run
	bytes   []uint8               // instead of pixels, grids of each group, if they have one channel
	weights []int32               // minus their zero points, if groups have one channel
	start   []int32               // what the sums of each filter start with
}

// integerInputs are the inputs of one run.
type integerInputs struct {
	x, w     *ops.Tensor
	zeroX    int32
	zerosW   []int32
	bias     []int32 // nil if there is none
	constant bool    // whether w is a constant
}

// prepareIntegers returns the convolution for inputs, without a grid if the general code must compute
// it.
func (c *conv) prepareIntegers(ctx *ops.Context, in *integerInputs) (*integerConvolution, error) {
	j := ops.Scratch[integerConvolution](ctx)
	if j.of == c && slices.Equal(j.image, in.x.Shape()) && slices.Equal(j.window, in.w.Shape()) {
		return j, nil
	}
	axes, err := c.axes(ops.Dims(in.x.Shape()...), ops.Dims(in.w.Shape()...))
	if err != nil {
		return nil, err
	}
	w := in.w.Shape()
	*j = integerConvolution{image: slices.Clone(in.x.Shape()), window: slices.Clone(w), group: c.group, channels: w[1], filters: w[0] / c.group}
	if j.grid, err = newGrid(ctx, in.x.Shape()[0], c.group*j.channels, w[0], axes); err != nil || j.grid == nil {
		j.of = c
		return j, err
	}
	j.single = j.channels == 1 && c.group > 1
	per := kernel.Tiling().PerWord
	j.words = (j.channels + per - 1) / per
	var offsets []int
	for i := range j.words {
		for _, t := range j.grid.taps {
			offsets = append(offsets, i*j.grid.places()+t)
		}
	}
	j.taps = kernel.NewTaps(offsets)
	j.of = c
	return j, nil
}

// run calls done with sums of a filter, for parts of the places of the grid that begin at first.
func (j *integerConvolution) run(ctx *ops.Context, in *integerInputs, done func(t *integerTile, filter, first int, sums []int32)) error {
	g := j.grid
	if err := ctx.Reserve(int64(j.group) * int64(g.places()) * int64(4*j.words)); err != nil {
		return err
	}
	if j.single {
		p := gridsOf[uint8](&byteGrids, j.group*g.places()+room)
		defer byteGrids.Put(p)
		j.bytes = *p
	} else {
		p := gridsOf[uint32](&wordGrids, j.group*j.words*g.places()+room)
		defer wordGrids.Put(p)
		j.pixels = *p
	}
	defer func() { j.bytes, j.pixels = nil, nil }()
	if err := j.load(ctx, in); err != nil {
		return err
	}
	most := 256
	if j.single {
		most = 1024
	}
	blocks := (g.positions + most - 1) / most
	rows := 2 * kernel.Tiling().Rows
	chunks := 1 // of the filters
	if !j.single {
		chunks = min((j.filters+rows-1)/rows, max(1, 16/(blocks*j.group)))
	}
	part := (j.filters + chunks - 1) / chunks
	parts := blocks * chunks
	work := min(most, g.positions) * part * j.words * len(g.taps) * 4
	return ctx.For(j.group*parts, max(1, integerGrain/work), func(lo, hi int) error {
		t := integerTiles.Get().(*integerTile)
		defer integerTiles.Put(t)
		t.grow((rows + 1) * most)
		for ; lo < hi; lo++ {
			group, block, chunk := lo/parts, lo%parts/chunks, lo%chunks
			first := block * most
			n := min(most, g.positions-first)
			i0, i1 := chunk*part, min((chunk+1)*part, j.filters)
			if j.single {
				for i := i0; i < i1; i++ {
					if err := ctx.Err(); err != nil {
						return err
					}
					filter := group*j.filters + i
					sums := t.sums[:roundUp(n, room)]
					x := j.bytes[group*g.places()+first:]
					kernel.Depthwise(sums, x, j.taps, j.weights[filter*len(g.taps):][:len(g.taps)], j.start[filter])
					done(t, filter, first, sums[:n])
				}
				continue
			}
			x := j.pixels[group*j.words*g.places()+first:]
			for ; i0 < i1; i0 += rows {
				if err := j.multiply(ctx, in, t, group, i0, min(i0+rows, i1), x, n, most); err != nil {
					return err
				}
				for i := i0; i < min(i0+rows, i1); i++ {
					done(t, group*j.filters+i, first, t.sums[(i-i0)*most:][:n])
				}
			}
		}
		return nil
	})
}

// byteGrids and wordGrids hold the memory of grids. Convolutions share it, so that a network needs only as
// much as its largest convolution.
var (
	byteGrids = sync.Pool{New: func() any { return new([]uint8) }}
	wordGrids = sync.Pool{New: func() any { return new([]uint32) }}
)

// gridsOf returns memory for n places, whose content is undefined.
func gridsOf[T any](pool *sync.Pool, n int) *[]T {
	p := pool.Get().(*[]T)
	if cap(*p) < n {
		*p = make([]T, n)
	}
	*p = (*p)[:n]
	return p
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// multiply computes the sums of filters i0 to i1-1 of a group at n places.
func (j *integerConvolution) multiply(ctx *ops.Context, in *integerInputs, t *integerTile, group, i0, i1 int, x []uint32, n, ldc int) error {
	rows := j.rows[group]
	if err := rows.Multiply(ctx, i0, i1, x, j.taps, n, j.start[group*j.filters+i0:], nil, t.sums, ldc); err != nil {
		return err
	}
	var sums []int32 // of the pixels
	for i := i0; i < i1; i++ {
		z := j.zeroW(in, group*j.filters+i)
		if z == 0 {
			continue
		}
		if sums == nil {
			sums = t.sums[(i1-i0)*ldc:][:ldc]
			if err := rows.Multiply(ctx, j.filters, j.filters+1, x, j.taps, n, []int32{0}, nil, sums, ldc); err != nil {
				return err
			}
		}
		row := t.sums[(i-i0)*ldc:][:n]
		for at := range row {
			row[at] -= z * sums[at]
		}
	}
	return nil
}

// zeroW returns the zero point of a filter as it is stored.
func (j *integerConvolution) zeroW(in *integerInputs, filter int) int32 {
	return in.zerosW[filter%len(in.zerosW)] + kernel.ShiftOfRows(isSigned(in.w))
}

// load copies the operands into the layout of the kernel.
func (j *integerConvolution) load(ctx *ops.Context, in *integerInputs) error {
	taps := len(j.grid.taps)
	k, filters := j.channels*taps, j.group*j.filters
	if err := ctx.Reserve(int64(j.group) * kernel.IntegerRowsBytes(j.filters+1, j.channels, taps)); err != nil {
		return err
	}
	w := bytesOf(in.w)
	if j.start == nil {
		j.start = make([]int32, filters)
		switch {
		case j.single:
			j.weights = make([]int32, filters*taps)
		default:
			for range j.group {
				j.rows = append(j.rows, kernel.NewIntegerRows(j.filters+1, j.channels, taps, isSigned(in.w)))
			}
		}
	}
	zero := in.zeroX + kernel.ShiftOfColumns(isSigned(in.x))
	err := ctx.For(filters, max(1, grain/k), func(lo, hi int) error {
		for ; lo < hi; lo++ {
			group, i := lo/j.filters, lo%j.filters
			filter, z := w.Slice(lo*k, (lo+1)*k), j.zeroW(in, lo)
			var sum int32
			if j.single {
				for t := range taps {
					v := filter.At(t) - in.zerosW[lo%len(in.zerosW)]
					j.weights[lo*taps+t] = v
					sum += v
				}
			} else {
				if !j.ready {
					j.rows[group].Set(i, filter)
				}
				sum = j.rows[group].Sum(i) - int32(k)*z
			}
			j.start[lo] = -zero * sum
			if in.bias != nil {
				j.start[lo] += in.bias[lo]
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !j.single && !j.ready {
		for _, r := range j.rows {
			r.SetOnes(j.filters)
		}
	}
	j.ready = in.constant
	return j.loadPixels(ctx, in)
}

// loadPixels fills the grids.
func (j *integerConvolution) loadPixels(ctx *ops.Context, in *integerInputs) error {
	g, x := j.grid, bytesOf(in.x)
	rows, places := g.rows(), g.places()
	per := kernel.Tiling().PerWord
	inputs := g.element / (j.group * j.channels)
	signed := isSigned(in.x)
	err := ctx.For(j.group*j.words*rows, max(1, grain/g.axes[len(g.axes)-1].size), func(lo, hi int) error {
		var words spareRow[uint32]
		var single spareRow[uint8]
		watching := cancelCheck{ctx: ctx}
		r := g.rowsFrom(lo % rows)
		for ; lo < hi; lo++ {
			part := lo / rows
			group, word := part/j.words, part%j.words
			if j.single {
				fillRow(&r, j.bytes[part*places:][:places], uint8(in.zeroX), &single, func(dst []uint8, from int) {
					copy(dst, x.Data()[from+group*inputs:])
				})
			} else {
				fillRow(&r, j.pixels[part*places:][:places], kernel.Fill(in.zeroX, signed), &words, func(dst []uint32, from int) {
					var starts [4]int
					n := min(per, j.channels-word*per)
					for c := range n {
						starts[c] = from + (group*j.channels+word*per+c)*inputs
					}
					kernel.Interleave(dst, x, starts[:n], len(dst))
				})
			}
			if err := watching.after(g.axes[len(g.axes)-1].size); err != nil {
				return err
			}
			if r.next(); r.row == rows {
				r = g.rowsFrom(0)
			}
		}
		return nil
	})
	if err != nil || !j.single || !signed {
		return err
	}
	return ctx.For(len(j.bytes), quantizeGrain, func(lo, hi int) error {
		kernel.MakeUnsigned(j.bytes[lo:hi])
		return nil
	})
}
