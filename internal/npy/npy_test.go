package npy

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// floats are the elements of the floating-point files in testdata, as float32.
var floats = []float32{0, float32(math.Copysign(0, -1)), 1.5, -2.25, float32(math.Inf(1)), 6e-5}

func halves() []float32 {
	h := append([]float32(nil), floats...)
	h[5] = 1007.0 / (1 << 24) // 6e-5 as a subnormal half
	return h
}

func doubles() []float64 {
	return []float64{0, math.Copysign(0, -1), 1.5, -2.25, math.Inf(1), 6e-5}
}

func ramp[T int16 | float64](n int) []T {
	r := make([]T, n)
	for i := range r {
		r[i] = T(i)
	}
	return r
}

// texts are the elements of the files of strings in testdata.
var texts = []string{"ab", "", "ü→😀", "a b", "c\x00d", "x"}

// The files were written by numpy.save; see testdata/make.py.
func TestReadFile_ReadsWhatNumPyWrites(t *testing.T) {
	shape := []int{2, 3}
	tests := []struct {
		file  string
		shape []int
		data  any
		same  bool // Write writes the same bytes
	}{
		{"f2.npy", shape, halves(), false},
		{"f2_big.npy", shape, halves(), false},
		{"f4.npy", shape, floats, true},
		{"f4_big.npy", shape, floats, false},
		{"f8.npy", shape, doubles(), true},
		{"f8_big.npy", shape, doubles(), false},
		{"i1.npy", shape, []int8{0, 1, -1, 100, -128, 127}, true},
		{"i2.npy", shape, []int16{0, 1, -1, 100, -128, 127}, true},
		{"i2_big.npy", shape, []int16{0, 1, -1, 100, -128, 127}, false},
		{"i4.npy", shape, []int32{0, 1, -1, 100, -128, 127}, true},
		{"i4_big.npy", shape, []int32{0, 1, -1, 100, -128, 127}, false},
		{"i8.npy", shape, []int64{0, 1, -1, 100, -128, 127}, true},
		{"i8_big.npy", shape, []int64{0, 1, -1, 100, -128, 127}, false},
		{"u1.npy", shape, []uint8{0, 1, 2, 100, 200, 255}, true},
		{"u2.npy", shape, []uint16{0, 1, 2, 100, 200, 255}, true},
		{"u2_big.npy", shape, []uint16{0, 1, 2, 100, 200, 255}, false},
		{"u4.npy", shape, []uint32{0, 1, 2, 100, 200, 255}, true},
		{"u4_big.npy", shape, []uint32{0, 1, 2, 100, 200, 255}, false},
		{"u8.npy", shape, []uint64{0, 1, 2, 100, 200, 255}, true},
		{"u8_big.npy", shape, []uint64{0, 1, 2, 100, 200, 255}, false},
		{"b1.npy", shape, []bool{true, false, false, true, true, false}, true},
		{"scalar.npy", []int{}, []float32{2.5}, true},
		{"vector.npy", []int{3}, []uint64{0, 1, 2}, true},
		{"empty.npy", []int{0, 4}, []float32{}, true},
		{"fortran.npy", []int{2, 3, 4}, ramp[int16](24), false},
		{"fortran_big.npy", []int{2, 3, 4}, ramp[float64](24), false},
		{"version2.npy", shape, floats, false},
		{"version3.npy", shape, floats, false},
		{"gzip.npy", shape, floats, false},
		{"text.npy", shape, texts, true},
		{"text_big.npy", shape, texts, false},
		{"bytes.npy", []int{3}, []string{"ab", "\xff", ""}, true},
	}
	for _, test := range tests {
		t.Run(test.file, func(t *testing.T) {
			a, err := ReadFile(os.DirFS("testdata"), test.file, MaxElements)
			require.NoError(t, err)
			require.Equal(t, &Array{Shape: test.shape, Data: test.data}, a)
			var b bytes.Buffer
			require.NoError(t, Write(&b, a))
			if test.same {
				file, err := os.ReadFile(filepath.Join("testdata", test.file))
				require.NoError(t, err)
				require.Equal(t, string(file), b.String())
			}
			again, err := Read(&b)
			require.NoError(t, err)
			require.Equal(t, a, again)
		})
	}
}

