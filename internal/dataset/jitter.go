package dataset

import (
	"math"
	"math/rand/v2"
)

// The jitter equals torchvision's transforms.ColorJitter on tensors of floats.

func (a Augmentation) jitters() bool {
	return a.Brightness > 0 || a.Contrast > 0 || a.Saturation > 0 || a.Hue > 0
}

// jitter applies the four color changes in random order. Values stay from 0 to 1.
func (a Augmentation) jitter(pixels []float32, size Size, r *rand.Rand) {
	order := r.Perm(4)
	factor := func(x float64) float64 {
		low := max(0, 1-x)
		return low + float64(r.Float64()*(1+x-low))
	}
	brightness, contrast, saturation := factor(a.Brightness), factor(a.Contrast), factor(a.Saturation)
	turn := a.Hue * (2*float64(r.Float64()) - 1)
	gray := size.Channels == 1
	for _, way := range order {
		switch {
		case way == 0 && a.Brightness > 0:
			adjustBrightness(pixels, brightness)
		case way == 1 && a.Contrast > 0:
			adjustContrast(pixels, gray, contrast)
		case way == 2 && a.Saturation > 0 && !gray:
			adjustSaturation(pixels, saturation)
		case way == 3 && a.Hue > 0 && !gray:
			adjustHue(pixels, turn)
		}
	}
}

func adjustBrightness(pixels []float32, factor float64) {
	for i, v := range pixels {
		pixels[i] = blend(v, 0, factor)
	}
}

// adjustContrast blends the image with the mean of its gray values.
func adjustContrast(pixels []float32, gray bool, factor float64) {
	sum, n := 0.0, len(pixels)
	if gray {
		for _, v := range pixels {
			sum += float64(v)
		}
	} else {
		n /= 3
		for i := range n {
			sum += luma(pixels[i], pixels[n+i], pixels[2*n+i])
		}
	}
	mean := sum / float64(n)
	for i, v := range pixels {
		pixels[i] = blend(v, mean, factor)
	}
}

// adjustSaturation blends each pixel with its gray value.
func adjustSaturation(pixels []float32, factor float64) {
	n := len(pixels) / 3
	for i := range n {
		red, green, blue := &pixels[i], &pixels[n+i], &pixels[2*n+i]
		gray := luma(*red, *green, *blue)
		*red, *green, *blue = blend(*red, gray, factor), blend(*green, gray, factor), blend(*blue, gray, factor)
	}
}

// adjustHue rotates the hue of each pixel and keeps its saturation and value (HSV).
func adjustHue(pixels []float32, turn float64) {
	n := len(pixels) / 3
	for i := range n {
		r, g, b := float64(pixels[i]), float64(pixels[n+i]), float64(pixels[2*n+i])
		most, least := max(r, g, b), min(r, g, b)
		if most == least {
			continue // gray
		}
		// The hue in sixths of the circle, from red.
		var hue float64
		switch most {
		case r:
			hue = (g - b) / (most - least)
		case g:
			hue = 2 + (b-r)/(most-least)
		default:
			hue = 4 + (r-g)/(most-least)
		}
		hue += float64(6 * turn)
		// A channel has the largest value up to one sixth away from its own hue and falls
		// to the smallest at two sixths.
		channel := func(own float64) float32 {
			away := math.Abs(math.Remainder(hue-own, 6))
			return float32(least + float64((most-least)*min(max(2-away, 0), 1)))
		}
		pixels[i], pixels[n+i], pixels[2*n+i] = channel(0), channel(2), channel(4)
	}
}

// luma returns the gray value of ITU-R 601, with the coefficients of torchvision.
func luma(r, g, b float32) float64 {
	return float64(0.2989*float64(r)) + float64(0.587*float64(g)) + float64(0.114*float64(b))
}

func blend(a float32, b, factor float64) float32 {
	return float32(min(max(float64(factor*float64(a))+float64((1-factor)*b), 0), 1))
}
