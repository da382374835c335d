package dataset

import (
	"fmt"
	"image"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/metadata"
)

// dark describes training images with a black border.
func dark() *metadata.Borders { return &metadata.Borders{} }

// square returns an image of n times n pixels with a square in the middle. Noise is added to every
// pixel.
func square(n int, background, inside, noise float64, seed uint64) *image.Gray {
	r := rand.New(rand.NewPCG(seed, 0))
	img := image.NewGray(image.Rect(0, 0, n, n))
	for i := range img.Pix {
		v := background
		if x, y := i%n, i/n; x >= n/3 && x < n-n/3 && y >= n/3 && y < n-n/3 {
			v = inside
		}
		img.Pix[i] = uint8(255 * min(max(v+noise*r.NormFloat64(), 0), 1))
	}
	return img
}

func TestBorderOf_ReturnsQuartiles(t *testing.T) {
	// The border is 0, 10, 20, ..., 110; the inside does not count.
	pixels := []float32{0, 10, 20, 30, 110, 999, 999, 40, 100, 999, 999, 50, 90, 80, 70, 60}
	require.Equal(t, quartiles{20, 50, 90}, borderOf(pixels, Size{1, 4, 4}))
	require.Equal(t, quartiles{7, 7, 7}, borderOf([]float32{7}, Size{1, 1, 1}))
	require.Equal(t, quartiles{2, 2, 2}, borderOf([]float32{1, 2, 3}, Size{3, 1, 1}), "colors count by their mean")

	wide := make([]float32, 56*60) // has a border of two pixels
	for y := range 60 {
		for x := range 56 {
			if x < 2 || y < 2 || x >= 54 || y >= 58 {
				wide[y*56+x] = 1
			}
		}
	}
	require.Equal(t, quartiles{1, 1, 1}, borderOf(wide, Size{1, 60, 56}))
	wide[57] = 0
	require.Equal(t, quartiles{1, 1, 1}, borderOf(wide, Size{1, 60, 56}))
}

func TestSamples_DescribeTheirBorders(t *testing.T) {
	files := map[string][]byte{}
	for i, background := range []float64{0.2, 0, 0.4, 0.1, 0.2} {
		files[fmt.Sprintf("a/%d.png", i)] = encodePNG(t, square(9, background, 1, 0, 0))
	}
	s, err := LoadPaths(t.Context(), []string{write(t, files)}, Options{}, 2)
	require.NoError(t, err)
	want := [3]float32{0, 51.0 / 255, 102.0 / 255}
	require.Equal(t, &metadata.Borders{Lower: want, Median: want, Upper: want}, s.Borders())
	require.Nil(t, s.Subset(nil).Borders())
}

func TestFromImage_InvertsWhatIsUnlikeTheTrainingImages(t *testing.T) {
	light := dark().Inverted()
	// As in Fashion-MNIST: objects fill much of the border in some images.
	clothes := &metadata.Borders{Lower: [3]float32{0, 0, 0.04}, Median: [3]float32{0, 0, 0.63}, Upper: [3]float32{0, 0, 0.77}}
	photos := &metadata.Borders{Lower: [3]float32{0, 0.3, 1}, Median: [3]float32{0, 0.5, 1}, Upper: [3]float32{0, 0.6, 1}}
	// Photos by day, which are never very dark, and few images of one kind.
	days := &metadata.Borders{Lower: [3]float32{0.2, 0.5, 0.8}, Median: [3]float32{0.3, 0.6, 0.9}, Upper: [3]float32{0.4, 0.7, 1}}
	half := &metadata.Borders{Lower: [3]float32{0.4, 0.4, 0.4}, Median: [3]float32{0.4, 0.4, 0.4}, Upper: [3]float32{0.4, 0.4, 0.4}}
	for _, test := range []struct {
		name               string
		background, inside float64
		noise              float64
		trained            *metadata.Borders
		want               bool
	}{
		{"ink on paper", 1, 0, 0, dark(), true},
		{"ink on gray paper", 0.7, 0.2, 0.1, dark(), true},
		{"much noise", 1, 0, 0.3, dark(), true},
		{"clothes on white", 1, 0.4, 0, clothes, true},
		{"chalk for a network of ink", 0, 1, 0, light, true},
		{"chalk on a gray board", 0.3, 0.9, 0.1, light, true},

		{"light on dark", 0, 1, 0, dark(), false},
		{"light on gray", 0.3, 1, 0.1, dark(), false},
		{"low contrast", 0.45, 0.55, 0.05, dark(), false},
		{"dark on dark", 0.4, 0, 0, dark(), false},
		{"clothes on black", 0, 0.9, 0, clothes, false},
		{"dark on light as learned", 1, 0, 0.1, light, false},
		{"photos of all kinds, light", 1, 0, 0, photos, false},
		{"photos of all kinds, dark", 0, 1, 0, photos, false},
		{"a photo at night", 0, 0.5, 0.05, days, false},
		{"learned on gray", 1, 0, 0, half, false},
		{"nothing is known", 1, 0, 0, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for seed := range uint64(20) {
				img := square(28, test.background, test.inside, test.noise, seed)
				opt := Options{Size: Size{1, 28, 28}, Borders: test.trained}
				m, err := FromImage(img, opt)
				require.NoError(t, err)
				require.Equal(t, test.want, m.Inverted)
				require.False(t, m.Blank)
				for i, v := range m.Pixels {
					want := img.Pix[i]
					if test.want {
						want = 255 - want
					}
					require.Equal(t, float32(want)/255, v, "exactly the values of an image of 8 bits")
				}

				opt.Invert = InvertNo
				m, err = FromImage(img, opt)
				require.NoError(t, err)
				require.False(t, m.Inverted)
				opt.Invert = InvertYes
				m, err = FromImage(img, opt)
				require.NoError(t, err)
				require.True(t, m.Inverted)
			}
		})
	}
}

