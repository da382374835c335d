package noise

import (
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/internal/poisson"
)

// picture is an image with the random numbers of one kind of noise for it.
type picture struct {
	pixels                  []float32 // (channels, height, width), from 0 to 1
	channels, height, width int
	numbers
}

// set stores a value, or the nearest value from 0 to 1.
func (p picture) set(i int, v float64) { p.pixels[i] = float32(min(max(v, 0), 1)) }

// setPixel stores a value in all channels of pixel i.
func (p picture) setPixel(i int, v float32) {
	plane := p.height * p.width
	for c := range p.channels {
		p.pixels[c*plane+i] = v
	}
}

// index returns the index of a value in pixels.
func (p picture) index(channel, y, x int) int { return (channel*p.height+y)*p.width + x }

// value returns a value of the image, or 0 outside of the image.
func (p picture) value(channel, y, x int) float64 {
	if y < 0 || y >= p.height || x < 0 || x >= p.width {
		return 0
	}
	return float64(p.pixels[p.index(channel, y, x)])
}

// copy returns a picture whose pixels do not change with those of p.
func (p picture) copy() picture {
	p.pixels = slices.Clone(p.pixels)
	return p
}

// In the formulas, float64 around a product or quotient forces its rounding. Without it,
// the compiler would fuse it with the sum on some processors, which gives different bits.

func gaussian(p picture, sigma float64) {
	for i, x := range p.pixels {
		p.set(i, float64(x)+float64(sigma*p.normal(i)))
	}
}

// saltAndPepper draws two numbers per pixel: the first decides whether the pixel changes,
// the second its value. The pixels that change at one level also change at all higher
// levels.
func saltAndPepper(p picture, share float64) {
	for i := range p.height * p.width {
		if p.uniform(2*i) >= share {
			continue
		}
		v := float32(0)
		if p.uniform(2*i+1) >= 0.5 {
			v = 1
		}
		p.setPixel(i, v)
	}
}

func uniform(p picture, e float64) {
	for i, x := range p.pixels {
		p.set(i, float64((1-e)*float64(x))+float64(e*p.uniform(i)))
	}
}

// shot draws every value with random numbers of a key of its own. Levels below 2^-25 have the
// noise of 2^-25, with 2^50 photons, which float32 can hardly represent.
func shot(p picture, sigma float64) {
	sigma = max(sigma, 0x1p-25)
	photon := float64(sigma * sigma)
	for i, x := range p.pixels {
		count := poisson.Count(float64(x)/photon, kernel.PositionKey(p.key, uint64(i)))
		p.set(i, photon*float64(count))
	}
}

func brightness(p picture, b float64) {
	for i, x := range p.pixels {
		p.set(i, float64(x)+b)
	}
}

func contrast(p picture, c float64) {
	for i, x := range p.pixels {
		p.set(i, float64((1-c)*float64(x))+float64(c/2))
	}
}

// occlusion draws the top row and the left column of the square.
func occlusion(p picture, side float64) {
	a := int(side)
	top, left := p.below(0, p.height-a+1), p.below(1, p.width-a+1)
	for y := top; y < top+a; y++ {
		for x := left; x < left+a; x++ {
			p.setPixel(y*p.width+x, 0)
		}
	}
}
