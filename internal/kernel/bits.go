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

// The following operations process eight bytes at a time.

// And computes out[i] = a[i] && b[i]. All slices have the same length.
func And(out, a, b []bool) {
	o, x, y := boolBytes(out), boolBytes(a[:len(out)]), boolBytes(b[:len(out)])
	order, i := binary.LittleEndian, 0
	for ; i+32 <= len(o); i += 32 {
		to, p, q := o[i:i+32:i+32], x[i:i+32:i+32], y[i:i+32:i+32]
		order.PutUint64(to, order.Uint64(p)&order.Uint64(q))
		order.PutUint64(to[8:], order.Uint64(p[8:])&order.Uint64(q[8:]))
		order.PutUint64(to[16:], order.Uint64(p[16:])&order.Uint64(q[16:]))
		order.PutUint64(to[24:], order.Uint64(p[24:])&order.Uint64(q[24:]))
	}
	for ; i < len(o); i++ {
		o[i] = x[i] & y[i]
	}
}

// Or computes out[i] = a[i] || b[i]. All slices have the same length.
func Or(out, a, b []bool) {
	o, x, y := boolBytes(out), boolBytes(a[:len(out)]), boolBytes(b[:len(out)])
	order, i := binary.LittleEndian, 0
	for ; i+32 <= len(o); i += 32 {
		to, p, q := o[i:i+32:i+32], x[i:i+32:i+32], y[i:i+32:i+32]
		order.PutUint64(to, order.Uint64(p)|order.Uint64(q))
		order.PutUint64(to[8:], order.Uint64(p[8:])|order.Uint64(q[8:]))
		order.PutUint64(to[16:], order.Uint64(p[16:])|order.Uint64(q[16:]))
		order.PutUint64(to[24:], order.Uint64(p[24:])|order.Uint64(q[24:]))
	}
	for ; i < len(o); i++ {
		o[i] = x[i] | y[i]
	}
}

// Xor computes out[i] = a[i] != b[i]. All slices have the same length.
func Xor(out, a, b []bool) {
	o, x, y := boolBytes(out), boolBytes(a[:len(out)]), boolBytes(b[:len(out)])
	order, i := binary.LittleEndian, 0
	for ; i+32 <= len(o); i += 32 {
		to, p, q := o[i:i+32:i+32], x[i:i+32:i+32], y[i:i+32:i+32]
		order.PutUint64(to, order.Uint64(p)^order.Uint64(q))
		order.PutUint64(to[8:], order.Uint64(p[8:])^order.Uint64(q[8:]))
		order.PutUint64(to[16:], order.Uint64(p[16:])^order.Uint64(q[16:]))
		order.PutUint64(to[24:], order.Uint64(p[24:])^order.Uint64(q[24:]))
	}
	for ; i < len(o); i++ {
		o[i] = x[i] ^ y[i]
	}
}

// Not computes out[i] = !a[i]. All slices have the same length.
func Not(out, a []bool) {
	o, x := boolBytes(out), boolBytes(a[:len(out)])
	order, i := binary.LittleEndian, 0
	for ; i+32 <= len(o); i += 32 {
		to, p := o[i:i+32:i+32], x[i:i+32:i+32]
		order.PutUint64(to, order.Uint64(p)^0x0101010101010101)
		order.PutUint64(to[8:], order.Uint64(p[8:])^0x0101010101010101)
		order.PutUint64(to[16:], order.Uint64(p[16:])^0x0101010101010101)
		order.PutUint64(to[24:], order.Uint64(p[24:])^0x0101010101010101)
	}
	for ; i < len(o); i++ {
		o[i] = x[i] ^ 1
	}
}