func TestFromImage_DoesNotInvertColorsAndBlankImages(t *testing.T) {
	opt := Options{Size: Size{3, 28, 28}, Borders: dark(), Resize: true}
	gray := square(28, 1, 0, 0, 0)
	m, err := FromImage(gray, opt)
	require.NoError(t, err)
	require.True(t, m.Inverted, "a gray image for a network with 3 channels")

	colored := image.NewNRGBA(gray.Rect)
	for i, v := range gray.Pix {
		colored.Pix[4*i], colored.Pix[4*i+1], colored.Pix[4*i+2], colored.Pix[4*i+3] = v, v, v-v/4, 255
	}
	m, err = FromImage(colored, opt)
	require.NoError(t, err)
	require.False(t, m.Inverted)

	for _, v := range []float64{0, 0.5, 1} {
		m, err = FromImage(square(28, v, v, 0.001, 7), opt)
		require.NoError(t, err)
		require.True(t, m.Blank)
		require.False(t, m.Inverted)
	}
	m, err = FromImage(image.NewNRGBA(gray.Rect), opt)
	require.NoError(t, err)
	require.True(t, m.Blank, "a transparent image")
	require.Equal(t, float32(1), m.Pixels[0])
}

func TestOpen_InvertsPicturesButNoArrays(t *testing.T) {
	img := square(9, 1, 0, 0, 0)
	folder := write(t, map[string][]byte{
		"1.png": encodePNG(t, img), "a.npy": npyFile(t, []int{1, 9, 9}, img.Pix),
		"idx3-ubyte": append([]byte{0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 9}, img.Pix...),
	})
	paths := []string{filepath.Join(folder, "1.png"), filepath.Join(folder, "a.npy"), filepath.Join(folder, "idx3-ubyte")}
	for how, want := range map[Invert][]bool{
		"": {true, false, false}, InvertAuto: {true, false, false}, InvertYes: {true, true, true}, InvertNo: {false, false, false},
	} {
		s, err := Open(paths, Options{Size: Size{1, 9, 9}, Invert: how, Borders: dark()})
		require.NoError(t, err)
		for i, inverted := range want {
			m := s.At(i)
			require.NoError(t, m.Err)
			require.Equal(t, inverted, m.Inverted, "%s of %s", how, m.Name)
			corner := float32(1)
			if inverted {
				corner = 0
			}
			require.Equal(t, corner, m.Pixels[0])
		}
		require.NoError(t, s.Close())
	}
}

func TestInvert_IsExact(t *testing.T) {
	for _, most := range []int{255, 65535} {
		var values, want []float32
		for v := range most + 1 {
			values = append(values, float32(v)/float32(most))
			want = append(want, float32(most-v)/float32(most))
		}
		invert(values)
		require.Equal(t, want, values)
	}
	values := []float32{0.3, 1e-8}
	invert(values)
	require.Equal(t, []float32{1 - float32(0.3), 1 - float32(1e-8)}, values)
}

func TestLoadPaths_CountsInvertedAndBlankImages(t *testing.T) {
	files := map[string][]byte{}
	for i := range 12 {
		files[fmt.Sprintf("a/%d.png", i)] = encodePNG(t, square(9, float64(i%2), float64(1-i%2), 0, 0))
	}
	files["b/2.png"] = encodePNG(t, square(9, 1, 1, 0, 0))
	files["b/10.png"] = encodePNG(t, square(9, 0, 0, 0, 0))
	folder := write(t, files)
	s, err := LoadPaths(t.Context(), []string{folder}, Options{Borders: dark()}, 3)
	require.NoError(t, err)
	require.Equal(t, 6, s.Inverted())
	require.Equal(t, []string{filepath.Join(folder, "b", "2.png"), filepath.Join(folder, "b", "10.png")}, s.Blank())
	require.Equal(t, float32(0), s.Borders().Upper[1], "of the inverted images")
}
