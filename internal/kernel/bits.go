package kernel

import (
	"bytes"
	"unsafe"
)

// SameBits reports whether two slices hold the same numbers, bit for bit. It is several
// times faster than slices.Equal.
func SameBits(a, b []float32) bool { return bytes.Equal(asBytes(a), asBytes(b)) }

func asBytes(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}
