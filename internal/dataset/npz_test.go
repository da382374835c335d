package dataset

import (
	"archive/zip"
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

type member struct {
	name    string
	content []byte
}

// npzBytes returns an .npz file, compressed as numpy.savez_compressed does.
func npzBytes(t testing.TB, members ...member) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range members {
		w, err := z.Create(m.name + ".npy")
		require.NoError(t, err)
		_, err = w.Write(m.content)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func TestOpen_ReadsNPZ(t *testing.T) {
	images := func(last byte) []byte { return npyBytes(t, []int{2, 2, 2}, []byte{0, 0, 0, 255, 0, 0, 0, last}) }
	three := npyBytes(t, []int{3, 2, 2}, []byte{0, 0, 0, 255, 0, 0, 0, 9, 0, 0, 0, 9})
	keras := []member{
		{"x_train", three}, {"y_train", npyBytes(t, []int{3}, []uint8{4, 5, 6})},
		{"x_test", images(7)}, {"y_test", npyBytes(t, []int{2}, []uint8{1, 2})},
	}
	med := []member{
		{"train_images", three}, {"val_images", images(5)}, {"train_labels", npyBytes(t, []int{3, 1}, []uint8{4, 5, 6})},
		{"val_labels", npyBytes(t, []int{2, 1}, []uint8{3, 4})},
	}
	texts := append([]byte("\x93NUMPY\x01\x00\x46\x00"), []byte(fmt.Sprintf("%-69s\n", "{'descr': '<U1', 'fortran_order': False, 'shape': (2,), }")+"a\x00\x00\x00b\x00\x00\x00")...)
	tests := []struct {
		name    string
		members []member
		path    string // after the folder
		subset  Subset
		last    string
		err     string
	}{
		{"one", []member{{"arr_0", images(7)}}, "a.npz", All, "a.npz:arr_0[1] -1 7", ""},
		{"one with labels", []member{{"images", images(7)}, {"labels", npyBytes(t, []int{2}, []int64{8, 9})}}, "a.npz", All, "a.npz:images[1] 9 7", ""},
		{"one as training set", []member{{"images", images(7)}, {"labels", npyBytes(t, []int{2}, []int64{8, 9})}}, "a.npz", Training, "a.npz:images[1] 9 7", ""},
		{"Keras", keras, "a.npz", All, "a.npz:x_test[1] 2 7", ""},
		{"Keras test", keras, "a.npz", Test, "a.npz:x_test[1] 2 7", ""},
		{"Keras training", keras, "a.npz", Training, "a.npz:x_train[2] 6 9", ""},
		{"by name", keras, "a.npz:x_train", All, "a.npz:x_train[2] 6 9", ""},
		{"in a folder", keras, "", Training, "a.npz:x_train[2] 6 9", ""},
		{"MedMNIST", med, "a.npz", Test, "a.npz:val_images[1] 4 5", ""},
		{"flat", []member{{"x", npyBytes(t, []int{2, 4}, []float32{0, 0, 0, 1, 0, 0, 0, 1})}, {"y", npyBytes(t, []int{2, 3}, []float32{0, 0, 1, 0, 1, 0})}}, "a.npz", All, "a.npz:x[1] 1 255", ""},
		{"names of classes", []member{{"x", images(7)}, {"y", npyBytes(t, []int{2}, []int64{8, 9})}, {"class_names", texts}}, "a.npz", All, "a.npz:x[1] 9 7", ""},
		{"numbers of images", []member{{"x", images(7)}, {"ids", npyBytes(t, []int{2}, []int64{0, 1})}}, "a.npz", All, "a.npz:x[1] -1 7", ""},
		{"too few labels", []member{{"x_test", images(7)}, {"y_test", npyBytes(t, []int{1}, []int64{8})}}, "a.npz", All, "", "array y_test has 1 labels, but there are 2 images"},
		{"texts as labels", []member{{"x", images(7)}, {"y", texts}}, "a.npz", All, "", "array y: dtype \"U1\" means strings, want numbers"},
		{"bools", []member{{"x", npyBytes(t, []int{2, 2, 2}, []bool{false, true, true, true, true, true, true, true})}}, "a.npz", All, "a.npz:x[1] -1 255", ""},
		{"no test set", []member{{"a", images(1)}}, "a.npz", Test, "", "no array of images has a name of a test set"},
		{"which", []member{{"a", images(1)}, {"b", images(2)}}, "a.npz", All, "", "several arrays may contain the images (a [2 2 2], b [2 2 2]): name one, as in a.npz:a"},
		{"which labels", []member{{"a", images(1)}, {"b", npyBytes(t, []int{2}, []int8{1, 2})}, {"c", npyBytes(t, []int{2}, []int8{1, 2})}}, "a.npz", All, "", "several arrays may contain the labels (b [2], c [2]): name one, as in --labels a.npz:b"},
		{"none", []member{{"w", npyBytes(t, []int{5}, make([]byte, 5))}}, "a.npz", All, "", "none of the arrays (w [5]) contains images"},
		{"size", []member{{"w", npyBytes(t, []int{2, 3, 3}, make([]byte, 18))}}, "a.npz", All, "", "array w: the array has shape [2 3 3], but the network needs images of 1x2x2"},
		{"no .npz", nil, "a.npz:x_test", All, "", "want an .npz file with the array x_test, but this is an empty file"},
		{"other name", keras, "a.npz:x_tst", All, "", "the archive has no array x_tst, only x_train, y_train, x_test, y_test"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := write(t, map[string][]byte{"a.npz": nil})
			if test.members != nil {
				writeFile(t, filepath.Join(folder, "a.npz"), npzBytes(t, test.members...))
			}
			opt := small
			opt.Subset = test.subset
			s, err := Open([]string{filepath.Join(folder, test.path)}, opt)
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				require.ErrorContains(t, err, "a.npz: ")
				return
			}
			require.NoError(t, err)
			all := summary(t, s, folder)
			require.Equal(t, test.last, all[len(all)-1])
			require.NoError(t, s.Close())
		})
	}
}

