package dataset

import (
	"bytes"
	"image"
	"image/color"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/npy"
)

// loaded opens a path and loads its images.
func loaded(t testing.TB, path string, opt Options) (*Samples, error) {
	source, err := Open([]string{path}, opt)
	if err != nil {
		return nil, err
	}
	s, err := Load(t.Context(), source, 10, 2)
	require.NoError(t, source.Close())
	return s, err
}

// idxSet returns IDX files of n images of 1x4x5 pixels and their labels. Pixel k of image i is
// 10*i+k, its label i.
func idxSet(n byte) (images, labels []byte) {
	images = []byte{0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 4, 0, 0, 0, 5}
	labels = []byte{0, 0, 8, 1, 0, 0, 0, n}
	for i := range n {
		labels = append(labels, i)
		for k := range byte(20) {
			images = append(images, 10*i+k)
		}
	}
	return images, labels
}

func npyFile(t testing.TB, shape []int, data any) []byte {
	var b bytes.Buffer
	require.NoError(t, npy.Write(&b, &npy.Array{Shape: shape, Data: data}))
	return b.Bytes()
}

func TestOpen_FindsTheTrainingAndTestSet(t *testing.T) {
	images, labels := idxSet(6)
	images2, labels2 := idxSet(2)
	png := grayPNG(t, 7)
	sets := map[string]struct {
		files       map[string][]byte
		train, test int // number of images
	}{
		"idx": {map[string][]byte{
			"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels,
			"t10k-images-idx3-ubyte": images2, "t10k-labels-idx1-ubyte": labels2,
		}, 6, 2},
		"idx.gz": {map[string][]byte{
			"train-images-idx3-ubyte.gz": packed(t, images), "train-labels-idx1-ubyte.gz": packed(t, labels),
			"t10k-images-idx3-ubyte.gz": packed(t, images2), "t10k-labels-idx1-ubyte.gz": packed(t, labels2),
		}, 6, 2},
		"npy": {map[string][]byte{
			"TrainPatternStorage.npy": npyFile(t, []int{2, 2, 2}, make([]float64, 8)), "TrainLabelStorage.npy": npyFile(t, []int{2}, []uint64{1, 2}),
			"TestPatternStorage.npy": npyFile(t, []int{1, 2, 2}, make([]float64, 4)), "TestLabelStorage.npy": npyFile(t, []int{1}, []uint64{3}),
		}, 2, 1},
		"folders":         {map[string][]byte{"train/3/1.png": png, "train/3/2.png": png, "train/4/1.png": png, "test/3/1.png": png, "readme": nil}, 3, 1},
		"only classes":    {map[string][]byte{"3/1.png": png, "4/1.png": png}, 2, 0},
		"only training":   {map[string][]byte{"train/3/1.png": png}, 1, 0},
		"only a test set": {map[string][]byte{"t10k-images-idx3-ubyte": images, "t10k-labels-idx1-ubyte": labels}, 0, 6},
		"files in folders": {map[string][]byte{
			"training/images-idx3-ubyte": images, "training/labels-idx1-ubyte": labels,
			"testing/images-idx3-ubyte": images2, "testing/labels-idx1-ubyte": labels2,
		}, 6, 2},
		"no name": {map[string][]byte{"images-idx3-ubyte": images, "labels-idx1-ubyte": labels}, 6, 0},
	}
	for name, set := range sets {
		t.Run(name, func(t *testing.T) {
			folder := write(t, set.files)
			for subset, want := range map[Subset]int{Training: set.train, Test: set.test} {
				s, err := loaded(t, folder, Options{Subset: subset})
				if want == 0 {
					require.ErrorIs(t, err, ErrNoSubset)
					require.ErrorContains(t, err, folder)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, want, s.Len())
			}
		})
	}
}

