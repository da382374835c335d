package dataset

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// numbered returns n images whose values are all different.
func numbered(size Size, n int) *Samples {
	s := &Samples{size: size, labels: make([]int, n)}
	for i := range n * size.len() {
		s.floats = append(s.floats, float32(i)/float32(n*size.len()))
	}
	return s
}

func TestAugmentation_CropsAtRandomPositions(t *testing.T) {
	s := numbered(Size{2, 5, 6}, 3)
	a := Augmentation{Crop: 1}
	size, err := a.Output(s.Size())
	require.NoError(t, err)
	require.Equal(t, Size{2, 3, 4}, size)
	at := func(i, y, x int) []float32 {
		var want []float32
		for c := range 2 {
			for row := range 3 {
				want = append(want, s.floats[i*60+c*30+(y+row)*6+x:][:4]...)
			}
		}
		return want
	}
	dst := make([]float32, size.len())
	a.Test(dst, s, 2)
	require.Equal(t, at(2, 1, 1), dst)

	center := Augmentation{Crop: 1, Center: true}
	for epoch := range uint64(9) {
		center.Train(dst, s, 1, 5, epoch, nil)
		require.Equal(t, at(1, 1, 1), dst)
	}

	// All positions are about equally frequent.
	var count [3][3]int
	const epochs = 9000
	for epoch := range uint64(epochs) {
		a.Train(dst, s, 1, 5, epoch, nil)
		found := false
		for y := range 3 {
			for x := range 3 {
				if slices.Equal(dst, at(1, y, x)) {
					count[y][x]++
					found = true
				}
			}
		}
		require.True(t, found)
	}
	for _, row := range count {
		for _, n := range row {
			require.InDelta(t, epochs/9, n, 6*math.Sqrt(epochs/9))
		}
	}
}

func TestAugmentation_FlipsWithTheGivenProbability(t *testing.T) {
	s := numbered(Size{1, 2, 3}, 1)
	dst := make([]float32, 6)
	flipped := 0
	for epoch := range uint64(4000) {
		Augmentation{FlipP: 0.25}.Train(dst, s, 0, 1, epoch, nil)
		f := s.floats
		if slices.Equal(dst, []float32{f[2], f[1], f[0], f[5], f[4], f[3]}) {
			flipped++
		} else {
			require.Equal(t, f, dst)
		}
	}
	require.InDelta(t, 1000, flipped, 6*math.Sqrt(750))
}

func TestAugmentation_DependsOnSeedEpochAndImage(t *testing.T) {
	s := numbered(Size{3, 6, 6}, 40)
	a := Augmentation{Crop: 1, FlipP: 0.5, Brightness: 0.5, Contrast: 0.1, Saturation: 0.1, Hue: 0.15}
	all := func(seed, epoch uint64, order []int) [][]float32 {
		out := make([][]float32, s.Len())
		for _, i := range order {
			out[i] = make([]float32, 48)
			a.Train(out[i], s, i, seed, epoch, nil)
			for _, v := range out[i] {
				require.True(t, v >= 0 && v <= 1)
			}
		}
		return out
	}
	order := Order(s.Len(), 1, 1)
	want := all(1, 2, order)
	slices.Reverse(order)
	require.Equal(t, want, all(1, 2, order))
	require.NotEqual(t, want, all(2, 2, order))
	require.NotEqual(t, want, all(1, 3, order))
}

func TestOrder_IsAPermutationOfSeedAndEpoch(t *testing.T) {
	o := Order(1000, 3, 4)
	require.Equal(t, o, Order(1000, 3, 4))
	require.NotEqual(t, o, Order(1000, 3, 5))
	require.NotEqual(t, o, Order(1000, 4, 4))
	// Checkpoints rely on the order, so it must not change in a new version.
	require.Equal(t, []int{6, 7, 1, 3, 0, 5, 2, 4}, Order(8, 3, 4))
	slices.Sort(o)
	for i, v := range o {
		require.Equal(t, i, v)
	}
}

// The values were recorded from torchvision 0.14.1, functional_tensor.adjust_*.
func TestAdjust_EqualsTorchvision(t *testing.T) {
	content, err := os.ReadFile("testdata/jitter.json")
	require.NoError(t, err)
	var recorded struct {
		Image []int
		Cases []struct {
			Way      string
			Factor   float64
			Channels int
			Want     []float64
		}
	}
	require.NoError(t, json.Unmarshal(content, &recorded))
	require.Equal(t, 24, len(recorded.Cases))
	for _, c := range recorded.Cases {
		pixels := make([]float32, 12*c.Channels)
		for i := range pixels {
			pixels[i] = float32(recorded.Image[i]) / 255
		}
		gray := c.Channels == 1
		switch {
		case c.Way == "brightness":
			adjustBrightness(pixels, c.Factor)
		case c.Way == "contrast":
			adjustContrast(pixels, gray, c.Factor)
		case c.Way == "saturation" && !gray:
			adjustSaturation(pixels, c.Factor)
		case c.Way == "hue" && !gray:
			adjustHue(pixels, c.Factor)
		}
		for i, v := range pixels {
			require.InDelta(t, c.Want[i], v, 1e-6, "%s %v of %d channels, value %d", c.Way, c.Factor, c.Channels, i)
		}
	}
}

