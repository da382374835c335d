package classify_test

import (
	"image"
	"image/color"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/modeltest"
)

// grays returns images of random gray values from low to high.
func grays(low, high int) []image.Image {
	r := rand.New(rand.NewPCG(5, 0))
	var images []image.Image
	for range 4 {
		img := image.NewGray(image.Rect(0, 0, 12, 12))
		for i := range img.Pix {
			img.Pix[i] = uint8(low + r.IntN(high-low+1))
		}
		images = append(images, img)
	}
	return images
}

// TestNormalize_ContrastAndBrightnessHaveNoEffect has gray values that no noise of the test clips.
func TestNormalize_ContrastAndBrightnessHaveNoEffect(t *testing.T) {
	plain := converttest.Normalized()
	plain.Preprocessing.Normalize = false
	results := func(n *convert.Network, opts ...classify.Option) []float32 {
		r, err := open(t, modeltest.Write(t, n, convert.Options{}), append(opts, classify.Invert("no"))...).Images(t.Context(), grays(80, 170)...)
		require.NoError(t, err)
		var all []float32
		for _, v := range r {
			all = append(all, v.Probabilities...)
		}
		return all
	}
	want, other := results(converttest.Normalized()), results(plain)
	for _, text := range []string{"contrast=0.3", "contrast=0.9", "brightness=0.3", "brightness=-0.3", "contrast=0.5,brightness=0.2"} {
		require.InDeltaSlice(t, want, results(converttest.Normalized(), classify.Noise(text)), 2e-5, text)
		require.NotEqual(t, other, results(plain, classify.Noise(text)), "the noise changes images that are not normalized")
	}
	require.NotEqual(t, want, results(converttest.Normalized(), classify.Noise("gaussian=0.1")))
	require.NotEqual(t, want, results(converttest.Normalized(), classify.Noise("brightness=0.6")), "clipped")
}

// TestNormalize_PicturesAreInverted has a network that learned light on dark.
func TestNormalize_PicturesAreInverted(t *testing.T) {
	n := converttest.Normalized()
	n.Borders = &convert.Borders{}
	c := open(t, modeltest.Write(t, n, convert.Options{}))
	light := image.NewGray(image.Rect(0, 0, 12, 12))
	for i := 3; i < 9; i++ {
		light.SetGray(i, i, color.Gray{Y: 255})
	}
	got, err := c.Images(t.Context(), light, negative(t, light))
	require.NoError(t, err)
	require.False(t, got[0].Inverted)
	require.True(t, got[1].Inverted)
	require.Equal(t, got[0].Probabilities, got[1].Probabilities)
}
