package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func writeFile(t testing.TB, path string, content []byte) {
	require.NoError(t, os.WriteFile(path, content, 0o644))
}

// pixelRow returns the values 0, first, 2*first, ... of an image of 8x8 pixels.
func pixelRow(first int) []string {
	row := make([]string, 64)
	for i := range row {
		row[i] = fmt.Sprint(i * first)
	}
	return row
}

func header(format string) []string {
	row := make([]string, 64)
	for i := range row {
		row[i] = fmt.Sprintf(format, i)
	}
	return row
}

func csvOf(separator string, rows ...[]string) []byte {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintln(&b, strings.Join(r, separator))
	}
	return []byte(b.String())
}

func with(label string, row []string) []string { return append([]string{label}, row...) }

func TestOpen_ReadsTablesOfImages(t *testing.T) {
	corner := pixelRow(4)
	corner[63] = "0"
	tests := []struct {
		name    string
		content []byte
		labels  []int
	}{
		{"Kaggle", csvOf(",", with("label", header("pixel%d")), with("7", pixelRow(1)), with("2", pixelRow(4))), []int{7, 2}},
		{"Kaggle test", csvOf(",", header("pixel%d"), pixelRow(1), pixelRow(4)), []int{-1, -1}},
		{"label first", csvOf(",", with("7", pixelRow(0)), with("2", corner)), []int{7, 2}},
		{"label last", csvOf(",", append(pixelRow(1), "7"), append(pixelRow(4), "2")), []int{7, 2}},
		{"no label", csvOf(",", pixelRow(2), pixelRow(4)), []int{-1, -1}},
		{"index of pandas", csvOf(",", append([]string{"", "label"}, header("%d")...), append([]string{"0", "7"}, pixelRow(1)...), append([]string{"1", "2"}, pixelRow(4)...)), []int{7, 2}},
		{"label in the middle", csvOf(";", append(header("1x%d"), "class", "id"), append(pixelRow(1), "7", "a"), append(pixelRow(4), "2", "b")), []int{7, 2}},
		{"savetxt", csvOf(" ", pixelRow(2), pixelRow(4)), []int{-1, -1}},
		{"tabs", csvOf("\t", with("7", pixelRow(0)), with("2", corner)), []int{7, 2}},
		{"gzip", packed(t, csvOf(",", pixelRow(2), pixelRow(4))), []int{-1, -1}},
		{"numbered columns", csvOf(",", header("%d"), pixelRow(1), pixelRow(4)), []int{-1, -1}},
		{"numbered columns and label", csvOf(",", append(header("%d"), "64"), with("7", pixelRow(0)), with("2", corner)), []int{7, 2}},
		{"rows and columns", csvOf(",", with("label", grid()), with("7", pixelRow(1)), with("2", pixelRow(4))), []int{7, 2}},
		{"float label", csvOf(",", with("label", header("pixel%d")), with("7.0", pixelRow(1)), with("2.0", pixelRow(4))), []int{7, 2}},
	}
	for _, test := range tests {
		for _, size := range []Size{{}, {1, 8, 8}} {
			t.Run(fmt.Sprint(test.name, size), func(t *testing.T) {
				path := filepath.Join(write(t, map[string][]byte{"a.csv": test.content}), "a.csv")
				s, err := Open([]string{path}, Options{Size: size})
				require.NoError(t, err)
				require.Equal(t, 2, s.Len())
				require.Equal(t, Size{1, 8, 8}, s.Size())
				require.Equal(t, test.labels, []int{s.At(0).Label, s.At(1).Label})
				m := s.At(1)
				require.Equal(t, "a.csv[1]", m.Name)
				largest := 62*4 + 4*map[bool]int{true: 1}[m.Pixels[63] > 0]
				require.Equal(t, float32(4)/float32(largest), m.Pixels[1])
			})
		}
	}
}

func TestOpen_RefusesUnclearTables(t *testing.T) {
	tests := []struct {
		name    string
		content []byte
		err     string
	}{
		{"truncated", csvOf(",", pixelRow(1), pixelRow(2)[:60]), "line 2 has 60 fields, but the lines before have 64: the file may be truncated"},
		{"text", csvOf(",", pixelRow(1), append(pixelRow(2)[:63], "x")), `line 2: the value "x" in column 64 is not a number`},
		{"column", csvOf(",", with("weight", header("pixel%d")), with("7", pixelRow(1))), `the column "weight" is neither a pixel (such as pixel0) nor a label`},
		{"two labels", csvOf(",", append([]string{"label", "class"}, header("pixel%d")...)), "the columns label and class may both be the label"},
		{"either edge", csvOf(",", append([]string{"7"}, append(pixelRow(0)[:63], "1")...), append([]string{"2"}, append(pixelRow(0)[:63], "3")...)), "in the first or in the last column"},
		{"no image", csvOf(",", pixelRow(1)[:60]), "the first line has 60 values, which are no image"},
		{"header only", csvOf(",", header("pixel%d")), "the table has no row of pixels"},
		{"columns sorted as texts", csvOf(",", slices.Sorted(slices.Values(header("pixel%d"))), pixelRow(1)), "such as pixel2 after pixel19"},
		{"columns of the picture", csvOf(",", transposed(grid()), pixelRow(1)), "such as 1x2 after 8x1"},
		{"mixed channels", csvOf(",", append([]string{"r1", "g1", "r2"}, header("x%d")[3:]...), pixelRow(1)), "such as r2 after g1"},
		{"one image, either edge", csvOf(",", append(pixelRow(0), "0")), "in the first or in the last column"},
		{"label", csvOf(",", with("label", header("pixel%d")), with("cat", pixelRow(1))), "the label of image 0 is not a number"},
		{"negative", csvOf(",", with("label", header("pixel%d")), with("1", append(pixelRow(1)[:63], "-3"))), "image 0 has the value -3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(write(t, map[string][]byte{"a.csv": test.content}), "a.csv")
			_, err := Open([]string{path}, Options{})
			require.ErrorContains(t, err, test.err)
			require.ErrorContains(t, err, "a.csv: ")
		})
	}
}

// grid returns the names of the pixels of an image of 8x8: 1x1, 1x2 and so on.
func grid() []string {
	var names []string
	for i := range 64 {
		names = append(names, fmt.Sprintf("%dx%d", i/8+1, i%8+1))
	}
	return names
}

func transposed(names []string) []string {
	var out []string
	for i := range names {
		out = append(out, names[i%8*8+i/8])
	}
	return out
}

func TestOpen_FindsTheLabelOfOneImage(t *testing.T) {
	for name, row := range map[string][]string{"first": with("7", pixelRow(0)), "last": append(pixelRow(1), "7")} {
		if name == "first" {
			row[64] = "0"
		}
		path := filepath.Join(write(t, map[string][]byte{"a.csv": csvOf(",", row)}), "a.csv")
		s, err := Open([]string{path}, Options{})
		require.NoError(t, err)
		require.Equal(t, 7, s.At(0).Label, name)
	}
}
