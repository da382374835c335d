package dataset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/npy"
)

// idxBytes returns an IDX file of bytes.
func idxBytes(shape []int, data ...byte) []byte {
	b := []byte{0, 0, 8, byte(len(shape))}
	for _, d := range shape {
		b = binary.BigEndian.AppendUint32(b, uint32(d))
	}
	return append(b, data...)
}

func npyBytes(t testing.TB, shape []int, data any) []byte {
	var b bytes.Buffer
	require.NoError(t, npy.Write(&b, &npy.Array{Shape: shape, Data: data}))
	return b.Bytes()
}

// cifarBytes returns a batch of CIFAR-10 whose images have the given labels. The first
// three pixels have the value of the label.
func cifarBytes(labels ...byte) []byte {
	b := make([]byte, 3073*len(labels))
	for i, label := range labels {
		copy(b[3073*i:], []byte{label, label, label, label})
	}
	return b
}

// The files have two images of 2x3 pixels, each of which is one step brighter than the one
// before.
func TestOpen_ReadsArrayFiles(t *testing.T) {
	images := idxBytes([]int{2, 2, 3}, ascending(12)...)
	labels := idxBytes([]int{2}, 7, 3)
	floats := make([]float64, 12)
	for i := range floats {
		floats[i] = float64(i) * 3
	}
	const idx, idxOther, pattern = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "TestPatternStorage.npy"
	tests := []struct {
		name  string
		files map[string][]byte
		open  string
		size  Size
		scale float32 // the divisor of the values
		label int     // of the first image
		err   string
	}{
		{"idx", map[string][]byte{idx: images, idxOther: labels}, idx, Size{1, 2, 3}, 255, 7, ""},
		{"idx without labels", map[string][]byte{idx: images}, idx, Size{1, 2, 3}, 255, -1, ""},
		{"idx gz", map[string][]byte{idx + ".gz": packed(t, images), idxOther + ".gz": packed(t, labels)}, idx + ".gz", Size{1, 2, 3}, 255, 7, ""},
		{"idx half gz", map[string][]byte{idx + ".gz": packed(t, images), idxOther: labels}, idx + ".gz", Size{1, 2, 3}, 255, 7, ""},
		{"idx labels gz", map[string][]byte{idx: images, idxOther + ".gz": packed(t, labels)}, idx, Size{1, 2, 3}, 255, 7, ""},
		{"idx dots", map[string][]byte{"t10k-images.idx3-ubyte": images, "t10k-labels.idx1-ubyte": labels}, "t10k-images.idx3-ubyte", Size{1, 2, 3}, 255, 7, ""},
		{"idx other name", map[string][]byte{"x.idx3": images, "x.idx1": labels}, "x.idx3", Size{1, 2, 3}, 255, 7, ""},
		{"idx rank 4", map[string][]byte{"x.idx4": idxBytes([]int{2, 1, 2, 3}, ascending(12)...), "x.idx1": labels}, "x.idx4", Size{1, 2, 3}, 255, 7, ""},
		{"idx folder", map[string][]byte{idx: images, idx + ".gz": packed(t, images), idxOther: labels, "train-images-idx3-ubyte": images, "README": {1}}, "", Size{1, 2, 3}, 255, 7, ""},
		{"idx folder of one", map[string][]byte{"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels}, "", Size{1, 2, 3}, 255, 7, ""},

		{"npy f8", map[string][]byte{pattern: npyBytes(t, []int{2, 2, 3}, floats), "TestLabelStorage.npy": npyBytes(t, []int{2}, []uint64{7, 3})}, pattern, Size{1, 2, 3}, 11, 7, ""},
		{"npy u1", map[string][]byte{pattern: npyBytes(t, []int{2, 2, 3}, ascending(12))}, pattern, Size{1, 2, 3}, 11, -1, ""},
		{"npy u1 channels last", map[string][]byte{pattern: npyBytes(t, []int{2, 2, 3, 1}, ascending(12))}, pattern, Size{1, 2, 3}, 11, -1, ""},
		{"npy i4 channels first", map[string][]byte{pattern: npyBytes(t, []int{2, 1, 2, 3}, []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})}, pattern, Size{1, 2, 3}, 11, -1, ""},
		{"idx flat", map[string][]byte{idx: idxBytes([]int{2, 6}, ascending(12)...)}, idx, Size{1, 2, 3}, 255, -1, ""},
		{"npy flat", map[string][]byte{pattern: npyBytes(t, []int{2, 6}, floats), "TestLabelStorage.npy": npyBytes(t, []int{2, 1}, []float64{7, 3})}, pattern, Size{1, 2, 3}, 11, 7, ""},
		{"npy gz", map[string][]byte{pattern + ".gz": packed(t, npyBytes(t, []int{2, 2, 3}, floats)), "TestLabelStorage.npy": npyBytes(t, []int{2}, []uint64{7, 3})}, pattern + ".gz", Size{1, 2, 3}, 11, 7, ""},
		{"npy folder", map[string][]byte{pattern: npyBytes(t, []int{2, 2, 3}, floats), "TestLabelStorage.npy": npyBytes(t, []int{2}, []uint64{7, 3}), "TrainPatternStorage.npy": nil, "w.npy": nil}, "", Size{1, 2, 3}, 11, 7, ""},

		{"labels too few", map[string][]byte{idx: images, idxOther: idxBytes([]int{1}, 7)}, idx, Size{1, 2, 3}, 0, 0, "has 1 labels, but"},
		{"labels broken", map[string][]byte{idx: images, idxOther: labels[:9]}, idx, Size{1, 2, 3}, 0, 0, "idx1-ubyte: the header claims shape [2], 2 bytes, but 1 bytes follow"},
		{"size", map[string][]byte{idx: images}, idx, Size{1, 28, 28}, 0, 0, "the array has shape [2 2 3], but the network needs images of 1x28x28 (channels x height x width): allow conversion (--resize"},
		{"five dimensions", map[string][]byte{"w.npy": npyBytes(t, []int{2, 1, 2, 3, 1}, ascending(12))}, "w.npy", Size{1, 2, 3}, 0, 0, "the array has shape [2 1 2 3 1], but images have (n, height, width)"},
		{"weights", map[string][]byte{"w.npy": npyBytes(t, []int{2, 5}, ascending(10))}, "w.npy", Size{1, 2, 3}, 0, 0, "shape [2 5]"},
		{"no images", map[string][]byte{"w.npy": npyBytes(t, []int{0, 2, 3}, []uint8{})}, "w.npy", Size{1, 2, 3}, 0, 0, "contains no images"},
		{"negative", map[string][]byte{"w.npy": npyBytes(t, []int{2, 1, 2}, []float32{0, 1, 2, -1})}, "w.npy", Size{1, 1, 2}, 0, 0, "image 1 has the value -1"},
		{"not a number", map[string][]byte{"w.npy": npyBytes(t, []int{1, 1, 2}, []float32{0, float32(math.NaN())})}, "w.npy", Size{1, 1, 2}, 0, 0, "image 0 has the value NaN"},
		{"npy broken", map[string][]byte{"w.npy": npyBytes(t, []int{2, 2, 3}, floats)[:200]}, "w.npy", Size{1, 2, 3}, 0, 0, "w.npy: 72 bytes follow the header"},
		{"ambiguous", map[string][]byte{"a-idx3": images, "b-idx3": images}, "", Size{1, 2, 3}, 0, 0, "several files or folders of images, name one"},
		{"two test sets", map[string][]byte{"test-a-idx3": images, "test-b-idx3": images}, "", Size{1, 2, 3}, 0, 0, "test-a-idx3, "},
		{"only a broken gz", map[string][]byte{idx + ".gz": {0x1f, 0x8b, 0}}, "", Size{1, 2, 3}, 0, 0, idx + ".gz: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := write(t, test.files)
			path := filepath.Join(folder, test.open)
			s, err := Open([]string{path}, Options{Size: test.size})
			if test.err != "" {
				require.True(t, strings.HasPrefix(err.Error(), folder), err)
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 2, s.Len())
			for i := range 2 {
				m := s.At(i)
				require.NoError(t, m.Err)
				require.True(t, strings.HasSuffix(m.Name, fmt.Sprintf("[%d]", i)), m.Name)
				want := make([]float32, 6)
				for k := range want {
					want[k] = float32(6*i+k) / test.scale
				}
				require.Equal(t, want, m.Pixels)
			}
			require.Equal(t, test.label, s.At(0).Label)
			require.NoError(t, s.Close())
		})
	}
}

