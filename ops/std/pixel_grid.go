package std

import (
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// pixelGrid holds the padded pixels of a channel so that a convolution reads the pixels of neighboring
// output positions from neighboring places, for every tap of the window. With a stride of s, a grid
// therefore has s planes along an axis: plane p holds the pixels p, p+s, p+2s and so on. An
// output position has the same place in all planes, its index in a plane of the first plane's size.
// The places of a plane that are no output positions, at the ends of its rows, are computed for nothing.
type pixelGrid struct {
	axes      []gridAxis // the first one is that of the images
	planes    int
	plane     int // places in a plane
	positions int // from the first output position to the last one, in a plane
	taps      []int
	runs      []gridRun
	element   int // distance of the images in the input
}

// gridAxis is an axis of a grid.
type gridAxis struct {
	spatialAxis
	phases []int // the planes that taps lie in
	size   int   // of a plane
	step   int   // between places in a plane
	pixels int   // between pixels of the input
}

// gridRun describes neighboring output positions that are neighbors in the output too.
type gridRun struct{ first, place, count int }

// plain reports whether the windows along an axis are its pixels.
func (a *spatialAxis) plain() bool {
	return a.kernel == 1 && a.stride == 1 && a.before == 0 && a.in == a.out
}

// newGrid returns a grid for images with some channels, of which a place of the output of the first
// filter stands for an output position. It returns nil if the grid would be far larger than the images.
func newGrid(ctx *ops.Context, images, channels, filters int, spatial []spatialAxis) (*pixelGrid, error) {
	g := &pixelGrid{planes: 1, plane: 1}
	inputs, outputs := 1, 1
	var axes []spatialAxis
	for _, a := range spatial {
		inputs, outputs = inputs*a.in, outputs*a.out
		// Neighboring axes without a window count as one.
		if last := len(axes) - 1; last >= 0 && a.plain() && axes[last].plain() {
			axes[last].in, axes[last].out = axes[last].in*a.in, axes[last].out*a.out
			continue
		}
		axes = append(axes, a)
	}
	g.element = channels * inputs
	axes = append([]spatialAxis{{in: images, out: images, kernel: 1, stride: 1, dilation: 1}}, axes...)
	limit, places := 8*images*inputs+1<<18, 1
	pixels := 1
	for i := len(axes) - 1; i >= 0; i-- {
		a := gridAxis{spatialAxis: axes[i], step: g.plane, pixels: pixels}
		a.size = a.out + (a.kernel-1)*a.dilation/a.stride
		for k := range min(a.kernel, a.stride) { // the phases repeat after stride taps
			if p := k * a.dilation % a.stride; !slices.Contains(a.phases, p) {
				a.phases = append(a.phases, p)
			}
		}
		slices.Sort(a.phases)
		if a.size > math.MaxInt32 || places > limit/(a.size*len(a.phases)) {
			return nil, nil
		}
		places *= a.size * len(a.phases)
		g.plane, g.planes = g.plane*a.size, g.planes*len(a.phases)
		pixels *= a.in
		g.axes = append(g.axes, a)
	}
	g.axes[len(g.axes)-1].pixels = g.element
	slices.Reverse(g.axes)
	g.positions = 1
	shape, taps := make([]int, len(g.axes)), make([]int, len(g.axes))
	for i, a := range g.axes {
		g.positions += (a.out - 1) * a.step
		shape[i], taps[i] = a.out, a.kernel
	}
	at := coordinates{shape: taps, at: make([]int, len(taps))}
	for range numElements(taps) {
		g.taps = append(g.taps, g.tap(at.at))
		at.next()
	}
	last := len(shape) - 1
	rows := numElements(shape[:last])
	if err := ctx.Reserve(24*int64(rows) + 8*int64(len(g.taps))); err != nil {
		return nil, err
	}
	at = coordinates{shape: shape[:last], at: make([]int, last)}
	for row := range rows {
		if row%stepsPerCheck == stepsPerCheck-1 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		first := 0
		for i, c := range at.at {
			first += c * g.axes[i].step
		}
		image := row / max(1, rows/images)
		g.runs = append(g.runs, gridRun{first, row*shape[last] + image*(filters-1)*outputs, shape[last]})
		at.next()
	}
	return g, nil
}

// tap returns the place of a tap of the first window.
func (g *pixelGrid) tap(at []int) int {
	plane, place := 0, 0
	for i, a := range g.axes {
		offset := at[i] * a.dilation
		plane = plane*len(a.phases) + slices.Index(a.phases, offset%a.stride)
		place += offset / a.stride * a.step
	}
	return plane*g.plane + place
}

// places returns the number of places of a channel.
func (g *pixelGrid) places() int { return g.planes * g.plane }

// rows returns the number of rows of all planes, with the planes of the last axis counted as one.
func (g *pixelGrid) rows() int {
	n := 1
	for _, a := range g.axes[:len(g.axes)-1] {
		n *= len(a.phases) * a.size
	}
	return n
}

// gridRows goes through rows of a grid.
type gridRows struct {
	g           *pixelGrid
	row         int
	first       int // place of the row in the first plane of the last axis
	from        int // place of its first pixel in the input
	inside      bool
	left, pixel int // of the last of the other axes: rows until its end, and its pixel
	padded      bool
}

// rowsFrom returns the rows of a grid from a given one on.
func (g *pixelGrid) rowsFrom(row int) gridRows {
	r := gridRows{g: g, row: row}
	r.locate()
	return r
}

// locate finds everything but row anew.
func (r *gridRows) locate() {
	g, row := r.g, r.row
	last := len(g.axes) - 1
	r.first, r.from, r.padded = 0, 0, false
	factor := len(g.axes[last].phases) * g.plane
	for i := last - 1; i >= 0; i-- {
		a := &g.axes[i]
		x := row % a.size
		row /= a.size
		phase := row % len(a.phases)
		row /= len(a.phases)
		pixel := x*a.stride + a.phases[phase] - a.before
		r.first += x*a.step + phase*factor
		factor *= len(a.phases)
		r.from += pixel * a.pixels
		if i == last-1 {
			r.left, r.pixel = a.size-x, pixel
		} else if pixel < 0 || pixel >= a.in {
			r.padded = true
		}
	}
	r.look()
}

// look determines whether the row lies on the image.
func (r *gridRows) look() {
	r.inside = !r.padded && r.pixel >= 0 && r.pixel < r.g.axes[len(r.g.axes)-2].in
}

// next moves to the next row.
func (r *gridRows) next() {
	r.row++
	if r.left--; r.left == 0 {
		r.locate()
		return
	}
	a := &r.g.axes[len(r.g.axes)-2]
	r.first += a.step
	r.pixel += a.stride
	r.from += a.stride * a.pixels
	r.look()
}

// spareRow is memory for a row of the input: for its pixels, and for those of its phases.
type spareRow[T uint8 | uint32] struct{ pixels, even, odd []T }

// fillRow fills a row of a grid: dst holds the places of a channel. Unless the row is padding only,
// read copies pixels of the input that begin at a place.
func fillRow[T uint8 | uint32](r *gridRows, dst []T, padding T, spare *spareRow[T], read func(dst []T, from int)) {
	g := r.g
	a := &g.axes[len(g.axes)-1]
	if !r.inside {
		for phase := range a.phases {
			fill(dst[r.first+phase*g.plane:][:a.size], padding)
		}
		return
	}
	if a.stride == 1 {
		line := dst[r.first:][:a.size]
		lo, hi := min(a.before, a.size), min(a.before+a.in, a.size)
		fill(line[:lo], padding)
		read(line[lo:hi], r.from)
		fill(line[hi:], padding)
		return
	}
	if len(spare.pixels) < a.in {
		spare.pixels, spare.even, spare.odd = make([]T, a.in), make([]T, (a.in+1)/2), make([]T, (a.in+1)/2)
	}
	pixels := spare.pixels[:a.in]
	read(pixels, r.from)
	if a.stride == 2 {
		splitPixels(spare.even, spare.odd, pixels)
	}
	for phase, p := range a.phases {
		line := dst[r.first+phase*g.plane:][:a.size]
		// Places lo to hi-1 lie on the image.
		offset := p - a.before
		lo, hi := 0, 0
		if offset < 0 {
			lo = min(a.size, (-offset+a.stride-1)/a.stride)
		}
		if a.in > offset {
			hi = min(a.size, (a.in-offset+a.stride-1)/a.stride)
		}
		hi = max(lo, hi)
		fill(line[:lo], padding)
		fill(line[hi:], padding)
		at := offset + lo*a.stride
		switch {
		case a.stride == 2 && at%2 == 0:
			copy(line[lo:hi], spare.even[at/2:])
		case a.stride == 2:
			copy(line[lo:hi], spare.odd[at/2:])
		default:
			for j := range line[lo:hi] {
				line[lo+j] = pixels[at+j*a.stride]
			}
		}
	}
}

// splitPixels separates pixels with an even index from those with an odd one.
func splitPixels[T uint8 | uint32](even, odd, pixels []T) {
	if b, ok := any(pixels).([]uint8); ok {
		kernel.Split(any(even).([]uint8), any(odd).([]uint8), b)
		return
	}
	n := len(pixels) / 2
	even, odd = even[:len(pixels)-n], odd[:n]
	for i := range odd {
		even[i], odd[i] = pixels[2*i], pixels[2*i+1]
	}
	if len(even) > n {
		even[n] = pixels[2*n]
	}
}

func fill[T any](v []T, x T) {
	for i := range v {
		v[i] = x
	}
}

// scatter copies the values at output positions, of a block of places that begins at first, to a plane
// of the output.
func scatter[T any](g *pixelGrid, to []T, first int, values []T) {
	i, _ := slices.BinarySearchFunc(g.runs, first, func(r gridRun, first int) int { return r.first + r.count - 1 - first })
	end := first + len(values)
	for ; i < len(g.runs) && g.runs[i].first < end; i++ {
		r := &g.runs[i]
		skip := max(0, first-r.first)
		if count := min(r.count, end-r.first) - skip; count > 0 {
			copy(to[r.place+skip:][:count], values[r.first+skip-first:])
		}
	}
}

// room is the number of places that must follow those of all channels.
const room = kernel.IntegerRoom