func TestReadFile_KeepsNegativeZero(t *testing.T) {
	a, err := ReadFile(os.DirFS("testdata"), "f2.npy", MaxElements)
	require.NoError(t, err)
	require.True(t, math.Signbit(float64(a.Data.([]float32)[1])))
}

// file returns an .npy file of the given version, header and data.
func file(major byte, header, data string) string {
	length := binary.LittleEndian.AppendUint16(nil, uint16(len(header)))
	if major > 1 {
		length = binary.LittleEndian.AppendUint32(nil, uint32(len(header)))
	}
	return magic + string([]byte{major, 0}) + string(length) + header + data
}

func TestRead_ParsesHeaders(t *testing.T) {
	tests := []struct {
		header string
		shape  []int
		err    string
	}{
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }", []int{2, 2}, ""},
		{"{'shape':(4,),'fortran_order':True,'descr':'<u1'}\n", []int{4}, ""},
		{" {\t\"shape\" : ( 2 , 2L , ) ,\n 'fortran_order' : True , \"descr\" : '=u1' , } \n", []int{2, 2}, ""},
		{"{'descr': 'u1', 'fortran_order': False, 'shape': (4L,)}", []int{4}, ""},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 4, 1)}", []int{1, 1, 4, 1}, ""},

		{"", nil, "ends where '{'"},
		{"{", nil, "ends where a string"},
		{"{}", nil, `"descr" is missing`},
		{"{'descr': '|u1', 'fortran_order': False}", nil, `"shape" is missing`},
		{"{'descr': '|u1', 'descr': '|u1'}", nil, "twice"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (4,), 'x': 1}", nil, `unknown key "x"`},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (4)}", nil, "the only element of a tuple"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (2 2)}", nil, "the only element of a tuple"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2 2)}", nil, "want ',' or ')'"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (,)}", nil, "a dimension"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (-4,)}", nil, "a dimension"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (4.0,)}", nil, "the only element of a tuple"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (0x4,)}", nil, "a dimension"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': 4}", nil, "want '('"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (", nil, "ends where a dimension"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,)}", nil, "too large"},
		{"{'descr': '|u1', 'fortran_order': 0, 'shape': (4,)}", nil, "True or False"},
		{"{'descr': '|u1', 'fortran_order': Falsey, 'shape': (4,)}", nil, "True or False"},
		{"{'descr': '|u1' 'fortran_order': False, 'shape': (4,)}", nil, "want ','"},
		{"{'descr': '|u1, 'fortran_order': False, 'shape': (4,)}", nil, "is unknown"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (4,)} x", nil, "the end of the header"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (4,)}\x00", nil, "the end of the header"},
		{"{'de\\x73cr': '|u1'}", nil, "a string"},
		{"{'descr': '<<u1', 'fortran_order': False, 'shape': (4,)}", nil, "two byte orders"},
		{"{'descr': '', 'fortran_order': False, 'shape': (4,)}", nil, "is unknown"},
		{"{'descr': '<', 'fortran_order': False, 'shape': (4,)}", nil, "is unknown"},
		{"{'descr': '<f16', 'fortran_order': False, 'shape': (4,)}", nil, "is unknown"},
		{"{'descr': '<Ux', 'fortran_order': False, 'shape': (4,)}", nil, "is unknown"},
		{"{'descr': '<U9999999', 'fortran_order': False, 'shape': (4,)}", nil, "padded to 9999999 characters"},
		{"{'descr': '|V2', 'fortran_order': False, 'shape': (4,)}", nil, "bfloat16"},
		{"{'descr': '<M8[s]', 'fortran_order': False, 'shape': (4,)}", nil, "dates"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (65536, 65536)}", nil, "more than 2147483647 elements"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (2147483647, 2147483647, 0)}", nil, "more than"},
		{"{'descr': '|u1', 'fortran_order': False, 'shape': (" + strings.Repeat("1,", 65) + ")}", nil, "65 dimensions"},
	}
	for _, test := range tests {
		t.Run(test.header, func(t *testing.T) {
			for major := byte(1); major <= 3; major++ {
				a, err := Read(strings.NewReader(file(major, test.header, "abcd")))
				if test.err != "" {
					require.ErrorContains(t, err, "bad header: ")
					require.ErrorContains(t, err, test.err)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, test.shape, a.Shape)
				require.Equal(t, 4, len(a.Data.([]uint8)))
			}
		})
	}
}