func TestLoad_KeepsBytes(t *testing.T) {
	images, labels := idxSet(6)
	folder := write(t, map[string][]byte{"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels})
	s, err := loaded(t, folder, Options{Subset: Training})
	require.NoError(t, err)
	require.Equal(t, Size{1, 4, 5}, s.Size())
	require.Equal(t, images[16:], s.bytes)
	require.Nil(t, s.floats)
	pixels := make([]float32, 20)
	for i := range 6 {
		s.Pixels(i, pixels)
		require.Equal(t, i, s.Label(i))
		for k, v := range pixels {
			require.Equal(t, float32(10*i+k)/255, v)
		}
	}
	require.InDeltaSlice(t, []float64{(25 + 9.5) / 255}, s.Means(), 1e-8)
	require.Panics(t, func() { s.Pixels(0, pixels[:19]) })

	source, err := Open([]string{folder}, Options{})
	require.NoError(t, err)
	_, err = Load(t.Context(), source, 5, 1)
	require.EqualError(t, err, "train-images-idx3-ubyte[5] has label 5, but the labels of the network's 5 classes are 0 to 4")
	require.NoError(t, source.Close())
}

// The values are not multiples of 1/255 of the largest.
func TestLoad_KeepsFloats(t *testing.T) {
	values := []float32{0, 1, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 20}
	folder := write(t, map[string][]byte{
		"TrainPatternStorage.npy": npyFile(t, []int{2, 1, 2, 3}, values), "TrainLabelStorage.npy": npyFile(t, []int{2}, []uint64{1, 0}),
	})
	s, err := loaded(t, folder, Options{Subset: Training})
	require.NoError(t, err)
	require.Equal(t, Size{3, 1, 2}, s.Size())
	require.Nil(t, s.bytes)
	pixels := make([]float32, 6)
	s.Pixels(1, pixels)
	require.Equal(t, []float32{6. / 20, 9. / 20, 7. / 20, 10. / 20, 8. / 20, 1}, pixels)

	for name, v := range map[string]float32{"negative": -1, "nan": float32(math.NaN())} {
		t.Run(name, func(t *testing.T) {
			bad := slices.Clone(values)
			bad[7] = v
			folder := write(t, map[string][]byte{"TrainPatternStorage.npy": npyFile(t, []int{2, 1, 2, 3}, bad)})
			_, err := loaded(t, folder, Options{Subset: Training})
			require.ErrorContains(t, err, "want finite numbers of at least 0")
		})
	}
}

func TestLoad_ReadsImageFiles(t *testing.T) {
	folder := write(t, map[string][]byte{"0/a.png": grayPNG(t, 1), "1/b.png": grayPNG(t, 2)})
	s, err := loaded(t, folder, Options{Subset: Training})
	require.NoError(t, err)
	require.Equal(t, Size{1, 2, 2}, s.Size())
	require.Equal(t, []byte{10, 20, 30, 1, 10, 20, 30, 2}, s.bytes)

	img := image.NewNRGBA(image.Rect(0, 0, 3, 2))
	img.Set(1, 1, color.NRGBA{10, 20, 30, 255})
	s, err = loaded(t, write(t, map[string][]byte{"0/a.png": encodePNG(t, img)}), Options{})
	require.NoError(t, err)
	require.Equal(t, Size{3, 2, 3}, s.Size())
	require.Equal(t, []byte{10, 20, 30}, []byte{s.bytes[4], s.bytes[10], s.bytes[16]})

	_, err = loaded(t, write(t, map[string][]byte{"0/a.png": grayPNG(t, 1), "1/b.png": encodePNG(t, img)}), Options{})
	require.ErrorContains(t, err, "b.png")
	_, err = loaded(t, write(t, map[string][]byte{"0/a.png": grayPNG(t, 1), "1/b.png": grayPNG(t, 1)[:50]}), Options{})
	require.ErrorContains(t, err, "b.png")
	_, err = loaded(t, write(t, map[string][]byte{"0/a.png": []byte("text")}), Options{})
	require.ErrorContains(t, err, "want a PNG")
	_, err = loaded(t, write(t, map[string][]byte{"a.png": grayPNG(t, 1)}), Options{Subset: Training})
	require.ErrorContains(t, err, "a.png has no label")
}

func TestSum_DependsOnSizeLabelsAndValues(t *testing.T) {
	bytes := func() *Samples {
		return &Samples{size: Size{Channels: 1, Height: 1, Width: 2}, bytes: []uint8{1, 2, 3, 4}, labels: []int{0, 1}}
	}
	floats := func() *Samples {
		s := &Samples{size: Size{Channels: 1, Height: 1, Width: 1}, floats: make([]float32, 1500), labels: make([]int, 1500)}
		s.floats[1024], s.floats[1499] = 1, 2
		return s
	}
	require.Equal(t, bytes().Sum(), bytes().Sum())
	require.Equal(t, floats().Sum(), floats().Sum())
	sums := map[[32]byte]bool{bytes().Sum(): true, floats().Sum(): true}
	for _, change := range []func(b, f *Samples){
		func(b, f *Samples) { b.bytes[0], b.bytes[1] = 2, 1; f.floats[0], f.floats[1024] = 1, 0 },
		func(b, f *Samples) { b.labels[1] = 2; f.labels[1499] = 1 },
		func(b, f *Samples) { b.size.Height, b.size.Width = 2, 1; f.floats[1499] = 3 },
	} {
		b, f := bytes(), floats()
		change(b, f)
		for _, sum := range [][32]byte{b.Sum(), f.Sum()} {
			require.NotContains(t, sums, sum)
			sums[sum] = true
		}
	}
}
