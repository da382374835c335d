package dataset

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Augmentation describes the random variation of images for training. The fields
// correspond to keys of PyTorch-SbS's configuration. PyTorch-SbS crops the images of all
// data sets, but flips and jitters only the images of Fashion-MNIST and CIFAR-10. The zero
// value changes nothing.
type Augmentation struct {
	// Crop is the number of pixels by which an image shrinks on each side. In training
	// the position of the remaining part is random, in testing it is the center.
	Crop int

	// Center uses the center in training too.
	Center bool `json:",omitempty"`

	// FlipP is the probability of a horizontal flip.
	FlipP float64

	// Brightness, Contrast and Saturation each limit a random factor x, which is uniform
	// from max(0, 1-limit) to 1+limit.
	Brightness, Contrast, Saturation float64

	// Hue limits the random rotation of the hue in both directions, as a part of the full
	// circle: 0 to 0.5. Hue and saturation do not change gray images.
	Hue float64
}

// Output returns the size of the augmented images, or an error if the augmentation does
// not fit images of this size or a field is out of its range.
func (a Augmentation) Output(size Size) (Size, error) {
	out := Size{size.Channels, size.Height - 2*a.Crop, size.Width - 2*a.Crop}
	if a.Crop < 0 || a.Crop > min(size.Height, size.Width) || out.Height < 1 || out.Width < 1 {
		return Size{}, fmt.Errorf("images of %v cannot be cropped by %d pixels on each side", size, a.Crop)
	}
	if !(a.FlipP >= 0 && a.FlipP <= 1) {
		return Size{}, fmt.Errorf("the probability of a flip is %v, want 0 to 1", a.FlipP)
	}
	for _, x := range []float64{a.Brightness, a.Contrast, a.Saturation} {
		if !(x >= 0 && x < 1e6) {
			return Size{}, fmt.Errorf("a jitter of brightness, contrast or saturation is %v, want 0 to 1e6", x)
		}
	}
	if !(a.Hue >= 0 && a.Hue <= 0.5) {
		return Size{}, fmt.Errorf("the jitter of the hue is %v, want 0 to 0.5", a.Hue)
	}
	if a.jitters() && size.Channels != 1 && size.Channels != 3 {
		return Size{}, fmt.Errorf("images of %v have no colors to jitter, want 1 or 3 channels", size)
	}
	return out, nil
}

// Train stores the augmented image i of an epoch in dst, which must have the length of an
// image of the size that Output returns. The result depends only on the image, seed, epoch
// and i, so that an interrupted training can be resumed with the same images. change changes
// the whole image before that; nil changes nothing.
func (a Augmentation) Train(dst []float32, s *Samples, i int, seed, epoch uint64, change func(pixels []float32)) {
	r := random(seed, epoch, uint64(i), purposeImage)
	// Draw every decision, even if a field disables it, so that fields do not influence
	// each other's random numbers.
	y, x := r.IntN(2*a.Crop+1), r.IntN(2*a.Crop+1)
	if a.Center {
		y, x = a.Crop, a.Crop
	}
	flip := r.Float64() < a.FlipP
	a.crop(dst, s, i, y, x, change)
	size, _ := a.Output(s.size)
	if flip {
		mirror(dst, size.Width)
	}
	if a.jitters() {
		a.jitter(dst, size, r)
	}
}

// Test stores the center of image i in dst, which must have the length of an image of the
// size that Output returns.
func (a Augmentation) Test(dst []float32, s *Samples, i int) {
	a.crop(dst, s, i, a.Crop, a.Crop, nil)
}

// crop stores the part of image i that starts at row y and column x in dst, after change.
func (a Augmentation) crop(dst []float32, s *Samples, i, y, x int, change func(pixels []float32)) {
	out, err := a.Output(s.size)
	if err != nil || len(dst) != out.len() {
		panic(fmt.Sprintf("dataset: dst has %d values, want those of a cropped image of %v (%v)", len(dst), out, err))
	}
	image := dst
	if a.Crop > 0 {
		image = make([]float32, s.size.len())
	}
	s.Pixels(i, image)
	if change != nil {
		change(image)
	}
	if a.Crop == 0 {
		return
	}
	for c := range out.Channels {
		for row := range out.Height {
			from := (c*s.size.Height+y+row)*s.size.Width + x
			copy(dst[(c*out.Height+row)*out.Width:][:out.Width], image[from:])
		}
	}
}

// mirror reverses each row.
func mirror(pixels []float32, width int) {
	for ; len(pixels) > 0; pixels = pixels[width:] {
		for l, r := 0, width-1; l < r; l, r = l+1, r-1 {
			pixels[l], pixels[r] = pixels[r], pixels[l]
		}
	}
}

// Order returns the order of n images in an epoch, a permutation that depends only on n,
// seed and epoch.
func Order(n int, seed, epoch uint64) []int {
	return random(seed, epoch, uint64(n), purposeOrder).Perm(n)
}

// Holdout divides n images into those that are kept for training and count images that are
// held back, both in ascending order. Equal arguments give equal parts, and a smaller count
// holds back a part of the images of a larger one.
func Holdout(n, count int) (kept, held []int) {
	order := random(0, 0, uint64(n), purposeHoldout).Perm(n)
	held, kept = order[:count:count], order[count:]
	slices.Sort(held)
	slices.Sort(kept)
	return kept, held
}

// Parts divides the images that Holdout holds back into two halves, both in ascending order:
// one to search for the best network with, and one to check with what was found. The halves of
// a smaller count are parts of the halves of a larger one.
func Parts(n, count int) (search, check []int) {
	for i, image := range random(0, 0, uint64(n), purposeHoldout).Perm(n)[:count] {
		if i%2 == 0 {
			search = append(search, image)
		} else {
			check = append(check, image)
		}
	}
	slices.Sort(search)
	slices.Sort(check)
	return search, check
}

// Purposes of random numbers. One seed gives different numbers for each purpose.
const (
	purposeOrder = iota
	purposeImage
	purposeHoldout
)

// random returns an independent generator for each combination of arguments.
func random(seed, epoch, i, purpose uint64) *rand.Rand {
	var key [32]byte
	for k, v := range []uint64{seed, epoch, i, purpose} {
		binary.LittleEndian.PutUint64(key[8*k:], v)
	}
	return rand.New(rand.NewChaCha8(key))
}
