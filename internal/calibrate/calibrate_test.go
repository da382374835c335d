package calibrate

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNeeded_IsTheSmallestNumberOfImages(t *testing.T) {
	require.Equal(t, 2995, Needed(0.001, 0.95)) // (1-0.001)^2995 <= 0.05 < (1-0.001)^2994
	sure := func(n int) []Image {
		images := make([]Image, n)
		for i := range images {
			images[i].Margin = 1
		}
		return images
	}
	_, err := Threshold(sure(2994), 0.001, 0.95)
	require.EqualError(t, err, "2994 images are too few to state a loss of at most 0.1% with a confidence of 95%: it takes 2995 images")
	threshold, err := Threshold(sure(2995), 0.001, 0.95)
	require.NoError(t, err)
	require.Zero(t, threshold)
	require.Equal(t, math.MaxInt32, Needed(1e-22, 0.95))
}

// TestThreshold_StopsBeforeTheLoss has lost images at known margins. With 10,000 images,
// the tail of Binomial(10000, 0.001) at 4 is 0.029, and at 5 it is 0.067.
func TestThreshold_StopsBeforeTheLoss(t *testing.T) {
	images := make([]Image, 10000)
	for i := range images {
		images[i].Margin = 1
	}
	for i, margin := range []float64{0.999, 0.99, 0.97, 0.95, 0.9, 0.8, 0.2} {
		images[i] = Image{Margin: margin, Lost: true}
	}
	threshold, err := Threshold(images, 0.001, 0.95)
	require.NoError(t, err)
	require.True(t, threshold > 0.9 && threshold <= 0.95, threshold)

	// A test that fails ends the sequence, even if later ones would succeed.
	for i := range 20 {
		images[i] = Image{Margin: 1, Lost: true}
	}
	_, err = Threshold(images, 0.001, 0.95)
	require.ErrorIs(t, err, ErrNone)
	require.ErrorContains(t, err, "wrong even about images of which it is completely sure")
}

// TestThreshold_HoldsTheLossWithTheConfidence calibrates many times with images of a known
// distribution.
func TestThreshold_HoldsTheLossWithTheConfidence(t *testing.T) {
	const loss, confidence, runs = 0.02, 0.9, 400
	r := rand.New(rand.NewPCG(1, 2))
	// An image with margin m is lost with the probability 0.3*(1-m).
	draw := func() Image {
		m := 1 - r.Float64()*r.Float64()
		return Image{Margin: m, Lost: r.Float64() < 0.3*(1-m)}
	}
	many := make([]Image, 400000)
	for i := range many {
		many[i] = draw()
	}
	exceeded := 0
	early := 0.0
	for range runs {
		images := make([]Image, 2000)
		for i := range images {
			images[i] = draw()
		}
		found, err := Threshold(images, loss, confidence)
		require.NoError(t, err)
		lost := 0
		for _, v := range many {
			if v.Margin >= found {
				early += 1 / float64(len(many)) / runs
				if v.Lost {
					lost++
				}
			}
		}
		if float64(lost) > loss*float64(len(many)) {
			exceeded++
		}
	}
	require.LessOrEqual(t, float64(exceeded)/runs, 1-confidence+0.03)
	require.Greater(t, exceeded, 0, "the bound is not far too careful")
	require.Greater(t, early, 0.5)
}

func TestThreshold_RefusesImpossibleWishes(t *testing.T) {
	for _, v := range [][2]float64{{0, 0.9}, {1, 0.9}, {0.1, 1}, {0.1, 0}, {-1, 0.5}} {
		_, err := Threshold(make([]Image, 10), v[0], v[1])
		require.ErrorContains(t, err, "cannot be stated")
	}
}

func TestThresholds_Descend(t *testing.T) {
	list := Thresholds()
	require.Equal(t, 1.0, list[0])
	require.Zero(t, list[len(list)-1])
	for i := range list[1:] {
		require.Less(t, list[i+1], list[i])
	}
}
