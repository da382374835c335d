package dataset

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/pickle"
)

// pickledBatch returns a batch in the form in which Python 2 pickled CIFAR-10. All pixels of
// image i have the value labels[i]+channel.
func pickledBatch(labels ...byte) []byte {
	var b strings.Builder
	add := func(parts ...string) {
		for _, p := range parts {
			b.WriteString(p)
		}
	}
	short := func(s string) string { return "U" + string([]byte{byte(len(s))}) + s }
	long := func(s string) string {
		return "T" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
	}
	number := func(n int) string { return "M" + string(binary.LittleEndian.AppendUint16(nil, uint16(n))) }
	var pixels strings.Builder
	for _, label := range labels {
		for c := range byte(3) {
			pixels.WriteString(strings.Repeat(string([]byte{label + c}), 32*32))
		}
	}
	add("\x80\x02}q\x01(", short("batch_label"), "q\x02", short("training batch 1 of 5"), "q\x03")
	add(short("labels"), "q\x04]q\x05(")
	for _, label := range labels {
		add("K" + string([]byte{label}))
	}
	add("e", short("data"), "q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85", short("b"), "\x87Rq\x09")
	add("(K\x01", number(len(labels)), number(3072), "\x86cnumpy\ndtype\nq\x0a", short("u1"), "K\x00K\x01\x87Rq\x0b(K\x03", short("|"))
	add("NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89", long(pixels.String()), "tb", short("filenames"), "q\x0c]q\x0d(")
	for i := range labels {
		add(short("image_" + strconv.Itoa(i) + ".png"))
	}
	add("eu.")
	return []byte(b.String())
}

func TestOpen_ReadsPickledCIFARBatches(t *testing.T) {
	folder := write(t, map[string][]byte{
		"data_batch_1": pickledBatch(1, 9), "data_batch_2": pickledBatch(4), "test_batch": pickledBatch(0, 3),
		"batches.meta": []byte("\x80\x02}q\x01."), "readme.html": []byte("<html>"),
	})
	s, err := Open([]string{folder}, Options{Subset: Training})
	require.NoError(t, err)
	require.Equal(t, Size{3, 32, 32}, s.Size())
	require.Equal(t, []string{"data_batch_1[0] 1 3", "data_batch_1[1] 9 11", "data_batch_2[0] 4 6"}, summary(t, s, folder))
	require.Equal(t, "automobile", s.Classes()[1])
	s, err = Open([]string{folder}, Options{Subset: Test})
	require.NoError(t, err)
	require.Equal(t, []string{"test_batch[0] 0 2", "test_batch[1] 3 5"}, summary(t, s, folder))
	m := s.At(1)
	require.Equal(t, []float32{3. / 255, 4. / 255, 5. / 255}, []float32{m.Pixels[1023], m.Pixels[1024], m.Pixels[2048]})
	require.NoError(t, s.Close())
}

func TestOpen_RefusesInvalidPickles(t *testing.T) {
	good := string(pickledBatch(1, 2))
	tests := []struct{ name, content, err string }{
		{"short", good[:2000], "truncated: at least 4348 bytes are missing"},
		{"label", strings.Replace(good, "K\x02e", "K\x0ae", 1), "image 1 has label 10, want 0 to 9"},
		{"dictionary in itself", "\x80\x02}q\x00(U\x06labels]h\x00aU\x01xh\x00u.", "\"labels\" has an element 0 that is not an integer"},
		{"no labels", strings.Replace(good, "labels", "Labels", 1), `the list "labels" is missing`},
		{"empty labels", "\x80\x02}U\x06labels]s.", `the list "labels" is empty`},
		{"number of labels", strings.Replace(good, "K\x02e", "e", 1), `the array "data" has shape [2 3072], want [1 3072] for the 1 labels`},
		{"no array", strings.Replace(good, "U\x04data", "U\x04Data", 1), `the array "data" is missing`},
		{"other function", strings.Replace(good, "numpy.core.multiarray\n_reconstruct", "os\nsystem", 1), `the array "data" is not a NumPy array`},
		{"state", strings.Replace(good, "tb\x89", "tb\x89N", 1), `the array "data" has no state of five values`},
		{"no shape", strings.Replace(good, "M\x02\x00M\x00\x0c\x86", "N", 1), `the array "data" has a shape that is neither a list of integers nor a NumPy array of them`},
		{"rank", strings.Replace(good, "M\x02\x00M\x00\x0c\x86", "M\x02\x00M\x00\x0cK\x01\x87", 1), `the array "data" has shape [2 3072 1], want [2 3072] for the 2 labels`},
		{"columns", strings.Replace(good, "M\x02\x00M\x00\x0c\x86", "M\x02\x00M\x01\x0c\x86", 1), `the array "data" has shape [2 3073], want [2 3072] for the 2 labels`},
		{"no type", strings.Replace(good, "cnumpy\ndtype", "cnumpy\ndType", 1), `the array "data" has no element type`},
		{"type without a name", strings.Replace(good, "U\x02u1", "K\x01", 1), `the array "data" has an element type without a name`},
		{"type", strings.Replace(good, "U\x02u1", "U\x02u2", 1), `the array "data" has elements of type "u2", want "u1" (uint8)`},
		{"order", strings.Replace(good, "tb\x89", "tbN", 1), `the array "data" does not say in which order its elements are`},
		{"fortran", strings.Replace(good, "tb\x89", "tb\x88", 1), `the array "data" is in Fortran order, want C order`},
		{"short elements", "\x80\x02}(U\x06labels](K\x01eU\x04datacnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1\x85R\x89U\x01xtbu.", `the array "data" has 1 bytes, want 3072 for 1 images`},
		{"elements", "\x80\x02}(U\x06labels](K\x01eU\x04datacnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1\x85R\x89Ntbu.", `the array "data" has no elements`},
		{"no dictionary", "\x80\x02K\x01.", "the file does not contain a dictionary"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := write(t, map[string][]byte{"data_batch_1": []byte(test.content)})
			_, err := Open([]string{folder}, Options{Subset: Training})
			require.ErrorContains(t, err, test.err)
			require.ErrorContains(t, err, "data_batch_1: ")
			require.ErrorContains(t, err, "binary version")
		})
	}
}

