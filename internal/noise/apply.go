package noise

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