func TestOpen_ReadsChannelsFirstAndLast(t *testing.T) {
	// Two images of 1x2 pixels: (1, 2, 3) and (4, 5, 6).
	want := []float32{1, 4, 2, 5, 3, 6}
	for name, content := range map[string][]byte{
		"last":  npyBytes(t, []int{2, 1, 2, 3}, []uint8{1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 255}),
		"first": npyBytes(t, []int{2, 3, 1, 2}, []uint8{1, 4, 2, 5, 3, 6, 1, 4, 2, 5, 3, 255}),
	} {
		folder := write(t, map[string][]byte{"a.npy": content})
		for _, resize := range []bool{false, true} {
			s, err := Open([]string{filepath.Join(folder, "a.npy")}, Options{Size: Size{3, 1, 2}, Resize: resize})
			require.NoError(t, err)
			got := s.At(0).Pixels
			for i := range got {
				got[i] = float32(math.Round(float64(got[i]) * 255))
			}
			require.Equal(t, want, got, name)
		}
		s, err := Open([]string{filepath.Join(folder, "a.npy")}, Options{Size: Size{1, 1, 2}, Resize: true})
		require.NoError(t, err)
		// 0.299 * 1 + 0.587 * 2 + 0.114 * 3 = 1.8, rounded
		require.Equal(t, []float32{2.0 / 255, 5.0 / 255}, s.At(0).Pixels, name)
	}
	folder := write(t, map[string][]byte{"a.npy": npyBytes(t, []int{1, 2, 2, 2}, make([]uint8, 8))})
	_, err := Open([]string{filepath.Join(folder, "a.npy")}, Options{Size: Size{1, 3, 3}, Resize: true})
	require.ErrorContains(t, err, "want images with 1 or 3 channels")
	s, err := Open([]string{filepath.Join(folder, "a.npy")}, Options{Size: Size{2, 2, 2}})
	require.NoError(t, err)
	require.Equal(t, make([]float32, 8), s.At(0).Pixels) // all black
}