func TestOpen_ReadsArraysOfAFolder(t *testing.T) {
	files := map[string][]byte{}
	for i, part := range []string{"train", "test"} {
		files["set/x_"+part+".npy"] = npyBytes(t, []int{2, 2, 2}, []byte{0, 0, 0, 255, 0, 0, 0, byte(i + 1)})
		files["set/y_"+part+".npy"] = npyBytes(t, []int{2}, []int64{3, 4})
	}
	files["set/notes.txt"] = []byte("x")
	folder := write(t, files)
	for path, want := range map[string]string{"": "x_test.npy[1] 4 2", "set": "x_test.npy[1] 4 2", "set/x_train.npy": "x_train.npy[1] 4 1"} {
		s, err := Open([]string{filepath.Join(folder, path)}, small)
		require.NoError(t, err)
		require.Equal(t, want, summary(t, s, folder)[1])
	}
	opt := small
	opt.Subset = Training
	s, err := Open([]string{folder}, opt)
	require.NoError(t, err)
	require.Equal(t, "x_train.npy[1] 4 1", summary(t, s, folder)[1])

	folder = write(t, map[string][]byte{"a/images.npy": npyBytes(t, []int{2, 2, 2}, make([]uint8, 8)), "a/labels.npy": npyBytes(t, []int{2}, []int64{3, 4})})
	s, err = Open([]string{folder}, small)
	require.NoError(t, err)
	require.Equal(t, "images.npy[1] 4 0", summary(t, s, folder)[1])

	folder = write(t, map[string][]byte{"Weight_L0_S0.npy": npyBytes(t, []int{25, 32}, make([]float32, 800)), "Weight_L1_S0.npy": npyBytes(t, []int{800, 64}, make([]float32, 51200))})
	for _, size := range []Size{{}, {1, 2, 2}} {
		_, err = Open([]string{folder}, Options{Size: size})
		require.ErrorContains(t, err, folder+" contains no images; Weight_L0_S0.npy: want pictures")
	}
}

func TestOpen_ReadsLabelsFromNPZ(t *testing.T) {
	folder := write(t, map[string][]byte{
		"i/1.png": grayPNG(t, 1), "i/2.png": grayPNG(t, 2),
		"a.npz": npzBytes(t, member{"y_test", npyBytes(t, []int{2}, []int64{3, 4})}, member{"y_train", npyBytes(t, []int{3}, []int64{3, 4, 5})}),
		"b.npz": npzBytes(t, member{"y", npyBytes(t, []int{2}, []int64{3, 4})}, member{"z", npyBytes(t, []int{2}, []int64{5, 6})}),
		"c.npz": {'P', 'K', 3, 4, 0, 0}, "d.pt": {'P', 'K', 3, 4, 0, 0},
	})
	tests := []struct {
		labels string
		want   []int
		err    string
	}{
		{"a.npz", []int{3, 4}, ""},
		{"b.npz:z", []int{5, 6}, ""},
		{"b.npz", nil, "name the array that contains the labels of the 2 images, as in b.npz:y_test; the arrays: y [2], z [2]"},
		{"a.npz:y_train", nil, "a.npz has 3 labels, but there are 2 images"},
		{"c.npz", nil, "c.npz: not an .npz file, or an incomplete one"},
		{"d.pt", nil, "but this is a ZIP archive: extract it"},
	}
	for _, test := range tests {
		t.Run(test.labels, func(t *testing.T) {
			opt := small
			opt.Labels = filepath.Join(folder, test.labels)
			s, err := Open([]string{filepath.Join(folder, "i")}, opt)
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, []int{s.At(0).Label, s.At(1).Label})
		})
	}
}

// TestOpen_ReadsOneImageOfAnArray checks arrays that are a single image, as numpy.save
// writes an image.
func TestOpen_ReadsOneImageOfAnArray(t *testing.T) {
	tests := []struct {
		shape []int
		want  Size
	}{
		{[]int{2, 5}, Size{1, 2, 5}}, {[]int{2, 5, 1}, Size{1, 2, 5}}, {[]int{1, 2, 5}, Size{1, 2, 5}},
		{[]int{8, 8, 3}, Size{3, 8, 8}}, {[]int{28, 28}, Size{1, 28, 28}}, {[]int{784}, Size{1, 28, 28}},
	}
	for _, test := range tests {
		for _, size := range []Size{test.want, {}} {
			path := filepath.Join(write(t, map[string][]byte{"a.npy": npyBytes(t, test.shape, ascending(test.want.len()))}), "a.npy")
			s, err := Open([]string{path}, Options{Size: size})
			require.NoError(t, err)
			require.Equal(t, 1, s.Len(), "%v", test.shape)
			require.Equal(t, test.want, s.Size())
			require.NoError(t, s.At(0).Err)
		}
	}
	path := filepath.Join(write(t, map[string][]byte{"a.npy": npyBytes(t, []int{3, 4, 4}, ascending(48))}), "a.npy")
	s, err := Open([]string{path}, Options{Size: Size{3, 4, 4}}) // channels first, as PyTorch has them
	require.NoError(t, err)
	require.Equal(t, 1, s.Len())
	require.Equal(t, float32(16)/47, s.At(0).Pixels[16])
}

// ascending returns the bytes 0 to n-1.
func ascending(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}