func FuzzPickle(f *testing.F) {
	f.Add(pickledBatch(1)[:200])
	f.Add([]byte("\x80\x02](K\x01J\xff\xff\xff\xffe."))
	f.Fuzz(func(_ *testing.T, content []byte) {
		value, err := pickle.Decode(content)
		if err == nil {
			_, _ = cifarBatch(value)
		}
	})
}

func TestOpen_RefusesTwoVersionsOfCIFAR(t *testing.T) {
	record := make([]byte, cifarRecord)
	folder := write(t, map[string][]byte{"data_batch_1": pickledBatch(1), "data_batch_2.bin": record})
	_, err := Open([]string{folder}, Options{Subset: Training})
	require.ErrorContains(t, err, "two versions of CIFAR-10")
	require.NoError(t, os.Remove(folder+"/data_batch_1"))
	require.NoError(t, os.WriteFile(folder+"/data_batch_1.bin", append(record, record...), 0o644))
	s, err := Open([]string{folder}, Options{Subset: Training})
	require.NoError(t, err)
	require.Equal(t, 3, s.Len())
	require.Equal(t, "data_batch_2.bin[0]", s.At(2).Name)
	require.NoError(t, s.Close())
	_, err = Open([]string{folder}, Options{Subset: Test})
	require.ErrorIs(t, err, ErrNoSubset)
	require.ErrorContains(t, err, "contains no test set (looked for t10k-images-idx3-ubyte")
}

func TestOpen_RefusesDamagedFilesOfADataSet(t *testing.T) {
	pointer := []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
	image := idxBytes([]int{1, 1, 2}, 1, 2)
	for name, test := range map[string]struct {
		files  map[string][]byte
		subset Subset
		err    string
	}{
		"batch":        {map[string][]byte{"data_batch_1": pickledBatch(1), "data_batch_2": pointer, "data_batch_3": pickledBatch(1)}, Training, "data_batch_2: want images, but this is a Git LFS pointer"},
		"short batch":  {map[string][]byte{"data_batch_1.bin": make([]byte, 3073), "data_batch_2.bin": make([]byte, 3072)}, Training, "data_batch_2.bin: a batch of CIFAR-10 has 3073 bytes"},
		"test images":  {map[string][]byte{"train-images-idx3-ubyte": image, "t10k-images-idx3-ubyte": pointer}, All, "t10k-images-idx3-ubyte: want images, but this is a Git LFS pointer"},
		"other subset": {map[string][]byte{"train-images-idx3-ubyte": image, "t10k-images-idx3-ubyte": pointer}, Training, ""},
	} {
		_, err := Open([]string{write(t, test.files)}, Options{Subset: test.subset})
		if test.err == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, test.err, name)
	}
}

func TestOpen_NamesOtherPickles(t *testing.T) {
	for content, want := range map[string]string{
		"\x80\x02}q\x01.": "this is a Python pickle",
		"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.": "this is a PyTorch file",
	} {
		_, err := Open([]string{filepath.Join(write(t, map[string][]byte{"weights.pkl": []byte(content)}), "weights.pkl")}, Options{})
		require.ErrorContains(t, err, want)
	}
}
