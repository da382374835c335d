package npy

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWriteArchive_WritesWhatNumPyReads compares with a file of numpy.savez, whose headers of
// the ZIP format differ.
func TestWriteArchive_WritesWhatNumPyReads(t *testing.T) {
	file, err := os.ReadFile("testdata/arrays.npz")
	require.NoError(t, err)
	theirs, err := OpenArchive(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	names := []string{"a/b", "text", "half"}
	require.Equal(t, names, theirs.Names())
	all := func(Header) error { return nil }
	var arrays []*Array
	for _, name := range names {
		a, err := theirs.Read(name, all)
		require.NoError(t, err)
		arrays = append(arrays, a)
	}
	require.Equal(t, texts, arrays[1].Data)

	var b bytes.Buffer
	require.NoError(t, WriteArchive(&b, names, arrays))
	ours, err := OpenArchive(bytes.NewReader(b.Bytes()), int64(b.Len()))
	require.NoError(t, err)
	require.Equal(t, names, ours.Names())
	for i, name := range names {
		a, err := ours.Read(name, all)
		require.NoError(t, err)
		require.Equal(t, arrays[i], a)
	}
	require.ErrorContains(t, WriteArchive(&b, []string{"a", "a"}, []*Array{arrays[0], arrays[0]}), `two arrays are named "a"`)
}

func TestWrite_WritesHalves(t *testing.T) {
	file, err := os.ReadFile("testdata/f2.npy")
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, Write(&b, &Array{Shape: []int{2, 3}, Data: []Half{0, 0x8000, 0x3e00, 0xc080, 0x7c00, 0x03ef}}))
	require.Equal(t, string(file), b.String())
}

func TestRead_BoundsStrings(t *testing.T) {
	a, err := Read(strings.NewReader(file(1, "{'descr': '<U0', 'fortran_order': False, 'shape': (3,)}", "")))
	require.NoError(t, err)
	require.Equal(t, []string{"", "", ""}, a.Data)
	_, err = Read(strings.NewReader(file(1, "{'descr': '|S0', 'fortran_order': False, 'shape': (2147483647,)}", "")))
	require.ErrorContains(t, err, "2147483647 strings of length 0, at most 131072 are read")
	for _, c := range []string{"\x00\xd8\x00\x00", "\x00\x00\x11\x00"} { // a surrogate, and more than Unicode has
		_, err = Read(strings.NewReader(file(1, "{'descr': '<U1', 'fortran_order': False, 'shape': (2,)}", "a\x00\x00\x00"+c)))
		require.ErrorContains(t, err, "string 1 contains a number that is no Unicode code point")
	}
	n := allocated(func() {
		_, err = Read(strings.NewReader(file(1, "{'descr': '<U1000', 'fortran_order': False, 'shape': (2147483647,)}", "abcd")))
		require.ErrorContains(t, err, "the file ends after 0 of its 2147483647 elements")
	})
	require.Less(t, n, uint64(4<<20))
}