func TestOpen_ResizesArrays(t *testing.T) {
	folder := write(t, map[string][]byte{
		"idx": idxBytes([]int{1, 4, 4}, bytes.Repeat([]byte{100, 100, 200, 200}, 4)...),
		"one": idxBytes([]int{1, 1, 1}, 51),
	})
	s, err := Open([]string{filepath.Join(folder, "idx")}, Options{Size: Size{3, 2, 2}, Resize: true})
	require.NoError(t, err)
	m := s.At(0)
	require.NoError(t, m.Err)
	require.Len(t, m.Pixels, 12)
	for i, v := range m.Pixels {
		require.InDelta(t, []float64{100.0 / 255, 200.0 / 255}[i%2], v, 0.04)
	}
	s, err = Open([]string{filepath.Join(folder, "one")}, Options{Size: Size{1, 2, 2}, Resize: true})
	require.NoError(t, err)
	require.Equal(t, []float32{0.2, 0.2, 0.2, 0.2}, s.At(0).Pixels)
}

func TestOpen_ReadsCIFARBatches(t *testing.T) {
	folder := write(t, map[string][]byte{
		"data_batch_1.bin": cifarBytes(1), "test_batch.bin": cifarBytes(0, 9, 3), "batches.meta.txt": []byte("airplane\n"),
		"more/a.bin": cifarBytes(10), "more/b.bin": make([]byte, 3000), "idx/images.bin": idxBytes([]int{1, 2, 2}, 1, 2, 3, 4),
	})
	opt := Options{Size: Size{3, 32, 32}}
	s, err := Open([]string{folder}, opt)
	require.NoError(t, err)
	require.Equal(t, 3, s.Len())
	for i, label := range []int{0, 9, 3} {
		m := s.At(i)
		require.NoError(t, m.Err)
		require.Equal(t, label, m.Label)
		require.Equal(t, fmt.Sprintf("test_batch.bin[%d]", i), m.Name)
		require.Len(t, m.Pixels, 3072)
		require.Equal(t, []float32{float32(label) / 255, float32(label) / 255, float32(label) / 255, 0}, m.Pixels[:4])
	}
	require.NoError(t, os.Truncate(filepath.Join(folder, "test_batch.bin"), 3073))
	require.ErrorContains(t, s.At(1).Err, "test_batch.bin[1]: the file has become shorter since it was opened")
	require.NoError(t, s.Close())
	_, err = Open([]string{filepath.Join(folder, "more", "a.bin")}, opt)
	require.ErrorContains(t, err, "a.bin: not a batch of CIFAR-10: image 0 has label 10, want 0 to 9")
	_, err = Open([]string{filepath.Join(folder, "more", "b.bin")}, opt)
	require.ErrorContains(t, err, "but this is a file of zero bytes")
	_, err = Open([]string{filepath.Join(folder, "test_batch.bin")}, small)
	require.ErrorContains(t, err, "3 32 32], but the network needs images of 1x2x2")
	s, err = Open([]string{filepath.Join(folder, "idx", "images.bin")}, small)
	require.NoError(t, err)
	require.Equal(t, 1, s.Len())
}

