package pytorch

import (
	"image"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/metadata"
)

// TestBorders_FitTheDataSets checks the borders of the data sets that are there, and that no
// image of a data set, as a picture, is inverted, while the inverse of one for which the
// background is known is. The environment variables name the folders of MNIST and Fashion-MNIST
// and a folder with the class folders of CIFAR-10: see .ci/conformance.
func TestBorders_FitTheDataSets(t *testing.T) {
	for _, set := range []struct {
		mode, folder string
		back         float64 // part of the inverted images that are inverted back
		tolerance    float64
	}{
		{"MNIST", os.Getenv("SBS_MNIST"), 1, 0},
		{"MNIST_FASHION", os.Getenv("SBS_FASHION_MNIST"), 0.9999, 1e-6},
		{"CIFAR10", os.Getenv("SBS_CIFAR10"), 0, 0.01},
	} {
		t.Run(set.mode, func(t *testing.T) {
			if set.folder == "" {
				t.Skip("the data set is not there")
			}
			known, ok := dataSetOf(set.mode)
			require.True(t, ok)
			trained := (*metadata.Borders)(&known.borders)
			require.NoError(t, trained.Check())
			for _, subset := range []dataset.Subset{dataset.Training, dataset.Test} {
				images, err := dataset.LoadPaths(t.Context(), []string{set.folder}, dataset.Options{Subset: subset}, 0)
				require.NoError(t, err)
				if subset == dataset.Training {
					b := images.Borders()
					for k := range 3 {
						require.InDelta(t, trained.Lower[k], b.Lower[k], set.tolerance)
						require.InDelta(t, trained.Median[k], b.Median[k], set.tolerance)
						require.InDelta(t, trained.Upper[k], b.Upper[k], set.tolerance)
					}
				}
				back := 0
				for i := range images.Len() {
					require.False(t, asPicture(t, images, i, false, trained), "image %d", i)
					if asPicture(t, images, i, true, trained) {
						back++
					}
				}
				t.Logf("%d of %d inverted images were inverted back", back, images.Len())
				require.GreaterOrEqual(t, float64(back), set.back*float64(images.Len()))
			}
		})
	}
}

// asPicture reports whether image i, or its inverse, is inverted if it is a picture.
func asPicture(t *testing.T, images *dataset.Samples, i int, inverse bool, trained *metadata.Borders) bool {
	t.Helper()
	size := images.Size()
	pixels, plane := make([]float32, size.Channels*size.Height*size.Width), size.Height*size.Width
	images.Pixels(i, pixels)
	value := func(k int) uint8 {
		v := uint8(pixels[k]*255 + 0.5)
		if inverse {
			return 255 - v
		}
		return v
	}
	var img image.Image
	r := image.Rect(0, 0, size.Width, size.Height)
	if size.Channels == 1 {
		gray := image.NewGray(r)
		for k := range gray.Pix {
			gray.Pix[k] = value(k)
		}
		img = gray
	} else {
		colored := image.NewRGBA(r)
		for k := range plane {
			for c := range 3 {
				colored.Pix[4*k+c] = value(c*plane + k)
			}
			colored.Pix[4*k+3] = 255
		}
		img = colored
	}
	m, err := dataset.FromImage(img, dataset.Options{Size: size, Borders: trained})
	require.NoError(t, err)
	return m.Inverted
}

func TestLoad_DescribesTheBordersOfKnownDataSets(t *testing.T) {
	load := func(opt Options) *convert.Network {
		opt.Weights = "../../models/mnist-prototypes/Weights"
		n, _, err := Load(opt)
		require.NoError(t, err)
		return n
	}
	require.Equal(t, &convert.Borders{}, load(Options{}).Borders, "black")
	require.Nil(t, load(Options{NoPreprocessing: true}).Borders, "the input is not the image")
	for _, mode := range []string{"MNIST", "MNIST_FASHION", "CIFAR10"} {
		known, ok := dataSetOf(mode)
		require.True(t, ok)
		require.NoError(t, (*metadata.Borders)(&known.borders).Check())
	}
}
