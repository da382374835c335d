package dataset

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadLabels_FindsImagesInTables(t *testing.T) {
	pictures := map[string][]byte{"a/10.png": grayPNG(t, 1), "a/9.png": grayPNG(t, 2), "a/x y.png": grayPNG(t, 3)}
	// The images in order: 9.png, 10.png, x y.png.
	tests := []struct{ name, content string }{
		{"file and label", "x y.png,3\n9.png,1\n10.png,2\n"},
		{"label and file", "3,x y.png\n1,9.png\n2,10.png\n"},
		{"header", "filename,label\nx y.png,3\n9.png,1\n10.png,2\n"},
		{"header in other words", "\ufeffImage_ID;Class ID\r\nx y.png;3\r\n9.png;1\r\n10.png;2\r\n"},
		{"unknown header", "datei,klasse\nx y.png,3\n9.png,1\n10.png,2\n"},
		{"tabs", "x y.png\t3\n9.png\t1\n10.png\t2\n"},
		{"spaces", "x y.png 3\n9.png 1\n10.png  2\n"},
		{"quotes", "\"file\",\"label\"\n\"x y.png\",\"3\"\n\"9.png\",\"1\"\n\"10.png\",\"2\"\n"},
		{"paths", "./photos/a/x y.png, 3\nphotos\\a\\9.png, 1\nC:\\photos\\a\\10.png, 2\n"},
		{"without extension", "id,label\nx y,3\n9,1\n10,2\n"},
		{"upper case", "X Y.PNG,3\n9.PNG,1\n10.PNG,2\n"},
		{"more images", "x y.png,3\nother.png,8\n9.png,1\n10.png,2\n"},
		{"the same twice", "x y.png,3\n9.png,1\n9.png,1\n10.png,2\n"},
		{"index of pandas", ",file,label\n0,x y.png,3\n1,9.png,1\n2,10.png,2\n"},
		{"two labels", "file,class_name,class\nx y.png,c,3\n9.png,a,1\n10.png,b,2\n"},
		{"empty lines", "x y.png,3\n\n9.png,1\n10.png,2\n\n"},
		{"floats", "x y.png,3.0\n9.png,1.0\n10.png,2e0\n"},
		{"header with spaces", "filename label\nx y.png 3\n9.png 1\n10.png 2\n"},
		{"index and series of pandas", ",0\n0,1\n1,2\n2,3\n"},
		{"header with numbers", "image_id,0,class\nx y.png,5,3\n9.png,6,1\n10.png,7,2\n"},
		{"line ends of old Macs", "file,label\rx y.png,3\r9.png,1\r10.png,2\r"},
		{"one column in quotes", "\"label\"\n\"1\"\n\"2\"\n\"3\"\n"},
		{"labels that name images", "x y.png,9\n9.png,1\n10.png,9\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := write(t, pictures)
			opt := small
			opt.Labels = filepath.Join(write(t, map[string][]byte{"l.csv": []byte(test.content)}), "l.csv")
			s, err := Open([]string{filepath.Join(folder, "a")}, opt)
			require.NoError(t, err)
			want := []int{1, 2, 3}
			if strings.HasPrefix(test.name, "labels that") {
				want = []int{1, 9, 9}
			}
			require.Equal(t, want, []int{s.At(0).Label, s.At(1).Label, s.At(2).Label})
		})
	}
}

func TestReadLabels_FindsNamesOfClasses(t *testing.T) {
	folder := write(t, map[string][]byte{"1.png": grayPNG(t, 1), "2.png": grayPNG(t, 2), "l.csv": []byte("image,label\n2.png,Ankle_Boot\n1.png,t-shirt top\n")})
	opt := small
	opt.Labels, opt.Classes = filepath.Join(folder, "l.csv"), []string{"T-shirt/top", "Ankle boot"}
	s, err := Open([]string{folder}, opt)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, []int{s.At(0).Label, s.At(1).Label})
	require.Equal(t, opt.Classes, s.Classes())
}

