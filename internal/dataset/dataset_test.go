package dataset

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// write writes files, given by path, to a new folder and returns the folder.
func write(t testing.TB, files map[string][]byte) string {
	folder := t.TempDir()
	for name, content := range files {
		path := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, content, 0o644))
	}
	return folder
}

func packed(t testing.TB, content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(content)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// grayPNG returns a PNG file of 2x2 pixels with the values 10, 20, 30 and v.
func grayPNG(t testing.TB, v byte) []byte {
	return encodePNG(t, &image.Gray{Pix: []byte{10, 20, 30, v}, Stride: 2, Rect: image.Rect(0, 0, 2, 2)})
}

func encodePNG(t testing.TB, img image.Image) []byte {
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

var small = Options{Size: Size{1, 2, 2}}

// summary returns the name, the label and the last pixel times 255 of each image.
func summary(t testing.TB, s Source, folder string) []string {
	var out []string
	for i := range s.Len() {
		m := s.At(i)
		require.NoError(t, m.Err)
		name := m.Name
		if rel, err := filepath.Rel(folder, name); err == nil {
			name = filepath.ToSlash(rel)
		}
		out = append(out, fmt.Sprintf("%s %d %.0f", name, m.Label, 255*m.Pixels[len(m.Pixels)-1]))
	}
	return out
}

func TestOpen_ReadsFolders(t *testing.T) {
	tests := []struct {
		name    string
		files   map[string]byte // name of a PNG: last pixel
		known   []string
		count   int // number of classes
		want    []string
		classes []string
		err     string
	}{
		{
			name:  "natural order",
			files: map[string]byte{"10.png": 1, "2.PNG": 2, "1.png": 3, "02.PNG": 4, ".3.png": 5, "x.txt": 6, ".git/a.png": 7},
			want:  []string{"1.png -1 3", "02.PNG -1 4", "2.PNG -1 2", "10.png -1 1"},
		},
		{
			name:  "numbers are labels",
			files: map[string]byte{"10/a.png": 1, "3/a.png": 2, "3/b.png": 3, "7/note.txt": 4},
			want:  []string{"3/a.png 3 2", "3/b.png 3 3", "10/a.png 10 1"},
		},
		{
			name:  "known classes",
			files: map[string]byte{"cat/1.png": 1, "dog/1.png": 2},
			known: []string{"dog", "horse", "cat"}, classes: []string{"dog", "horse", "cat"},
			want: []string{"cat/1.png 2 1", "dog/1.png 0 2"},
		},
		{
			name:  "new classes",
			files: map[string]byte{"c10/1.png": 1, "c9/1.png": 2, "c9/.hidden.png": 3},
			count: 2, classes: []string{"c9", "c10"},
			want: []string{"c9/1.png 0 2", "c10/1.png 1 1"},
		},
		{
			name:  "too few new classes",
			files: map[string]byte{"c10/1.png": 1, "c9/1.png": 2},
			count: 3, err: "the images have 2 classes (c9, c10), but the network has 3 classes without names; name the class folders by the numbers",
		},
		{
			name:  "unknown classes",
			files: map[string]byte{"zero/1.png": 1, "one/1.png": 2, "seven/1.png": 3},
			known: []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "ten", "eleven"},
			err: "does not have these classes: one, seven, zero (its classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more); " +
				"name the class folders by the numbers of the classes, or name a file with the number of each image's class with --labels FILE",
		},
		{
			name:  "numbers though names are known",
			files: map[string]byte{"0/1.png": 1, "2/1.png": 2},
			known: []string{"T-shirt/top", "Trouser", "Pullover"},
			want:  []string{"0/1.png 0 1", "2/1.png 2 2"},
		},
		{
			name:  "half known classes",
			files: map[string]byte{"cat/1.png": 1, "dog/1.png": 2},
			known: []string{"cat", "hound"}, err: "does not have these classes: dog (its classes: cat, hound)",
		},
		{name: "half numbers", files: map[string]byte{"1/1.png": 1, "2/1.png": 1, "misc/1.png": 2}, err: "are numbers (1, 2) and others are not: 1, 2, misc"},
		{name: "one number twice", files: map[string]byte{"1/a.png": 1, "2/a.png": 2, "01/a.png": 3}, err: "the class folders 01 and 1 are both class 1: rename one of them"},
		{name: "leading zeros", files: map[string]byte{"001/a.png": 1, "01/a.png": 2}, err: "the class folders 001 and 01 are both class 1"},
		{name: "zeros", files: map[string]byte{"0/a.png": 1, "00/a.png": 2, "1/a.png": 2}, err: "the class folders 0 and 00 are both class 0"},
		{
			name:  "numbers with zeros",
			files: map[string]byte{"01/a.png": 1, "10/a.png": 2, "02/a.png": 3},
			want:  []string{"01/a.png 1 1", "02/a.png 2 3", "10/a.png 10 2"},
		},
		{
			name:  "names that are numbers with zeros",
			files: map[string]byte{"x/a.png": 1, "1/a.png": 2, "01/a.png": 3},
			known: []string{"01", "x", "1"}, classes: []string{"01", "x", "1"},
			want: []string{"01/a.png 0 3", "1/a.png 2 2", "x/a.png 1 1"},
		},
		{
			name:  "one class too deep",
			files: map[string]byte{"0/1.png": 1, "1/deep/er/1.png": 2},
			err:   "1/deep/er/1.png is in a folder below a class folder: want one folder per class in ",
		},
		{name: "images below images", files: map[string]byte{"0/1.png": 1, "0/deep/1.png": 2}, err: "0/deep/1.png is in a folder below a class folder"},
		{name: "no set among classes", files: map[string]byte{"misc/1.png": 1, "train/0/1.png": 2}, err: "train/0/1.png is in a folder below a class folder"},
		{name: "images in folders of folders", files: map[string]byte{"1.png": 1, "cat/deep/1.png": 2}, err: "cat/deep/1.png is in a folder below a class folder"},
		{name: "images by other names", files: map[string]byte{"0/1.png": 1, "1/00001": 2}, err: "1 contains images without the extension of an image, such as 00001"},
		{
			name:  "no images too deep",
			files: map[string]byte{"0/1.png": 1, "0/more/note.txt": 2, "0/more/.git/1.png": 8, "docs/more/note.txt": 3, "__MACOSX/0/._1.png": 4, "1/1.png": 5, "1/.git/1/1.png": 6, "1/00001": 7},
			want:  []string{"0/1.png 0 1", "1/1.png 1 5"},
		},
		{name: "mixed", files: map[string]byte{"1.png": 1, "cat/1.png": 2}, err: "both images and folders"},
		{name: "too deep", files: map[string]byte{"on/my/old/disk/train/cat/1.png": 1}, err: "contains no images: want pictures"},
		{name: "empty", err: "contains no images: want pictures"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			files := map[string][]byte{}
			for name, v := range test.files {
				files[name] = grayPNG(t, v)
				if filepath.Ext(name) == ".txt" {
					files[name] = []byte("note")
				}
			}
			folder := write(t, files)
			opt := small
			opt.Classes, opt.NumClasses = test.known, test.count
			s, err := Open([]string{folder}, opt)
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, summary(t, s, folder))
			require.Equal(t, test.classes, s.Classes())
			require.NoError(t, s.Close())
		})
	}
}

