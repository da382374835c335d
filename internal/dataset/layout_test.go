package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpen_FindsThePartsOfDataSets(t *testing.T) {
	classes := func(paths ...string) map[string][]byte {
		files := map[string][]byte{}
		for i, p := range paths {
			for _, class := range []string{"0", "1"} {
				files[fmt.Sprintf("%s/%s/1.png", p, class)] = grayPNG(t, byte(i+1))
			}
		}
		return files
	}
	idx := func(folder string, gz bool) map[string][]byte {
		files := map[string][]byte{}
		for i, part := range []string{"train", "t10k"} {
			for name, content := range map[string][]byte{
				part + "-images-idx3-ubyte": idxBytes([]int{2, 2, 2}, 0, 0, 0, byte(i+1), 0, 0, 0, byte(i+1)),
				part + "-labels-idx1-ubyte": idxBytes([]int{2}, 0, 1),
			} {
				files[folder+"/"+name] = content
				if gz {
					files[folder+"/"+name+".gz"] = packed(t, content)
				}
			}
		}
		return files
	}
	both := idx("DATA", false)
	for i, part := range []string{"Train", "Test"} {
		both["DATA/"+part+"PatternStorage.npy"] = npyBytes(t, []int{2, 2, 2}, []float32{0, 0, 0, float32(i + 1), 0, 0, 255, float32(i + 1)})
		both["DATA/"+part+"LabelStorage.npy"] = npyBytes(t, []int{2}, []uint64{0, 1})
		both["DATA/"+map[int]string{0: "train", 1: "t10k"}[i]+"-images-idx3-ubyte"] =
			idxBytes([]int{2, 2, 2}, 0, 0, 0, byte(i+1), 0, 0, 255, byte(i+1))
	}
	batches := map[string][]byte{
		"cifar-10-batches-py/data_batch_1": pickledBatch(0, 1), "cifar-10-batches-py/data_batch_2": pickledBatch(0, 1),
		"cifar-10-batches-py/test_batch": pickledBatch(0, 1), "cifar-10-batches-py/batches.meta": []byte("\x80\x02}q\x00."),
		"cifar-10-batches-py/readme.html": []byte("<html>"),
	}
	tests := []struct {
		name           string
		files          map[string][]byte
		training, test int // value of the last pixel, 0 for an error
	}{
		{"train and test", classes("train", "test"), 1, 2},
		{"train and val", classes("train", "val"), 1, 2},
		{"train, valid and test", classes("train", "valid", "test"), 1, 3},
		{"train and validation", classes("train", "validation"), 1, 2},
		{"training and testing", classes("training", "testing"), 1, 2},
		{"in other case", classes("Train", "VAL", "Test"), 1, 3},
		{"val and test", classes("val", "test"), 0, 2},
		{"train alone", classes("train"), 1, 0},
		{"one down", classes("photos/train", "photos/val"), 1, 2},
		{"two down", classes("data/photos/train", "data/photos/test"), 1, 2},
		{"classes one down", classes("photos"), 1, 0},
		{"with notes", map[string][]byte{"docs/a.txt": []byte("x"), "train/0/1.png": grayPNG(t, 1), "test/0/1.png": grayPNG(t, 2)}, 1, 2},
		{"torchvision", idx("MNIST/raw", true), 1, 2},
		{"torchvision data", idx("data/MNIST/raw", true), 1, 2},
		{"convert.py", both, 1, 2},
		{"CIFAR-10", batches, 3, 3},
		{"a class named train", map[string][]byte{"bus/1.png": grayPNG(t, 1), "train/1.png": grayPNG(t, 1)}, 1, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := write(t, test.files)
			for subset, want := range map[Subset]int{Training: test.training, Test: test.test} {
				opt := Options{Subset: subset}
				s, err := Open([]string{folder}, opt)
				if want == 0 {
					require.ErrorIs(t, err, ErrNoSubset)
					continue
				}
				require.NoError(t, err)
				m := s.At(s.Len() - 1)
				require.NoError(t, m.Err)
				require.Equal(t, float32(want)/255, m.Pixels[len(m.Pixels)-1], "%v", subset)
				require.NotEqual(t, Unlabeled, m.Label)
				require.NoError(t, s.Close())
			}
		})
	}
}

func TestOpen_RefusesSeveralDataSets(t *testing.T) {
	idx := idxBytes([]int{1, 2, 2}, 0, 0, 0, 1)
	folder := write(t, map[string][]byte{"MNIST/t10k-images-idx3-ubyte": idx, "FashionMNIST/t10k-images-idx3-ubyte": idx})
	_, err := Open([]string{folder}, small)
	require.ErrorContains(t, err, "contains several folders with images, name one of them: ")
	require.ErrorContains(t, err, "FashionMNIST")
	folder = write(t, map[string][]byte{"t10k-images-idx3-ubyte": idx, "TestPatternStorage.npy": npyBytes(t, []int{1, 2, 2}, []byte{0, 0, 255, 2})})
	_, err = Open([]string{folder}, small)
	require.ErrorContains(t, err, "contains several files or folders of images, name one of them: ")
	folder = write(t, map[string][]byte{"t10k-images-idx3-ubyte.gz": []byte("<html><body>Not found"), "t10k-labels-idx1-ubyte.gz": []byte("<html><body>Not found")})
	_, err = Open([]string{folder}, small)
	require.ErrorContains(t, err, "t10k-images-idx3-ubyte.gz: want images, but this is an HTML page")
	require.ErrorContains(t, err, "but this is an HTML page")
}