// TestReadLabels_ComparesComposedLetters checks names as macOS stores them, with the
// letter and its accent as two characters.
func TestReadLabels_ComparesComposedLetters(t *testing.T) {
	folder := write(t, map[string][]byte{"e\u0301.png": grayPNG(t, 1), "z.png": grayPNG(t, 2), "l.csv": []byte("z.png,u\u0308ber\n\u00e9.png,b\n")})
	opt := small
	opt.Labels, opt.Classes = filepath.Join(folder, "l.csv"), []string{"b", "\u00fcber"}
	s, err := Open([]string{folder}, opt)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, []int{s.At(0).Label, s.At(1).Label})
}

func TestReadLabels_FindsImagesByNumber(t *testing.T) {
	for _, content := range []string{
		"id,label\n2,5\n0,3\n1,4\n", "ImageId,Label\n3,5\n1,3\n2,4\n", "label,number\n5,2\n3,0\n4,1\n", "7,0\n8,1\n9,2\n",
		"3 4 5", "[3, 4, 5]", "3,4,5", "label\n3\n4\n5\n", "3.000000000000000000e+00\n4.0\n5",
	} {
		t.Run(content, func(t *testing.T) {
			folder := write(t, map[string][]byte{"x.idx3": idxBytes([]int{3, 2, 2}, make([]byte, 12)...), "l.txt": []byte(content)})
			opt := small
			opt.Labels = filepath.Join(folder, "l.txt")
			s, err := Open([]string{filepath.Join(folder, "x.idx3")}, opt)
			require.NoError(t, err)
			want := []int{3, 4, 5}
			if content[0] == '7' {
				want = []int{7, 8, 9}
			}
			require.Equal(t, want, []int{s.At(0).Label, s.At(1).Label, s.At(2).Label})
		})
	}
}

func TestReadLabels_RefusesUnclearTables(t *testing.T) {
	pictures := map[string][]byte{"i/a/1.png": grayPNG(t, 1), "i/b/1.png": grayPNG(t, 2), "i/b/2.png": grayPNG(t, 2)}
	tests := []struct{ name, content, err string }{
		{"ambiguous", "1.png,3\n2.png,4\n1.png,3\n", "line 1: several images have the name 1.png: write it with its folder"},
		{"missing", "a/1.png,3\nb/2.png,4\n", "1 of 3 images have no label: 1.png"},
		{"two labels", "a/1.png,3\nb/2.png,4\nb/1.png,5\nb/1.png,6\n", "lines 3 and 4 give b/1.png two labels, 5 and 6"},
		{"no images", "x.png,3\ny.png,4\n", "no column has the names of the 3 images (such as 1.png) or their numbers, from 0 or from 1; line 1 is: x.png, 3"},
		{"two keys", "0,1\n1,2\n2,3\n", "no column has the names"},
		{"columns", "a/1.png,3,4\nb/1.png,4,4\nb/2.png,5,4\n", "the lines have 3 fields: add a header line that names the columns of the file and of the label"},
		{"header without label", "file,x1,x2\na/1.png,3,4\nb/1.png,4,4\nb/2.png,5,4\n", "none of the columns file, x1, x2 is called label"},
		{"ragged", "a/1.png,3\nb/1.png\n", "line 2 has 1 fields, but line 1 has 2"},
		{"header only", "file,label\n", "the file has a header, but no labels"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := write(t, pictures)
			opt := small
			opt.Labels = filepath.Join(write(t, map[string][]byte{"l.csv": []byte(test.content)}), "l.csv")
			_, err := Open([]string{filepath.Join(folder, "i")}, opt)
			require.ErrorContains(t, err, test.err)
			require.ErrorContains(t, err, "l.csv")
		})
	}
}