func TestRead_RefusesOtherFiles(t *testing.T) {
	tests := map[string]struct{ content, err string }{
		"empty":          {"", "the file is empty"},
		"other":          {"\x89PNG\r\n\x1a\n0000", "want an .npy file, but this is a PNG picture"},
		"version 4":      {magic + "\x04\x00", "version 4.0"},
		"version 1.1":    {magic + "\x01\x01", "version 1.1"},
		"long header":    {magic + "\x02\x00\xff\xff\xff\xff", "claims 4294967295 bytes"},
		"trailing":       {file(1, "{'descr':'|u1','fortran_order':False,'shape':(4,)}", "abcde"), "unexpected data"},
		"trailing empty": {file(1, "{'descr':'|u1','fortran_order':False,'shape':(0,)}", "a"), "unexpected data"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Read(strings.NewReader(test.content))
			require.ErrorContains(t, err, test.err)
			_, err = ReadFile(fstest.MapFS{"a.npy": {Data: []byte(test.content)}}, "a.npy", MaxElements)
			require.ErrorContains(t, err, "a.npy: ")
			if !strings.HasPrefix(name, "trailing") {
				require.ErrorContains(t, err, test.err)
			}
		})
	}
	for name, text := range map[string]string{
		"object.npy": "strings with a.astype('U')", "complex.npy": "complex", "structured.npy": "structured",
	} {
		_, err := ReadFile(os.DirFS("testdata"), name, MaxElements)
		require.ErrorContains(t, err, text)
		require.ErrorContains(t, err, name)
	}
	_, err := ReadFile(os.DirFS("testdata"), "missing.npy", MaxElements)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "missing.npy: ") // the system words the rest
	_, err = ReadFile(os.DirFS("."), "testdata", MaxElements)
	require.ErrorContains(t, err, "testdata: ")
}

func TestRead_RefusesTruncatedFiles(t *testing.T) {
	for _, name := range []string{"f4.npy", "version3.npy", "fortran.npy", "gzip.npy"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		for n := range content {
			_, err := ReadFile(fstest.MapFS{"a": {Data: content[:n]}}, "a", MaxElements)
			require.Error(t, err, "%s cut to %d bytes", name, n)
			_, err = Read(strings.NewReader(string(content[:n])))
			require.Error(t, err, "%s cut to %d bytes", name, n)
			if name != "gzip.npy" {
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}
		}
	}
	content, err := os.ReadFile("testdata/gzip.npy")
	require.NoError(t, err)
	content[len(content)-5] ^= 1 // checksum
	_, err = ReadFile(fstest.MapFS{"a": {Data: content}}, "a", MaxElements)
	require.ErrorIs(t, err, gzip.ErrChecksum)
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestRead_AllocatesLittleForAHugeClaim(t *testing.T) {
	content := file(1, "{'descr':'<f8','fortran_order':True,'shape':(32767,65536)}", "12345678")
	for name, read := range map[string]func() error{
		"stream": func() error { _, err := Read(strings.NewReader(content)); return err },
		"bytes":  func() error { _, err := Read(bytes.NewReader([]byte(content))); return err },
		"file": func() error {
			_, err := ReadFile(fstest.MapFS{"a": {Data: []byte(content)}}, "a", MaxElements)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := allocated(func() { require.ErrorIs(t, read(), io.ErrUnexpectedEOF) })
			require.Less(t, n, uint64(4<<20))
		})
	}
}