func TestAugmentation_JittersWithinTheLimits(t *testing.T) {
	s := &Samples{size: Size{1, 1, 1}, floats: []float32{0.5}, labels: []int{0}}
	least, most, sum := 1.0, 0.0, 0.0
	const epochs = 4000
	for epoch := range uint64(epochs) {
		dst := make([]float32, 1)
		Augmentation{Brightness: 0.4}.Train(dst, s, 0, 9, epoch, nil)
		f := float64(dst[0]) / 0.5
		least, most, sum = min(least, f), max(most, f), sum+f
	}
	require.InDelta(t, 0.6, least, 0.01)
	require.InDelta(t, 1.4, most, 0.01)
	require.InDelta(t, 1, sum/epochs, 6*0.8/math.Sqrt(12*epochs))

	// Hue and saturation do not change gray images.
	gray := numbered(Size{1, 3, 3}, 1)
	dst := make([]float32, 9)
	Augmentation{Saturation: 0.9, Hue: 0.5}.Train(dst, gray, 0, 1, 1, nil)
	require.Equal(t, gray.floats, dst)

	// Hue keeps the largest and the smallest channel, saturation the gray.
	rgb := &Samples{size: Size{3, 1, 1}, floats: []float32{0.6, 0.3, 0.4}, labels: []int{0}}
	dst = make([]float32, 3)
	Augmentation{Hue: 0.5}.Train(dst, rgb, 0, 1, 1, nil)
	require.NotEqual(t, rgb.floats, dst)
	require.InDelta(t, 0.6, slices.Max(dst), 1e-6)
	require.InDelta(t, 0.3, slices.Min(dst), 1e-6)
	Augmentation{Saturation: 0.9}.Train(dst, rgb, 0, 1, 1, nil)
	require.NotEqual(t, rgb.floats, dst)
	require.InDelta(t, luma(0.6, 0.3, 0.4), luma(dst[0], dst[1], dst[2]), 1e-4)

	// The order of brightness and contrast matters.
	seen := map[float32]bool{}
	two := &Samples{size: Size{1, 1, 2}, floats: []float32{0.9, 0.4}, labels: []int{0}}
	dst = make([]float32, 2)
	for epoch := range uint64(100) {
		Augmentation{Brightness: 1, Contrast: 1}.Train(dst, two, 0, 1, epoch, nil)
		seen[dst[0]] = true
	}
	require.Greater(t, len(seen), 50)
}

func TestAugmentation_RefusesInvalidFields(t *testing.T) {
	size := Size{1, 4, 5}
	for _, a := range []Augmentation{
		{Crop: -1}, {Crop: 2}, {Crop: math.MaxInt}, {FlipP: 1.1}, {FlipP: math.NaN()}, {Brightness: -1}, {Contrast: math.Inf(1)},
		{Saturation: math.NaN()}, {Hue: 0.6}, {Hue: -0.1},
	} {
		_, err := a.Output(size)
		require.Error(t, err, "%+v", a)
	}
	_, err := Augmentation{Hue: 0.1}.Output(Size{2, 4, 5})
	require.ErrorContains(t, err, "have no colors to jitter, want 1 or 3 channels")
	require.Panics(t, func() { Augmentation{Crop: 1}.Test(make([]float32, 20), numbered(size, 1), 0) })
}

func TestHoldout_DividesAllImages(t *testing.T) {
	kept, held := Holdout(1000, 300)
	require.Len(t, held, 300)
	require.True(t, slices.IsSorted(held) && slices.IsSorted(kept))
	all := slices.Concat(kept, held)
	slices.Sort(all)
	for i, n := range all {
		require.Equal(t, i, n)
	}
	// The images of all parts of the set are held back.
	for part := range 10 {
		n := 0
		for _, i := range held {
			if i/100 == part {
				n++
			}
		}
		require.InDelta(t, 30, n, 25)
	}
	_, fewer := Holdout(1000, 100)
	require.Subset(t, held, fewer)
	search, check := Parts(1000, 300)
	require.Len(t, search, 150)
	halves := slices.Concat(search, check)
	slices.Sort(halves)
	require.Equal(t, held, halves)
	fewerSearch, fewerCheck := Parts(1000, 101)
	require.Len(t, fewerCheck, 50)
	require.Subset(t, search, fewerSearch)
	require.Subset(t, check, fewerCheck)
	kept, held = Holdout(7, 0)
	require.Len(t, kept, 7)
	require.Empty(t, held)
}

func TestSubset_HasTheImagesInTheGivenOrder(t *testing.T) {
	floats := numbered(Size{1, 2, 3}, 5)
	floats.labels = []int{4, 3, 2, 1, 0}
	bytes := &Samples{size: floats.size, labels: floats.labels, bytes: make([]uint8, 30)}
	for i := range bytes.bytes {
		bytes.bytes[i] = uint8(i)
	}
	for _, s := range []*Samples{floats, bytes} {
		part := s.Subset([]int{3, 0})
		require.Equal(t, 2, part.Len())
		require.Equal(t, []int{1, 4}, []int{part.Label(0), part.Label(1)})
		want, got := make([]float32, 6), make([]float32, 6)
		for k, i := range []int{3, 0} {
			s.Pixels(i, want)
			part.Pixels(k, got)
			require.Equal(t, want, got)
		}
	}
}

func TestShared_CountsEqualImages(t *testing.T) {
	bytes := &Samples{size: Size{1, 1, 2}, labels: make([]int, 3), bytes: []uint8{0, 255, 255, 0, 255, 255}}
	floats := &Samples{size: Size{1, 1, 2}, labels: make([]int, 2), floats: []float32{0, 1, 0.3, 0.4}}
	require.Equal(t, 1, floats.Shared(bytes))
	require.Equal(t, 1, bytes.Shared(floats))
	require.Equal(t, 3, bytes.Shared(bytes))
	require.Zero(t, bytes.Shared(&Samples{size: Size{1, 2, 1}, labels: make([]int, 1), bytes: []uint8{0, 255}}))
}
