package dataset

import (
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/metadata"
)

// Invert says which images are inverted: every value v becomes 1-v.
type Invert string

// Values of Invert. The zero value means InvertAuto.
const (
	// InvertAuto inverts pictures that are dark on light if the network learned light on
	// dark, or the other way round, as the Borders of its training images tell. It decides for
	// each picture by its border pixels. It never inverts images from IDX, .npy and CIFAR-10
	// files, and no image if the Borders are unknown.
	InvertAuto Invert = "auto"
	InvertYes  Invert = "yes" // every image
	InvertNo   Invert = "no"  // no image
)

// finish sets Blank and inverts the pixels. isPicture is false for an image from an array.
func (m *Image) finish(size Size, how Invert, trained *metadata.Borders, isPicture bool) {
	m.Blank = isPicture && isBlank(m.Pixels, size)
	auto := how != InvertYes && how != InvertNo && isPicture && !m.Blank
	if how == InvertYes || auto && isInverse(m.Pixels, size, trained) {
		m.Inverted = true
		invert(m.Pixels)
	}
}

// quartiles are the lower quartile, the median and the upper quartile of the border pixels
// of an image.
type quartiles [3]float32

// borderOf returns the quartiles of the border pixels of an image. The border of an image with
// sides of up to 56 pixels is one pixel wide. Colors count by the mean of their channels.
func borderOf(pixels []float32, size Size) quartiles {
	const sides = 28 // the width of the border is this part of the smaller side
	width := max(min(size.Height, size.Width)/sides, 1)
	var border []float32
	for y := range size.Height {
		for x := range size.Width {
			if x >= width && x < size.Width-width && y >= width && y < size.Height-width {
				continue // inside
			}
			border = append(border, brightness(pixels, size, y*size.Width+x))
		}
	}
	slices.Sort(border)
	n := len(border) - 1
	return quartiles{border[n/4], border[n/2], border[n-n/4]}
}

// brightness returns the mean of the channels of pixel i.
func brightness(pixels []float32, size Size, i int) float32 {
	plane := size.Height * size.Width
	sum := float32(0)
	for c := range size.Channels {
		sum += pixels[c*plane+i]
	}
	return sum / float32(size.Channels)
}

// Borders describes the borders of all images. It returns nil if there are no images.
func (s *Samples) Borders() *metadata.Borders {
	if s.Len() == 0 {
		return nil
	}
	var all [3][]float32
	image := make([]float32, s.size.len())
	for i := range s.Len() {
		s.Pixels(i, image)
		for k, v := range borderOf(image, s.size) {
			all[k] = append(all[k], v)
		}
	}
	summary := func(v []float32) [3]float32 {
		slices.Sort(v)
		return [3]float32{v[0], v[(len(v)-1)/2], v[len(v)-1]}
	}
	return &metadata.Borders{Lower: summary(all[0]), Median: summary(all[1]), Upper: summary(all[2])}
}

// Limits of isInverse.
const (
	// The background of the training images is dark if it is typically at most typicalDark,
	// and below anyDark in all of them.
	typicalDark, anyDark = 0.25, 0.5
	// The background of an inverted image is brighter than that of all training images by
	// more than surplus, and its inverse is closer to them by more than gain.
	surplus, gain = 0.2, 0.1
	// The channels of a picture without colors differ by at most tint on average.
	tint = 0.15
)

// isInverse reports whether an image is dark on light although the training images with the
// given borders are all light on dark, or the other way round.
func isInverse(pixels []float32, size Size, trained *metadata.Borders) bool {
	if trained == nil || hasColors(pixels, size) {
		return false
	}
	q := borderOf(pixels, size)
	if isBrighter(q, trained) {
		return true
	}
	return isBrighter(quartiles{1 - q[2], 1 - q[1], 1 - q[0]}, trained.Inverted())
}

// isBrighter reports whether the background of an image with the border q is bright although
// the background of the training images is dark. The background of an image is the median of
// its border, or the lower quartile if objects often fill more than half of the border in the
// training images.
func isBrighter(q quartiles, trained *metadata.Borders) bool {
	background, dark, inverse := q[1], trained.Median, 1-q[1]
	if dark[2] >= anyDark {
		background, dark, inverse = q[0], trained.Lower, 1-q[2]
	}
	typical, most := dark[1], dark[2]
	if typical > typicalDark || most >= anyDark || background <= most+surplus {
		return false
	}
	return background-typical > float32(math.Abs(float64(inverse-typical)))+gain
}

// hasColors reports whether an image is not nearly gray.
func hasColors(pixels []float32, size Size) bool {
	if size.Channels == 1 {
		return false
	}
	plane := size.Height * size.Width
	sum := 0.0
	for i := range plane {
		low, high := pixels[i], pixels[i]
		for c := 1; c < size.Channels; c++ {
			low, high = min(low, pixels[c*plane+i]), max(high, pixels[c*plane+i])
		}
		sum += float64(high - low)
	}
	return sum > tint*float64(plane)
}

// invert replaces every value v by 1-v. Values of images with 8 or 16 bits stay such values
// exactly.
func invert(pixels []float32) {
	for i, v := range pixels {
		if n := math.Round(float64(v) * math.MaxUint16); float32(n)/math.MaxUint16 == v {
			pixels[i] = float32(math.MaxUint16-n) / math.MaxUint16
		} else {
			pixels[i] = 1 - v
		}
	}
}

// isBlank reports whether an image has nearly the same value everywhere in every channel.
func isBlank(pixels []float32, size Size) bool {
	const same = 2.5 / math.MaxUint8 // the compression of a blank picture may change values by 1 or 2
	for channel := range slices.Chunk(pixels, size.Height*size.Width) {
		if slices.Max(channel)-slices.Min(channel) > same {
			return false
		}
	}
	return true
}
