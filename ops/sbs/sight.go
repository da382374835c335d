package sbs

import (
	"context"
	"math"
)

// sight says which output positions see an entry of X, and at which places of the kernel. From one
// position that sees it to the next one below, the number of the position grows by down, and the
// row of W decreases by up; to the next one on the right, by right and left.
type sight struct {
	seen        []seen // of each entry of a channel
	places      int32  // of the kernel
	down, right int
	up, left    int32
}

// seen describes the positions that see an entry of a channel: a grid of rows*columns of them.
// first is the first position, and k the row of W at which it sees an entry of channel 0.
type seen struct{ rows, columns, first, k int32 }

// axisSight is a sight along one axis. Along it, the positions that see a coordinate of X are
// step apart, and from one to the next, the place in the kernel decreases by back.
type axisSight struct {
	seen       []seenAlong // of each coordinate
	step, back int
}

// seenAlong describes the positions that see a coordinate along an axis: there are count, and the
// first one sees it at the given place of the kernel.
type seenAlong struct{ count, first, place int32 }

// sightBytes returns the memory of the sight and of what is needed to find it.
func (g *geometry) sightBytes() int64 {
	bytes := 16 * int64(g.height) * int64(g.width)
	for axis, size := range [2]int{g.height, g.width} {
		bytes += 12*int64(size) + 4*int64(g.win.Strides[axis])
	}
	return bytes
}

func (g *geometry) sight(ctx context.Context) (sight, error) {
	vertical, err := g.win.sight(ctx, 0, g.height, g.oh)
	if err != nil {
		return sight{}, err
	}
	horizontal, err := g.win.sight(ctx, 1, g.width, g.ow)
	if err != nil {
		return sight{}, err
	}
	kw := int32(g.win.Kernel[1])
	s := sight{
		seen: make([]seen, 0, g.height*g.width), places: int32(g.places),
		down: vertical.step * g.ow, right: horizontal.step,
		up: int32(vertical.back) * kw, left: int32(horizontal.back),
	}
	for _, v := range vertical.seen {
		if err := inParts(ctx, g.width, func(lo, hi int) {
			for _, h := range horizontal.seen[lo:hi] {
				s.seen = append(s.seen, seen{v.count, h.count, v.first*int32(g.ow) + h.first, v.place*kw + h.place})
			}
		}); err != nil {
			return sight{}, err
		}
	}
	return s, nil
}

// sight returns the sight along axis 0 (height) or 1 (width), for the sizes of X and the output.
func (w window) sight(ctx context.Context, axis, size, out int) (axisSight, error) {
	stride, dilation, kernelSize := w.Strides[axis], w.Dilations[axis], w.Kernel[axis]
	d := gcd(stride, dilation)
	s := axisSight{seen: make([]seenAlong, size), step: dilation / d, back: stride / d}
	// Place j of a position sees a coordinate whose distance from the first position at place 0 is
	// the position times the stride plus j*dilation. Which places can do so thus depends on the
	// rest of the distance divided by the stride. They are back apart.
	lowest := make([]int32, stride) // the first of them, by the rest, plus 1
	for j := range min(s.back, kernelSize) {
		lowest[j*dilation%stride] = int32(j) + 1
	}
	err := inParts(ctx, size, func(lo, hi int) {
		for at := lo; at < hi; at++ {
			distance := at + w.Pads[axis]
			place := int(lowest[distance%stride]) - 1
			// The first position sees the coordinate at the largest place.
			most := min(kernelSize-1, distance/dilation)
			if place < 0 || place > most {
				continue
			}
			place += (most - place) / s.back * s.back
			first := (distance - place*dilation) / stride
			if first >= out {
				continue
			}
			count := min((out-1-first)/s.step, place/s.back) + 1
			s.seen[at] = seenAlong{int32(count), int32(first), int32(place)}
		}
	})
	return s, err
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// span describes positions of one row of the output that see an entry of X: n positions, of which
// pos is the first and sees it at row k of W. See sight for the next ones.
type span struct {
	n, pos int
	k      int32
}

// spans appends the positions lo to hi-1 that see an entry of an image to list.
func (s *sight) spans(list []span, entry int32, lo, hi int) []span {
	plane := uint32(len(s.seen))
	channel := uint32(entry) / plane
	e := &s.seen[uint32(entry)-channel*plane]
	at := span{int(e.columns), int(e.first), int32(channel)*s.places + e.k}
	width, rows := (at.n-1)*s.right, int(e.rows)
	if before := lo - width - at.pos; before > 0 { // rows that end before lo
		skip := (before + s.down - 1) / s.down
		at.pos += skip * s.down
		at.k -= int32(skip) * s.up
		rows -= skip
	}
	for ; rows > 0; rows-- {
		if at.pos >= hi {
			break
		}
		if v := at; v.pos+width >= lo {
			for ; v.pos < lo; v.n-- {
				v.pos += s.right
				v.k -= s.left
			}
			for v.pos+(v.n-1)*s.right >= hi {
				v.n--
			}
			if v.n > 0 {
				list = append(list, v)
			}
		}
		at.pos += s.down
		at.k -= s.up
	}
	return list
}

// Updates returns the number of times that a spike changes h at an output position, per image of
// the given height and width, for a layer of the given operator, SbS or SbSFullLayer. For SbS it
// is the number of spikes times the number of output positions. For SbSFullLayer, it depends on
// the image how many positions see the places of its spikes. Updates counts the mean over all
// places, which is the expected number for an image that is equal everywhere, rounded.
func Updates(operator string, p Params, height, width int) int {
	w := p.window()
	out := [2]int{w.outputSize(height, 0), w.outputSize(width, 1)}
	if operator != OpFullLayer {
		return p.Spikes * out[0] * out[1]
	}
	return int(math.Round(float64(p.Spikes) * w.meanSeen([2]int{height, width}, out)))
}

// meanSeen returns the mean number of output positions that see a place of X, for the sizes of X
// and of the output. It counts the positions of each place of the kernel, along one axis and then
// the other, because sizes that a model declares may be far larger than its memory.
func (w window) meanSeen(size, out [2]int) float64 {
	mean := 1.0
	for axis := range size {
		pairs, stride := 0.0, w.Strides[axis]
		for j := range w.Kernel[axis] {
			start := w.Pads[axis] - j*w.Dilations[axis] // the distance from position 0 to coordinate 0
			end := start + size[axis] - 1
			if end < 0 {
				continue
			}
			first, last := (max(start, 0)+stride-1)/stride, min(end/stride, out[axis]-1)
			pairs += float64(max(last-first+1, 0))
		}
		mean *= pairs / float64(max(size[axis], 1))
	}
	return mean
}