func TestOpen_JoinsTheImagesOfSeveralPaths(t *testing.T) {
	folder := write(t, map[string][]byte{
		"a/cat/1.png": grayPNG(t, 1), "b/dog/1.png": grayPNG(t, 2), "b/cat/1.png": grayPNG(t, 3), "c.png": grayPNG(t, 4),
		"labels.txt": []byte("\ufeffdog\r\ncat\r\ncat\r\ndog\r\n\r\n"), "short.txt": []byte("1\n2\n"),
		"images-idx3-ubyte": idxBytes([]int{1, 2, 2}, 0, 0, 0, 9), "labels-idx1-ubyte": idxBytes([]int{1}, 5),
		"other.dat": []byte("hello"),
	})
	at := func(names ...string) []string {
		for i, name := range names {
			names[i] = filepath.Join(folder, name)
		}
		return names
	}

	// Classes are numbered over all paths.
	s, err := Open(at("b", "a", "c.png"), small)
	require.NoError(t, err)
	require.Equal(t, []string{"b/cat/1.png 0 3", "b/dog/1.png 1 2", "a/cat/1.png 0 1", "c.png -1 4"}, summary(t, s, folder))
	require.Equal(t, []string{"cat", "dog"}, s.Classes())
	for _, i := range []int{-1, 4} {
		require.ErrorContains(t, s.At(i).Err, "does not exist, want 0 to 3")
	}

	s, err = Open(at("images-idx3-ubyte", "c.png"), small)
	require.NoError(t, err)
	require.Equal(t, []string{"images-idx3-ubyte[0] 5 9", "c.png -1 4"}, summary(t, s, folder))
	require.Nil(t, s.Classes())
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.At(0).Err, os.ErrClosed)

	// A file of labels replaces all others.
	opt := small
	opt.Labels = filepath.Join(folder, "labels.txt")
	opt.Classes = []string{"bird", "cat", "dog"}
	s, err = Open(at("images-idx3-ubyte", "b", "c.png"), opt)
	require.NoError(t, err)
	require.Equal(t, []string{"images-idx3-ubyte[0] 2 9", "b/cat/1.png 1 3", "b/dog/1.png 1 2", "c.png 2 4"}, summary(t, s, folder))
	require.Equal(t, opt.Classes, s.Classes())

	// A class that two folders spell differently may be two classes.
	numbers := write(t, map[string][]byte{"a/1/1.png": grayPNG(t, 1), "b/01/1.png": grayPNG(t, 2)})
	_, err = Open([]string{filepath.Join(numbers, "a"), filepath.Join(numbers, "b")}, small)
	require.ErrorContains(t, err, "the class folders 01 and 1 are both class 1")

	// Numbers and names of class folders can be mixed if the network has the names.
	_, err = Open(at("images-idx3-ubyte", "b"), small)
	require.ErrorContains(t, err, "give all labels in one file")
	opt.Labels = ""
	s, err = Open(at("images-idx3-ubyte", "b"), opt)
	require.NoError(t, err)
	require.Equal(t, []string{"images-idx3-ubyte[0] 5 9", "b/cat/1.png 1 3", "b/dog/1.png 2 2"}, summary(t, s, folder))

	opt.Labels = filepath.Join(folder, "short.txt")
	_, err = Open(at("b", "c.png"), opt)
	require.EqualError(t, err, opt.Labels+" has 2 labels, but there are 3 images")

	_, err = Open(at("b", "missing"), small)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, filepath.Join(folder, "missing")+": ") // the system words the rest
	_, err = Open(at("other.dat"), small)
	require.ErrorContains(t, err, `other.dat: want pictures (PNG, JPEG, ...), images in a file (IDX, .npy, .npz, CSV, CIFAR-10) or a folder of these, but this is a text ("hello")`)
	_, err = Open(at("labels-idx1-ubyte"), small)
	require.ErrorContains(t, err, "contains labels: name the file of the images")
	_, err = Open([]string{os.DevNull}, small)
	require.ErrorContains(t, err, "neither a regular file nor a folder")
	_, err = Open(nil, small)
	require.ErrorContains(t, err, "no file or folder")
	for _, size := range []Size{{1, 28, 0}, {1, math.MaxInt32, math.MaxInt32}, {math.MaxInt32, 2, 2}, {-1, 2, 2}} {
		_, err = Open(at("b"), Options{Size: size})
		require.ErrorContains(t, err, "images of "+size.String())
	}
}

