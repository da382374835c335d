package dataset

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// Augmentation says how images are varied for training. The fields are those of
// PyTorch-SbS's configuration; it crops the images of every data set, and flips
// and jitters those of Fashion-MNIST and CIFAR-10.
type Augmentation struct {
	// Crop is the number of pixels by which an image gets smaller on every side:
	// for training the part that is left is anywhere, for testing in the centre.
	Crop int

	// Centre takes the centre for training too.
	Centre bool `json:",omitempty"`

	// FlipP is the probability that an image is mirrored left to right.
	FlipP float64

	// Brightness, Contrast and Saturation are the most by which a factor differs
	// from 1, which is even from max(0, 1-x) to 1+x.
	Brightness, Contrast, Saturation float64

	// Hue is the most by which the hue turns either way, at most half a turn: 0.5.
	// Hue and saturation leave gray images as they are.
	Hue float64
}

// Output returns the size of the varied images, or an error when images of this
// size cannot be varied so.
func (a Augmentation) Output(size Size) (Size, error) {
	out := Size{size.Channels, size.Height - 2*a.Crop, size.Width - 2*a.Crop}
	if a.Crop < 0 || a.Crop > min(size.Height, size.Width) || out.Height < 1 || out.Width < 1 {
		return Size{}, fmt.Errorf("dataset: images of %v cannot be cropped by %d pixels on every side", size, a.Crop)
	}
	if !(a.FlipP >= 0 && a.FlipP <= 1) {
		return Size{}, fmt.Errorf("dataset: the probability of a flip is %v, must be 0 to 1", a.FlipP)
	}
	for _, x := range []float64{a.Brightness, a.Contrast, a.Saturation} {
		if !(x >= 0 && x < 1e6) {
			return Size{}, fmt.Errorf("dataset: a jitter is %v, must be at least 0", x)
		}
	}
	if !(a.Hue >= 0 && a.Hue <= 0.5) {
		return Size{}, fmt.Errorf("dataset: the jitter of the hue is %v, must be 0 to 0.5", a.Hue)
	}
	if a.jitters() && size.Channels != 1 && size.Channels != 3 {
		return Size{}, fmt.Errorf("dataset: images of %v have no colours to jitter, only those with 1 or 3 channels have", size)
	}
	return out, nil
}

// Train puts image i into dst as it is varied in an epoch. The length of dst is
// that of an image of the size that Output returns. What happens to the image is a
// function of seed, epoch and i alone, so that training that was interrupted goes
// on as it would have.
func (a Augmentation) Train(dst []float32, s *Samples, i int, seed, epoch uint64) {
	r := random(seed, epoch, uint64(i), purposeImage)
	// All decisions are drawn, also those that a setting makes void: the others do
	// not depend on it.
	y, x := r.IntN(2*a.Crop+1), r.IntN(2*a.Crop+1)
	if a.Centre {
		y, x = a.Crop, a.Crop
	}
	flip := r.Float64() < a.FlipP
	a.crop(dst, s, i, y, x)
	size, _ := a.Output(s.size)
	if flip {
		mirror(dst, size.Width)
	}
	if a.jitters() {
		a.jitter(dst, size, r)
	}
}

// Test puts the centre of image i into dst, whose length is that of an image of
// the size that Output returns.
func (a Augmentation) Test(dst []float32, s *Samples, i int) {
	a.crop(dst, s, i, a.Crop, a.Crop)
}

// crop puts the part of image i that begins at row y and column x into dst.
func (a Augmentation) crop(dst []float32, s *Samples, i, y, x int) {
	out, err := a.Output(s.size)
	if err != nil || len(dst) != out.len() {
		panic(fmt.Sprintf("dataset: room for %d values, a cropped image has %v (%v)", len(dst), out, err))
	}
	if a.Crop == 0 {
		s.Pixels(i, dst)
		return
	}
	image := make([]float32, s.size.len())
	s.Pixels(i, image)
	for c := range out.Channels {
		for row := range out.Height {
			from := (c*s.size.Height+y+row)*s.size.Width + x
			copy(dst[(c*out.Height+row)*out.Width:][:out.Width], image[from:])
		}
	}
}

// mirror turns every row around.
func mirror(pixels []float32, width int) {
	for ; len(pixels) > 0; pixels = pixels[width:] {
		for l, r := 0, width-1; l < r; l, r = l+1, r-1 {
			pixels[l], pixels[r] = pixels[r], pixels[l]
		}
	}
}

// Order returns the order in which an epoch goes through n images: a permutation
// that is a function of seed and epoch alone.
func Order(n int, seed, epoch uint64) []int {
	return random(seed, epoch, uint64(n), purposeOrder).Perm(n)
}

// What random numbers are for: the same seed gives others for each.
const (
	purposeOrder = iota
	purposeImage
)

// random returns a generator of its own for every combination of arguments.
func random(seed, epoch, i, purpose uint64) *rand.Rand {
	var key [32]byte
	for k, v := range []uint64{seed, epoch, i, purpose} {
		binary.LittleEndian.PutUint64(key[8*k:], v)
	}
	return rand.New(rand.NewChaCha8(key))
}
