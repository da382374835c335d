package sbs

import "math"

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
	seers      []seers // of each coordinate
	step, back int
}

// seers describes the positions that see a coordinate along an axis: there are count, and the
// first one sees it at the given place of the kernel.
type seers struct{ count, first, place int32 }

func (g *geometry) sight() sight {
	vertical, horizontal := g.win.sight(0, g.height, g.oh), g.win.sight(1, g.width, g.ow)
	kw := int32(g.win.Kernel[1])
	s := sight{
		seen: make([]seen, 0, g.height*g.width), places: int32(g.places),
		down: vertical.step * g.ow, right: horizontal.step,
		up: int32(vertical.back) * kw, left: int32(horizontal.back),
	}
	for _, v := range vertical.seers {
		for _, h := range horizontal.seers {
			s.seen = append(s.seen, seen{v.count, h.count, v.first*int32(g.ow) + h.first, v.place*kw + h.place})
		}
	}
	return s
}

// sight returns the sight along axis 0 (height) or 1 (width), for the sizes of X and the output.
func (w window) sight(axis, size, out int) axisSight {
	stride, dilation := w.Strides[axis], w.Dilations[axis]
	d := gcd(stride, dilation)
	s := axisSight{seers: make([]seers, size), step: dilation / d, back: stride / d}
	for at := range s.seers {
		last := at + w.Pads[axis] // the distance from the first position at place 0
		most := dilation * (w.Kernel[axis] - 1)
		first := max(0, last-most+stride-1) / stride
		for tries := 0; tries < s.step && first < out && first*stride <= last; tries++ {
			if distance := last - first*stride; distance%dilation == 0 {
				place := distance / dilation
				count := min((out-1-first)/s.step, place/s.back) + 1
				s.seers[at] = seers{int32(count), int32(first), int32(place)}
				break
			}
			first++
		}
	}
	return s
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
	width := (at.n - 1) * s.right
	for range e.rows {
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
	return int(math.Round(float64(p.Spikes) * w.meanSeers([2]int{height, width}, out)))
}

// meanSeers returns the mean number of output positions that see a place of X, for the sizes of X
// and of the output.
func (w window) meanSeers(size, out [2]int) float64 {
	mean := 1.0
	for axis := range size {
		pairs := 0
		for _, v := range w.sight(axis, size[axis], out[axis]).seers {
			pairs += int(v.count)
		}
		mean *= float64(pairs) / float64(max(size[axis], 1))
	}
	return mean
}