func TestOpen_FollowsLinks(t *testing.T) {
	folder := write(t, map[string][]byte{"real/1.png": grayPNG(t, 1), "x/2.png": grayPNG(t, 2)})
	require.NoError(t, os.Symlink(filepath.Join(folder, "real", "1.png"), filepath.Join(folder, "x", "1.png")))
	require.NoError(t, os.Symlink(filepath.Join(folder, "nowhere"), filepath.Join(folder, "x", "3.png")))
	s, err := Open([]string{filepath.Join(folder, "x")}, small)
	require.NoError(t, err)
	require.Equal(t, 3, s.Len())
	require.NoError(t, s.At(0).Err)
	require.ErrorIs(t, s.At(2).Err, fs.ErrNotExist)
	s, err = Open([]string{filepath.Join(folder, "x", "1.png")}, small)
	require.NoError(t, err)
	require.Equal(t, []string{"x/1.png -1 1"}, summary(t, s, folder))

	// A class behind a link, or behind a broken link, is not silently ignored.
	folder = write(t, map[string][]byte{"all/0/1.png": grayPNG(t, 1), "real/1.png": grayPNG(t, 2), "more/note.txt": nil})
	require.NoError(t, os.Symlink(filepath.Join(folder, "more"), filepath.Join(folder, "all", "1")))
	_, err = Open([]string{filepath.Join(folder, "all")}, small)
	require.NoError(t, err)
	require.NoError(t, os.Symlink(filepath.Join(folder, "real"), filepath.Join(folder, "more", "x")))
	_, err = Open([]string{filepath.Join(folder, "all")}, small)
	require.ErrorContains(t, err, "all/1/x/1.png is in a folder below a class folder")
	require.NoError(t, os.RemoveAll(filepath.Join(folder, "more")))
	_, err = Open([]string{filepath.Join(folder, "all")}, small)
	require.EqualError(t, err, filepath.Join(folder, "all", "1")+" is a broken link: file does not exist")
	require.NoError(t, os.Rename(filepath.Join(folder, "all", "1"), filepath.Join(folder, "all", "0", "latest")))
	s, err = Open([]string{filepath.Join(folder, "all")}, small)
	require.NoError(t, err, "a broken link in a class folder is not a class")
	require.Equal(t, 1, s.Len())

	// A folder with a file of images has no class folders.
	images, labels := idxSet(2)
	folder = write(t, map[string][]byte{"t10k-images-idx3-ubyte": images, "t10k-labels-idx1-ubyte": labels})
	require.NoError(t, os.Symlink(filepath.Join(folder, "nowhere"), filepath.Join(folder, "latest")))
	_, err = Open([]string{folder}, Options{Size: Size{1, 4, 5}})
	require.NoError(t, err)
}