func FuzzTextLabels(f *testing.F) {
	for _, s := range []string{"filename,label\na.png,3\nb.png,4\n", "a.png 7\nb.png 8", "1\n2", "[1,2]", "\ufeffa;b\r\n1;2\r\n", "\"a\",\"b\nc\"\n"} {
		f.Add([]byte(s))
	}
	folder := f.TempDir()
	n := 0
	f.Fuzz(func(t *testing.T, content []byte) {
		n++
		path := filepath.Join(folder, fmt.Sprint(n%100))
		writeFile(t, path, content)
		l, err := textLabels(path, list2{"a.png", "b.png"})
		if err == nil && l.len() == 0 {
			t.Error("no labels and no error")
		}
	})
}

type list2 []string

func (l list2) len() int          { return len(l) }
func (l list2) name(i int) string { return l[i] }

func TestReadLabels_FindsShortNames(t *testing.T) {
	// The labels are the names of the images, too.
	folder := write(t, map[string][]byte{"0.png": grayPNG(t, 1), "1.png": grayPNG(t, 2), "l.csv": []byte("0.png,1\n1.png,0\n")})
	opt := small
	opt.Labels = filepath.Join(folder, "l.csv")
	s, err := Open([]string{folder}, opt)
	require.NoError(t, err)
	require.Equal(t, []int{1, 0}, []int{s.At(0).Label, s.At(1).Label})
}

func TestReadLabels_FindsFoldersOfOtherComputers(t *testing.T) {
	folder := write(t, map[string][]byte{"a/1.png": grayPNG(t, 1), "b/1.png": grayPNG(t, 2), "l.csv": []byte("C:\\x\\b\\1.png,5\nC:\\x\\a\\1.png,4\n")})
	opt := small
	opt.Labels = filepath.Join(folder, "l.csv")
	s, err := Open([]string{filepath.Join(folder, "a"), filepath.Join(folder, "b")}, opt)
	require.NoError(t, err)
	require.Equal(t, []int{4, 5}, []int{s.At(0).Label, s.At(1).Label})
}

func TestReadLabels_SkipsTheHeaderOfNames(t *testing.T) {
	folder := write(t, map[string][]byte{"1.png": grayPNG(t, 1), "2.png": grayPNG(t, 2), "l.txt": []byte("label\ncat\ndog\n")})
	opt := small
	opt.Labels, opt.Classes = filepath.Join(folder, "l.txt"), []string{"cat", "dog"}
	s, err := Open([]string{folder}, opt)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, []int{s.At(0).Label, s.At(1).Label})
}

func TestReadLabels_RefusesWhatIsNoLabel(t *testing.T) {
	for content, want := range map[string]string{
		"1.png,0\n2.png,-1\n":    "line 2: the label is -1, want whole numbers of at least 0",
		"1.png,0.0\n2.png,nan\n": "line 2: the label is nan",
		"0\n1.5\n":               "line 2: the label is 1.5",
		"1.png,0\n2.png,\n":      "line 2: the label of 2.png is missing",
		"{\"1.png\": 0}\n":       "this is a JSON text",
		"<Error>x</Error>\n":     "this is a text",
		"(dp0\nS'a'\n":           "this is a Python pickle",
	} {
		folder := write(t, map[string][]byte{"1.png": grayPNG(t, 1), "2.png": grayPNG(t, 2), "l.csv": []byte(content)})
		opt := small
		// -1 differs from the class 1 only in punctuation.
		opt.Labels, opt.Classes = filepath.Join(folder, "l.csv"), []string{"0", "1"}
		_, err := Open([]string{folder}, opt)
		require.ErrorContains(t, err, want, content)
	}
	require.Equal(t, -1, classNamed("-1", []string{"0", "1"}))
	require.Equal(t, 0, classNamed("Type-1", []string{"type 1"}))
}

func TestReadLabels_SplitsNumbers(t *testing.T) {
	folder := write(t, map[string][]byte{"a.png": grayPNG(t, 1), "b.png": grayPNG(t, 2), "l.txt": []byte("1.0e+00 7.0e+00\n0.0e+00 7.0e+00\n")})
	opt := small
	opt.Labels = filepath.Join(folder, "l.txt")
	s, err := Open([]string{folder}, opt)
	require.NoError(t, err)
	require.Equal(t, []int{7, 7}, []int{s.At(0).Label, s.At(1).Label})
}