func TestReadFile_DecompressesOnlyTheArray(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, file(1, "{'descr':'|u1','fortran_order':False,'shape':(4,)}", ""))
	require.NoError(t, err)
	for range 64 { // 64 MiB of zeros
		_, err = z.Write(make([]byte, 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	n := allocated(func() {
		_, err := ReadFile(fstest.MapFS{"bomb": {Data: b.Bytes()}}, "bomb", MaxElements)
		require.ErrorIs(t, err, errTrailing)
	})
	require.Less(t, n, uint64(4<<20))
}

func TestReadFile_RefusesMoreElementsThanAllowed(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, file(1, "{'descr':'<f8','fortran_order':False,'shape':(1024,8192)}", ""))
	require.NoError(t, err)
	for range 64 { // 64 MiB of zeros: all that the header claims
		_, err = z.Write(make([]byte, 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	plain, err := os.ReadFile("testdata/f4.npy")
	require.NoError(t, err)
	files := fstest.MapFS{"bomb": {Data: b.Bytes()}, "plain": {Data: plain}}
	for name, want := range map[string]SizeError{"bomb": {[]int{1024, 8192}, 1 << 23, 6}, "plain": {[]int{2, 3}, 6, 5}} {
		n := allocated(func() {
			_, err := ReadFile(files, name, want.MaxElements)
			var got *SizeError
			require.ErrorAs(t, err, &got)
			require.Equal(t, want, *got)
		})
		require.Less(t, n, uint64(1<<18))
	}
	_, err = ReadFile(files, "plain", 5)
	require.EqualError(t, err, "plain: the array of shape [2 3] has 6 elements, at most 5 are read")
	_, err = ReadFile(files, "plain", 6)
	require.NoError(t, err)
}

func TestReadOpen_ReturnsTheErrorOfAcceptAndLeavesTheFileOpen(t *testing.T) {
	for name, want := range map[string]Header{
		"u2_big.npy": {Shape: []int{2, 3}, Count: 6, Type: "u2"},
		"gzip.npy":   {Shape: []int{2, 3}, Count: 6, Type: "f4", Compressed: true},
	} {
		f, err := os.Open(filepath.Join("testdata", name))
		require.NoError(t, err)
		_, err = ReadOpen(f, func(h Header) error {
			require.Equal(t, want, h)
			return io.ErrNoProgress
		})
		require.Equal(t, io.ErrNoProgress, err)
		_, err = f.Seek(0, io.SeekStart)
		require.NoError(t, err)
		a, err := ReadOpen(f, AtMost(6))
		require.NoError(t, err)
		require.Equal(t, want.Shape, a.Shape)
		require.NoError(t, f.Close())
	}
}

func TestRead_ReturnsErrorsOfTheReader(t *testing.T) {
	content, err := os.ReadFile("testdata/f4.npy")
	require.NoError(t, err)
	for _, n := range []int64{0, 9, 50, 130, int64(len(content))} {
		_, err := Read(io.MultiReader(bytes.NewReader(content[:n]), iotest.ErrReader(fs.ErrPermission)))
		require.ErrorIs(t, err, fs.ErrPermission)
	}
}

// The array spans several chunks, and its slice grows if the length is unknown.
func TestRead_ReadsLargeArrays(t *testing.T) {
	want := &Array{Shape: []int{3, 100, 1001}, Data: ramp[float64](3 * 100 * 1001)}
	var b bytes.Buffer
	require.NoError(t, Write(&b, want))
	got, err := Read(iotest.HalfReader(bytes.NewReader(b.Bytes())))
	require.NoError(t, err)
	require.Equal(t, want, got)
	got, err = Read(&b)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestWrite_RefusesInvalidArrays(t *testing.T) {
	for text, a := range map[string]*Array{
		"has 4 elements, the data has 3":         {Shape: []int{2, 2}, Data: make([]int8, 3)},
		"negative":                               {Shape: []int{-1, -1}, Data: make([]int8, 1)},
		"65 dimensions":                          {Shape: make([]int, 65), Data: []int8{}},
		"array with elements of type none":       {},
		"array with elements of type int cannot": {Shape: []int{1}, Data: []int{1}},
		"string 1 ends with NUL":                 {Shape: []int{2}, Data: []string{"a", "b\x00"}},
		"too much for a .npy file":               {Shape: []int{1 << 10}, Data: append(make([]string, 1<<10-1), strings.Repeat("x", 1<<22))},
	} {
		require.ErrorContains(t, Write(io.Discard, a), text)
	}
	a := &Array{Shape: []int{2}, Data: []float32{1, 2}}
	for n := range int64(2) {
		require.ErrorIs(t, Write(&failing{after: n}, a), io.ErrShortWrite)
	}
}

type failing struct{ after int64 }

func (f *failing) Write(p []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestArray_ConvertsElements(t *testing.T) {
	for _, data := range []any{
		[]float32{1, 2}, []float64{1, 2}, []int8{1, 2}, []int16{1, 2}, []int32{1, 2}, []int64{1, 2},
		[]uint8{1, 2}, []uint16{1, 2}, []uint32{1, 2}, []uint64{1, 2},
	} {
		a := &Array{Shape: []int{2}, Data: data}
		f, err := a.Float32s()
		require.NoError(t, err)
		require.Equal(t, []float32{1, 2}, f)
		n, err := a.Ints()
		switch data.(type) {
		case []float32, []float64:
			require.ErrorContains(t, err, "want integers")
		default:
			require.NoError(t, err)
			require.Equal(t, []int{1, 2}, n)
		}
	}
	_, err := (&Array{Shape: []int{1}, Data: []bool{true}}).Float32s()
	require.EqualError(t, err, "the array has elements of type bool, want numbers")
	_, err = (&Array{}).Ints()
	require.EqualError(t, err, "the array has elements of type none, want integers")
	_, err = (&Array{Shape: []int{2}, Data: []uint64{1, 1 << 63}}).Ints()
	require.ErrorContains(t, err, "element 1 is 9223372036854775808")
}

func FuzzRead(f *testing.F) {
	names, err := filepath.Glob("testdata/*.npy")
	require.NoError(f, err)
	for _, name := range names {
		content, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		a, err := ReadFile(fstest.MapFS{"a": {Data: content}}, "a", MaxElements)
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		require.NoError(t, Write(&first, a))
		b, err := Read(bytes.NewReader(first.Bytes()))
		require.NoError(t, err)
		require.Equal(t, a.Shape, b.Shape)
		// NaN is not equal to itself, so compare the bytes.
		require.NoError(t, Write(&second, b))
		require.Equal(t, first.Bytes(), second.Bytes())
	})
}

func BenchmarkRead(b *testing.B) {
	var file bytes.Buffer
	require.NoError(b, Write(&file, &Array{Shape: []int{1024, 1024}, Data: make([]float32, 1<<20)}))
	for name, content := range map[string][]byte{
		"f4":     file.Bytes(),
		"f4 big": bytes.Replace(file.Bytes(), []byte("<f4"), []byte(">f4"), 1),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(4 << 20)
			for b.Loop() {
				if _, err := Read(bytes.NewReader(content)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("copy", func(b *testing.B) {
		b.SetBytes(4 << 20)
		for b.Loop() {
			bytes.Clone(file.Bytes())
		}
	})
}