func TestOpen_ReadsFilesWhoseNamesAreNotUTF8(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "\xfeTestPatternStorage.npy")
	if err := os.WriteFile(path, npyBytes(t, []int{1, 2, 2}, []byte{0, 0, 0, 255}), 0o644); err != nil {
		t.Skip("this file system does not support such names:", err)
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "\xfeTestLabelStorage.npy"), npyBytes(t, []int{1}, []int64{7}), 0o644))
	s, err := Open([]string{path}, small)
	require.NoError(t, err)
	require.Equal(t, []string{"\xfeTestPatternStorage.npy[0] 7 255"}, summary(t, s, folder))
}

func TestOpen_ReadsLabelFiles(t *testing.T) {
	tests := []struct {
		name    string
		content []byte
		want    []int
		err     string
	}{
		{"idx", idxBytes([]int{2}, 7, 255), []int{7, 255}, ""},
		{"idx.gz", packed(t, idxBytes([]int{2}, 7, 255)), []int{7, 255}, ""},
		{"a.npy", npyBytes(t, []int{2}, []uint64{1, 300}), []int{1, 300}, ""},
		{"a.npy.gz", packed(t, npyBytes(t, []int{2}, []int8{1, 3})), []int{1, 3}, ""},
		{"numbers", []byte("10\n2"), []int{10, 2}, ""},
		{"numbers with zeros", []byte("010\n02"), []int{10, 2}, ""},
		{"one number in two ways", []byte("1\n01"), nil, "lines 1 and 2 are both class 1, but one says 1 and the other 01: write them alike"},
		{"one number with more zeros", []byte("001\n01"), nil, "lines 1 and 2 are both class 1, but one says 001 and the other 01"},
		{"names", []byte("b\na"), []int{1, 0}, ""},
		{"BMW", []byte("BMW\nAudi"), []int{1, 0}, ""},
		{"GIF", []byte("GIF8\nGIF87"), []int{0, 1}, ""},
		{"too many.npy", npyBytes(t, []int{3}, []int8{1, 3, 1}), nil, "too many.npy has 3 labels, but there are 2 images"},
		{"too many.npy.gz", packed(t, npyBytes(t, []int{1 << 20}, make([]int8, 1<<20))), nil, "has 1048576 labels, but there are 2 images"},
		{"negative text", []byte("-1\n2"), nil, "line 1: the label is -1, want whole numbers of at least 0"},
		{"title", []byte("label\n7\n3"), []int{7, 3}, ""},
		{"title of one", []byte("label\n7"), nil, "title of one has 1 labels, but there are 2 images"},
		{"negative", npyBytes(t, []int{2}, []int8{1, -3}), nil, "label 1 is -3"},
		{"floats", npyBytes(t, []int{2}, []float32{1, 3}), []int{1, 3}, ""},
		{"column", npyBytes(t, []int{2, 1}, []float64{1, 3}), []int{1, 3}, ""},
		{"row", npyBytes(t, []int{1, 2}, []int16{1, 3}), []int{1, 3}, ""},
		{"bools", npyBytes(t, []int{2}, []bool{true, false}), []int{1, 0}, ""},
		{"one hot", npyBytes(t, []int{2, 3}, []float32{0, 0, 1, 1, 0, 0}), []int{2, 0}, ""},
		{"bad one hot", npyBytes(t, []int{2, 3}, []float32{0, 1, 1, 1, 0, 0}), nil, "label 0 is a row of 3 values, want a single 1 among zeros"},
		{"fractions", npyBytes(t, []int{2}, []float32{1, 3.5}), nil, "label 1 is 3.5, want whole numbers of at least 0"},
		{"infinite", npyBytes(t, []int{2}, []float32{1, float32(math.Inf(1))}), nil, "label 1 is +Inf, want whole numbers"},
		{"cut", idxBytes([]int{2}, 7), nil, "claims shape [2], 2 bytes, but 1 bytes follow"},
		{"images", idxBytes([]int{1, 2, 1}, 7, 7), nil, "contains images, not labels"},
		{"empty", nil, nil, "want an IDX file, an .npy or .npz file, or a text file of labels, but this is an empty file"},
		{"gap", []byte("1\n\n2"), nil, "line 2 is empty"},
		{"binary", []byte("\xff\xfe1"), nil, "want an IDX file, an .npy or .npz file, or a text file of labels, but this is "},
		{"zero byte", []byte("1\x00\n2"), nil, "want an IDX file, an .npy or .npz file, or a text file of labels, but this is "},
		{"missing", nil, nil, "missing: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := write(t, map[string][]byte{"i/1.png": grayPNG(t, 1), "i/2.png": grayPNG(t, 2), test.name: test.content})
			opt := small
			opt.Labels = filepath.Join(folder, test.name)
			if test.name == "missing" {
				require.NoError(t, os.Remove(opt.Labels))
			}
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

func TestOpen_RefusesALabelFileThatIsNotRegular(t *testing.T) {
	folder := write(t, map[string][]byte{"i/1.png": grayPNG(t, 1)})
	for _, path := range []string{os.DevNull, folder} {
		opt := small
		opt.Labels = path
		_, err := Open([]string{filepath.Join(folder, "i")}, opt)
		require.EqualError(t, err, path+" is not a regular file: write the labels to one")
	}
}

func TestNatural_OrdersNumbersByValue(t *testing.T) {
	want := []string{"", "0", "00", "1", "01", "1a", "2", "10", "99999999999999999999", "100000000000000000000", "a", "a1", "a1b2", "a1b10", "a2", "a10", "b"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, natural)
	require.Equal(t, []string{"", "0", "00", "01", "1"}, got[:5])
	require.Equal(t, want[5:], got[5:])
	for _, a := range want {
		for _, b := range want {
			require.Equal(t, natural(a, b), -natural(b, a), "%q %q", a, b)
		}
	}
}

func TestSource_IsSafeForConcurrentUse(t *testing.T) {
	files := map[string][]byte{"idx": idxBytes([]int{50, 2, 2}, make([]byte, 200)...)}
	for i := range 50 {
		files[fmt.Sprintf("images/%d.png", i)] = grayPNG(t, byte(i))
	}
	files["images/17.png"] = []byte("broken")
	folder := write(t, files)
	s, err := Open([]string{filepath.Join(folder, "images"), filepath.Join(folder, "idx")}, small)
	require.NoError(t, err)
	require.Equal(t, 100, s.Len())
	images := make([]Image, s.Len())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := w; i < len(images); i += 4 {
				images[i] = s.At(i)
			}
		})
	}
	wg.Wait()
	for i, m := range images {
		switch {
		case i == 17:
			require.EqualError(t, m.Err, filepath.Join(folder, "images", "17.png")+": want a PNG, JPEG, GIF, BMP, TIFF or WebP file, but this is a text (\"broken\")")
			require.Nil(t, m.Pixels)
		case i < 50:
			require.Equal(t, []float32{10.0 / 255, 20.0 / 255, 30.0 / 255, float32(i) / 255}, m.Pixels)
		default:
			require.Equal(t, fmt.Sprintf("idx[%d]", i-50), m.Name)
			require.Len(t, m.Pixels, 4)
		}
	}
}