func TestNewIDX_RefusesInvalidFiles(t *testing.T) {
	good := idxBytes([]int{2, 2, 2}, make([]byte, 8)...)
	tests := map[string]struct {
		content []byte
		err     string
	}{
		"short":     {idxBytes([]int{2, 2, 2}, make([]byte, 7)...), "claims shape [2 2 2], 8 bytes, but"},
		"long":      {idxBytes([]int{2, 2, 2}, make([]byte, 9)...), "claims shape [2 2 2], 8 bytes, but"},
		"empty":     {idxBytes([]int{0, 2, 2}), "a dimension is 0"},
		"huge":      {idxBytes([]int{math.MaxInt32, math.MaxInt32, math.MaxInt32}), "more than 2 GiB"},
		"type":      {append([]byte{0, 0, 13}, good[3:]...), "have type 0x0d, want bytes (0x08)"},
		"rank":      {append([]byte{0, 0, 8, 5}, good[4:]...), "5 dimensions"},
		"no header": {good[:10], "ends within its header"},
		"no magic":  {[]byte{0, 0}, "ends within its header"},
		"other":     {[]byte("hello"), "not an IDX file"},
		"claim":     {idxBytes([]int{2000, 1000, 1000}), "claims shape [2000 1000 1000], 2000000000 bytes, but"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, content := range [][]byte{test.content, packed(t, test.content)} {
				_, err := newIDX(bytes.NewReader(content), int64(len(content)))
				require.ErrorContains(t, err, test.err)
			}
		})
	}
	gz := packed(t, good)
	for n := range gz {
		_, err := newIDX(bytes.NewReader(gz[:n]), int64(n))
		require.Error(t, err, "cut to %d bytes", n)
	}
	gz[len(gz)-5] ^= 1
	_, err := newIDX(bytes.NewReader(gz), int64(len(gz)))
	require.ErrorContains(t, err, "checksum")
}

func TestNewIDX_DecompressesOnlyTheElements(t *testing.T) {
	bomb := packed(t, idxBytes([]int{1, 2, 2}, make([]byte, 1<<26)...))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := newIDX(bytes.NewReader(bomb), int64(len(bomb)))
	runtime.ReadMemStats(&after)
	require.ErrorContains(t, err, "more follow")
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestOpen_ChecksTheHeaderBeforeItDecompresses(t *testing.T) {
	header := func(kind string, shape ...int) []byte {
		text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s,)}", kind, strings.Trim(strings.Join(strings.Fields(fmt.Sprint(shape)), ","), "[]"))
		return append([]byte{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, byte(len(text)), 0}, text...)
	}
	tests := map[string]struct {
		content []byte
		err     string
	}{
		"other size":      {append(header("<f8", 1<<20, 2, 4), make([]byte, 1<<26)...), "the array has shape [1048576 2 4], but the network needs images of 1x2x2"},
		"too many":        {header("<f8", 1<<26+1, 2, 2), "has 268435460 elements, but a compressed file can have at most 268435456 unless they are bytes (uint8): decompress the file, or split it"},
		"too many halves": {header("<f2", 1<<26+1, 2, 2), "decompress the file, or split it"},
		"not too many":    {header("<f8", 1<<26, 2, 2), "the file ends after 0 of its"},
		"bytes":           {header("|u1", 1<<26+1, 2, 2), "the file ends after 0 of its"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(write(t, map[string][]byte{"a.npy.gz": packed(t, test.content)}), "a.npy.gz")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Open([]string{path}, small)
			runtime.ReadMemStats(&after)
			require.ErrorContains(t, err, test.err)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
		})
	}
	// An uncompressed file has the size that its header claims, or it is refused.
	path := filepath.Join(write(t, map[string][]byte{"a.npy": header("<f8", 1<<26+1, 2, 2)}), "a.npy")
	_, err := Open([]string{path}, small)
	require.ErrorContains(t, err, "0 bytes follow the header")
}

func FuzzIDX(f *testing.F) {
	good := idxBytes([]int{2, 2, 3}, make([]byte, 12)...)
	f.Add(good)
	f.Add(packed(f, good))
	f.Add(idxBytes([]int{1, 3, 2, 3}, make([]byte, 18)...))
	f.Add(idxBytes([]int{2}, 1, 2))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := newIDX(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			return
		}
		opt := Options{Size: Size{1, 3, 3}, Resize: true}
		shape, err := arrange(file.shape, opt)
		if err != nil {
			return
		}
		a := array{shape: shape, opt: opt, max: 255, read: bytesAt(file.data, file.start, int64(shape.size.len()))}
		for _, i := range []int{0, a.len() - 1} {
			pixels, err := a.pixels(i)
			require.NoError(t, err)
			require.Len(t, pixels, opt.Size.len())
		}
	})
}
