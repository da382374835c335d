package noise

import (
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

// sin returns the sine of 2*pi*turns.
func sin(turns float64) float64 { return cos(float64(turns) - 0.25) }

// cos returns the cosine of 2*pi*turns.
func cos(turns float64) float64 { return portmath.Cos(2 * math.Pi * turns) }

// rotation draws the direction. Row y and column x of the result show the place to which the
// opposite rotation moves them.
func rotation(p picture, degrees float64) {
	turns := degrees / 360
	if p.uniform(0) < 0.5 {
		turns = -turns
	}
	s, c := sin(turns), cos(turns)
	centerY, centerX := float64(p.height-1)/2, float64(p.width-1)/2
	p.move(func(y, x int) (fromY, fromX float64) {
		dy, dx := float64(y)-centerY, float64(x)-centerX
		return centerY + (float64(c*dy) - float64(s*dx)), centerX + (float64(s*dy) + float64(c*dx))
	})
}

// translation draws the direction.
func translation(p picture, distance float64) {
	turns := p.uniform(0)
	down, right := float64(distance*sin(turns)), float64(distance*cos(turns))
	p.move(func(y, x int) (fromY, fromX float64) { return float64(y) - down, float64(x) - right })
}

// move gives every pixel the value that the image has at another place, by bilinear
// interpolation. Outside of the image, all values are 0.
func (p picture) move(from func(y, x int) (fromY, fromX float64)) {
	old := p.copy()
	for y := range p.height {
		for x := range p.width {
			fromY, fromX := from(y, x)
			top, left := math.Floor(fromY), math.Floor(fromX)
			lower, right := fromY-top, fromX-left // shares of the lower and of the right pixels
			for c := range p.channels {
				above := mix(old.value(c, int(top), int(left)), old.value(c, int(top), int(left)+1), right)
				below := mix(old.value(c, int(top)+1, int(left)), old.value(c, int(top)+1, int(left)+1), right)
				p.set(p.index(c, y, x), mix(above, below, lower))
			}
		}
	}
}

// mix returns the mean of a and b in which b has the given share.
func mix(a, b, share float64) float64 { return float64((1-share)*a) + float64(share*b) }

// cropShift draws one of the 8*d places at which the larger of the two distances, in rows and in
// columns, is d: the places on the border of a square, clockwise from its upper left corner.
// Pixels beyond the edges of the image, which no crop shows, repeat those of the edges.
func cropShift(p picture, distance float64) {
	d := int(distance)
	place := p.below(0, 8*d)
	along := place % (2 * d)
	var down, right int
	switch place / (2 * d) {
	case 0:
		down, right = -d, along-d
	case 1:
		down, right = along-d, d
	case 2:
		down, right = d, d-along
	default:
		down, right = d-along, -d
	}
	old := p.copy()
	for c := range p.channels {
		for y := range p.height {
			for x := range p.width {
				p.pixels[p.index(c, y, x)] = old.pixels[p.index(c, inside(y+down, p.height), inside(x+right, p.width))]
			}
		}
	}
}

// inside returns the index from 0 to n-1 that is nearest to i.
func inside(i, n int) int { return min(max(i, 0), n-1) }
