// Package noise adds noise to images, to measure how well a network classifies images
// that differ from those of its training. A Mix draws noise for the training itself.
//
// An image has the values x from 0 to 1. Noise is added to the whole image, before the
// network crops it. The level of a kind of noise is the number in its formula:
//
//	kind              formula                        level
//	gaussian=S        x + S*N                        standard deviation, at least 0
//	salt-and-pepper=S each pixel becomes 0 or 1      share of the pixels that change, 0 to 1
//	                  with probability S/2 each
//	uniform=E         (1-E)*x + E*U                  share of the noise, 0 to 1
//	shot=S            S*S*P(x/(S*S))                 standard deviation of a white pixel, 0 to 10
//	contrast=C        (1-C)*x + C/2                  share of the contrast that is lost, 0 to 1
//	brightness=B      x + B                          change of all values, -1 to 1
//	blur=S            mean of the neighbors, with    standard deviation in pixels, 0 to 100
//	                  Gaussian weights
//	occlusion=A       a square of A times A pixels   side of the square in pixels, a whole number
//	                  becomes 0, at a random place
//	                  inside the image
//	rotation=A        the image turns by A degrees   angle in degrees, 0 to 180
//	                  about its center, clockwise
//	                  or counterclockwise
//	translation=D     the image moves by D pixels    distance in pixels, at most the smaller side
//	                  in a random direction          of the image
//	crop-shift=D      the part of the image that the distance in pixels, a whole number, at most
//	                  model crops moves, at random,  the number of pixels that the model crops on
//	                  by D rows or by D columns and  each side
//	                  by at most D of the other
//
// N has the standard normal distribution. U is uniform in [0, 1). P(r) has the Poisson
// distribution of rate r. In images with colors, gaussian, uniform and shot draw a number
// for every value. The other kinds change all channels of a pixel in the same way.
//
// shot is the noise of a sensor that counts photons: 1/(S*S) photons on average for a white
// pixel. A value x has the standard deviation S*sqrt(x).
//
// blur gives a neighbor at a distance of k columns and l rows a weight in proportion to
// exp(-(k*k+l*l)/(2*S*S)). k and l reach from -r to r, where r is 4*S, rounded. The sum of the
// weights is 1. Beyond the edges, the image repeats its outermost pixels.
//
// rotation and translation interpolate between four pixels (bilinear interpolation). Outside
// of the image, all values are 0. Both directions of rotation are equally probable, and so are
// all directions of translation, which need not be those of rows or columns.
//
// crop-shift shows the network pixels of the border that its crop removes otherwise. No value
// is interpolated, and none comes from outside of the image. All 8*D moves are equally probable.
//
// After every kind, values below 0 become 0 and values above 1 become 1. Values are not
// rounded to 8 bits. An image does not change at level 0.
//
// # Random numbers
//
// The random numbers are those of internal/kernel. They depend on the seed, the number of
// the image, the kind of noise and the index of the value or pixel only. They do not
// depend on the level, the batch or the number of workers, and they are independent of
// the numbers that draw the spikes of a network.
//
//	normal   sqrt(-2*log(u1)) * cos(2*pi*u2), with u1 = (r1+0.5)/2^32 and u2 = r2/2^32
//	uniform  r/2^32
//
// r, r1 and r2 are 32-bit random numbers. The formula for the normal distribution is from
// Box and Muller, "A note on the generation of random normal deviates", Annals of
// Mathematical Statistics 29, 1958.
package noise

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/kernel"
)

// Noise is a sequence of kinds of noise with their levels. The zero value changes no
// image. A Noise never changes, so that it is safe for concurrent use.
type Noise struct {
	steps []step
}

// step is one kind of noise with its level.
type step struct {
	kind  *Kind
	level float64
}

// Parse returns the noise that text describes: KIND=LEVEL, such as contrast=0.6, or
// several of them, separated by commas, which are applied in this order. Each kind may
// occur once. An error names the kind and the levels that it takes.
func Parse(text string) (Noise, error) {
	var n Noise
	for part := range strings.SplitSeq(text, ",") {
		s, err := parseStep(strings.TrimSpace(part))
		if err != nil {
			return Noise{}, err
		}
		for _, other := range n.steps {
			if other.kind == s.kind {
				return Noise{}, fmt.Errorf("%s is given twice", s.kind.Name)
			}
		}
		n.steps = append(n.steps, s)
	}
	return n, nil
}

func parseStep(text string) (step, error) {
	name, number, separated := strings.Cut(text, "=")
	name, number = strings.TrimSpace(name), strings.TrimSpace(number)
	if name == "" {
		return step{}, fmt.Errorf("want KIND=LEVEL, such as contrast=0.6; the kinds are %s", list())
	}
	k := find(name)
	switch {
	case k == nil && !separated:
		return step{}, fmt.Errorf("%q: want KIND=LEVEL, such as contrast=0.6; the kinds are %s", name, list())
	case k == nil:
		return step{}, fmt.Errorf("%q is not a kind of noise; the kinds are %s", name, list())
	case !separated || number == "":
		return step{}, fmt.Errorf("the level is missing: write %s=LEVEL; %s", name, k.wants())
	}
	level, err := strconv.ParseFloat(number, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return step{}, fmt.Errorf("%s; %q is not a number", k.wants(), number)
	}
	// A number out of the range of float64 is infinite, which no kind accepts.
	if !k.accepts(level) {
		return step{}, errors.New(k.wants())
	}
	if level == 0 {
		level = 0 // -0 too
	}
	return step{k, level}, nil
}

// String returns the noise in the form that Parse reads, such as "contrast=0.6". It
// returns "" for the zero value.
func (n Noise) String() string {
	parts := make([]string, len(n.steps))
	for i, s := range n.steps {
		parts[i] = s.String()
	}
	return strings.Join(parts, ",")
}

func (s step) String() string {
	return s.kind.Name + "=" + number(s.level)
}

// Fits returns an error if images of a size cannot have this noise, such as a square that
// is larger than the image. crop is the number of pixels that the model removes from each
// side of the image. The error says which levels are possible.
func (n Noise) Fits(height, width, crop int) error {
	for _, s := range n.steps {
		if s.kind.fits == nil {
			continue
		}
		if problem := s.kind.fits(s.level, height, width, crop); problem != "" {
			return fmt.Errorf("%s: %s", s, problem)
		}
	}
	return nil
}

// Apply adds the noise to an image in place. pixels holds the values from 0 to 1, with
// the shape (channels, height, width). image is the number of the image. Images of the
// size must fit the noise: see Fits. Equal arguments give equal bits.
func (n Noise) Apply(pixels []float32, channels, height, width int, seed, image uint64) {
	if len(pixels) != channels*height*width {
		panic(fmt.Sprintf("noise: %d values for an image of %dx%dx%d", len(pixels), channels, height, width))
	}
	if err := n.Fits(height, width, (min(height, width)-1)/2); err != nil { // a crop leaves a pixel or more
		panic(fmt.Sprint("noise: ", err))
	}
	for _, s := range n.steps {
		if s.level == 0 {
			continue // also the bits stay the same
		}
		s.kind.apply(picture{
			pixels: pixels, channels: channels, height: height, width: width,
			numbers: numbers{kernel.Key(seed, layer, image, s.kind.stream)},
		}, s.level)
	}
}