func TestOpen_IgnoresTheSpellingOfClasses(t *testing.T) {
	known := []string{"T-shirt/top", "Ankle boot", "Bag"}
	folder := write(t, map[string][]byte{"t_shirt_TOP/1.png": grayPNG(t, 1), "ankleBoot/1.png": grayPNG(t, 2), "bag/1.png": grayPNG(t, 3)})
	opt := small
	opt.Classes = known
	s, err := Open([]string{folder}, opt)
	require.NoError(t, err)
	require.Equal(t, known, s.Classes())
	require.ElementsMatch(t, []string{"t_shirt_TOP/1.png 0 1", "ankleBoot/1.png 1 2", "bag/1.png 2 3"}, summary(t, s, folder))

	folder = write(t, map[string][]byte{"Cat/1.png": grayPNG(t, 1), "cat/1.png": grayPNG(t, 2)})
	_, err = Open([]string{folder}, small)
	require.ErrorContains(t, err, "the classes Cat and cat differ only in case, spaces or punctuation: spell them alike")
	opt.Classes = []string{"a b", "ab"} // only the exact name is clear
	folder = write(t, map[string][]byte{"a_b/1.png": grayPNG(t, 1)})
	_, err = Open([]string{folder}, opt)
	require.ErrorContains(t, err, "does not have these classes: a_b")
}

func TestLimit_TakesAShareOfEveryClass(t *testing.T) {
	files := map[string][]byte{}
	for class, n := range map[string]int{"0": 5, "1": 1, "2": 5} {
		for i := range n {
			files[fmt.Sprintf("%s/%d.png", class, i)] = grayPNG(t, byte(i))
		}
	}
	folder := write(t, files)
	for n, want := range map[int][]string{
		1:  {"0/0.png 0 0"},
		4:  {"0/0.png 0 0", "0/1.png 0 1", "1/0.png 1 0", "2/0.png 2 0"},
		5:  {"0/0.png 0 0", "0/1.png 0 1", "1/0.png 1 0", "2/0.png 2 0", "2/1.png 2 1"},
		10: {"0/0.png 0 0", "0/1.png 0 1", "0/2.png 0 2", "0/3.png 0 3", "0/4.png 0 4", "1/0.png 1 0", "2/0.png 2 0", "2/1.png 2 1", "2/2.png 2 2", "2/3.png 2 3"},
	} {
		s, err := Open([]string{folder}, small)
		require.NoError(t, err)
		limited, shared := Limit(s, n)
		require.True(t, shared)
		require.Equal(t, want, summary(t, limited, folder))
	}
	s, err := Open([]string{folder}, small)
	require.NoError(t, err)
	all, shared := Limit(s, 11)
	require.False(t, shared)
	require.Equal(t, 11, all.Len())

	path := filepath.Join(write(t, map[string][]byte{"x.idx3": idxBytes([]int{3, 2, 2}, ascending(12)...), "x.idx1": idxBytes([]int{3}, 2, 1, 0)}), "x.idx3")
	s, err = Open([]string{path}, small)
	require.NoError(t, err)
	first, shared := Limit(s, 2)
	require.False(t, shared)
	require.Equal(t, []string{"x.idx3[0] 2 3", "x.idx3[1] 1 7"}, summary(t, first, ""))
}

func TestIsDivided(t *testing.T) {
	folder := write(t, map[string][]byte{"a.npz": npzBytes(t, member{"x_test", npyBytes(t, []int{1, 2, 2}, ascending(4))}), "a.npy": nil})
	for path, want := range map[string]bool{"": true, "a.npz": true, "a.npz:x_test": false, "a.npy": false} {
		divided, err := IsDivided(filepath.Join(folder, path))
		require.NoError(t, err)
		require.Equal(t, want, divided, path)
	}
	_, err := IsDivided(filepath.Join(folder, "missing"))
	require.ErrorContains(t, err, "missing")
}

func TestOpen_EndsForLinksToTheFolderItself(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "a"), 0o755))
	for _, name := range []string{"train", "test"} {
		if err := os.Symlink(".", filepath.Join(folder, "a", name)); err != nil {
			t.Skip("links are not possible here: ", err)
		}
	}
	_, err := Open([]string{folder}, small)
	require.Error(t, err)
}

func TestOpen_WarnsAboutMissingBatches(t *testing.T) {
	files := map[string][]byte{}
	for i := range 5 {
		files[fmt.Sprintf("data_batch_%d", i+1)] = pickledBatch(0)
	}
	opt := Options{Subset: Training}
	s, err := Open([]string{write(t, files)}, opt)
	require.NoError(t, err)
	require.Empty(t, s.Warnings())
	delete(files, "data_batch_3")
	folder := write(t, files)
	s, err = Open([]string{folder}, opt)
	require.NoError(t, err)
	require.Equal(t, []string{folder + " has only 4 of the 5 training batches of CIFAR-10"}, s.Warnings())
}
