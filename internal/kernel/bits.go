package kernel

import (
	"bytes"
	"encoding/binary"
	"unsafe"
)

// SameBits reports whether two slices hold the same numbers, bit for bit. It is several
// times faster than slices.Equal.
func SameBits(a, b []float32) bool { return bytes.Equal(asBytes(a), asBytes(b)) }

func asBytes(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v))
}

// Bools returns v as Bytes, without copying it: 0 for false and 1 for true.
func Bools(v []bool) Bytes { return Bytes{data: boolBytes(v)} }

func boolBytes(v []bool) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

// And computes out[i] = a[i] && b[i]. All slices have the same length.
func And(out, a, b []bool) {
	o, x, y := boolBytes(out), boolBytes(a[:len(out)]), boolBytes(b[:len(out)])
	for ; len(o) >= 8; o, x, y = o[8:], x[8:], y[8:] {
		binary.LittleEndian.PutUint64(o, binary.LittleEndian.Uint64(x)&binary.LittleEndian.Uint64(y))
	}
	for i := range o {
		o[i] = x[i] & y[i]
	}
}

// Or computes out[i] = a[i] || b[i]. All slices have the same length.
func Or(out, a, b []bool) {
	o, x, y := boolBytes(out), boolBytes(a[:len(out)]), boolBytes(b[:len(out)])
	for ; len(o) >= 8; o, x, y = o[8:], x[8:], y[8:] {
		binary.LittleEndian.PutUint64(o, binary.LittleEndian.Uint64(x)|binary.LittleEndian.Uint64(y))
	}
	for i := range o {
		o[i] = x[i] | y[i]
	}
}

// Xor computes out[i] = a[i] != b[i]. All slices have the same length.
func Xor(out, a, b []bool) {
	o, x, y := boolBytes(out), boolBytes(a[:len(out)]), boolBytes(b[:len(out)])
	for ; len(o) >= 8; o, x, y = o[8:], x[8:], y[8:] {
		binary.LittleEndian.PutUint64(o, binary.LittleEndian.Uint64(x)^binary.LittleEndian.Uint64(y))
	}
	for i := range o {
		o[i] = x[i] ^ y[i]
	}
}

// Not computes out[i] = !a[i]. Both slices have the same length.
func Not(out, a []bool) {
	const ones = 0x0101010101010101
	o, x := boolBytes(out), boolBytes(a[:len(out)])
	for ; len(o) >= 8; o, x = o[8:], x[8:] {
		binary.LittleEndian.PutUint64(o, binary.LittleEndian.Uint64(x)^ones)
	}
	for i := range o {
		o[i] = x[i] ^ 1
	}
}
