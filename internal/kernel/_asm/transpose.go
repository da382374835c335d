package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rowOfFour returns a place in row i of four, disp bytes after its beginning. three is the triple of the stride.
func rowOfFour(base, stride, three reg.Register, i, disp int) Mem {
	switch i {
	case 0:
		return Mem{Base: base, Disp: disp}
	case 3:
		return Mem{Base: base, Index: three, Scale: 1, Disp: disp}
	}
	return Mem{Base: base, Index: stride, Scale: uint8(i), Disp: disp}
}

// transposeAVX transposes a matrix in blocks of 4 x 4.
func transposeAVX() {
	TEXT("transposeAVX", NOSPLIT, "func(dst *float32, dstStride int, src *float32, srcStride, rows, cols int)")
	Doc("transposeAVX copies element (i, j) of src to element (j, i) of dst. rows and cols are",
		"positive multiples of 4. The strides are in bytes.")
	Pragma("noescape")
	dst, dstStride := Load(Param("dst"), GP64()), Load(Param("dstStride"), GP64())
	src, srcStride := Load(Param("src"), GP64()), Load(Param("srcStride"), GP64())
	rows, cols := Load(Param("rows"), GP64()), Load(Param("cols"), GP64())
	dst3, src3 := GP64(), GP64() // three strides
	LEAQ(Mem{Base: dstStride, Index: dstStride, Scale: 2}, dst3)
	LEAQ(Mem{Base: srcStride, Index: srcStride, Scale: 2}, src3)
	to, from, left := GP64(), GP64(), GP64()
	Label("rows")
	MOVQ(dst, to)
	MOVQ(src, from)
	MOVQ(cols, left)
	Label("cols")
	var x, y [4]reg.VecVirtual
	for i := range x {
		x[i], y[i] = XMM(), XMM()
		VMOVUPS(rowOfFour(from, srcStride, src3, i, 0), x[i])
	}
	VUNPCKLPS(x[1], x[0], y[0])
	VUNPCKHPS(x[1], x[0], y[1])
	VUNPCKLPS(x[3], x[2], y[2])
	VUNPCKHPS(x[3], x[2], y[3])
	VMOVLHPS(y[2], y[0], x[0])
	VMOVHLPS(y[0], y[2], x[1])
	VMOVLHPS(y[3], y[1], x[2])
	VMOVHLPS(y[1], y[3], x[3])
	for i := range x {
		VMOVUPS(x[i], rowOfFour(to, dstStride, dst3, i, 0))
	}
	LEAQ(Mem{Base: to, Index: dstStride, Scale: 4}, to)
	ADDQ(U8(16), from)
	SUBQ(U8(4), left)
	JNE(LabelRef("cols"))
	ADDQ(U8(16), dst)
	LEAQ(Mem{Base: src, Index: srcStride, Scale: 4}, src)
	SUBQ(U8(4), rows)
	JNE(LabelRef("rows"))
	RET()
}

// transpose transposes a matrix in blocks with as many rows and columns as a vector has lanes.
func (l lanes) transpose() {
	name := "transpose" + l.suffix()
	TEXT(name, NOSPLIT, "func(dst *float32, dstStride int, src *float32, srcStride, rows, cols int)")
	Doc(name+" copies element (i, j) of src to element (j, i) of dst. rows and cols are positive",
		"multiples of the number of lanes of a vector. The strides are in bytes.")
	Pragma("noescape")
	dst, dstStride := Load(Param("dst"), GP64()), Load(Param("dstStride"), GP64())
	src, srcStride := Load(Param("src"), GP64()), Load(Param("srcStride"), GP64())
	rows, cols := Load(Param("rows"), GP64()), Load(Param("cols"), GP64())
	dst3, src3 := GP64(), GP64() // three strides
	LEAQ(Mem{Base: dstStride, Index: dstStride, Scale: 2}, dst3)
	LEAQ(Mem{Base: srcStride, Index: srcStride, Scale: 2}, src3)
	to, left := GP64(), GP64()
	from := make([]reg.GPVirtual, int(l)/4) // every fourth row
	for i := range from {
		from[i] = GP64()
	}
	Label("rows")
	MOVQ(dst, to)
	MOVQ(cols, left)
	MOVQ(src, from[0])
	for i := range from[1:] {
		LEAQ(Mem{Base: from[i], Index: srcStride, Scale: 4}, from[i+1])
	}
	Label("cols")
	for group := range from { // of four columns
		var x, y [4]reg.VecVirtual
		for i := range x {
			// Part p of the vector holds four elements of row 4*p+i.
			x[i], y[i] = l.new(), l.new()
			VMOVUPS(rowOfFour(from[0], srcStride, src3, i, 16*group), x[i].AsX())
			for p := 1; p < len(from); p++ {
				at := rowOfFour(from[p], srcStride, src3, i, 16*group)
				if l == 16 {
					VINSERTF32X4(U8(p), at, x[i], x[i])
				} else {
					VINSERTF128(U8(p), at, x[i], x[i])
				}
			}
		}
		VUNPCKLPS(x[1], x[0], y[0])
		VUNPCKHPS(x[1], x[0], y[1])
		VUNPCKLPS(x[3], x[2], y[2])
		VUNPCKHPS(x[3], x[2], y[3])
		VUNPCKLPD(y[2], y[0], x[0])
		VUNPCKHPD(y[2], y[0], x[1])
		VUNPCKLPD(y[3], y[1], x[2])
		VUNPCKHPD(y[3], y[1], x[3])
		for i := range x {
			VMOVUPS(x[i], rowOfFour(to, dstStride, dst3, i, 0))
		}
		LEAQ(Mem{Base: to, Index: dstStride, Scale: 4}, to)
	}
	for i := range from {
		ADDQ(Imm(uint64(4*l)), from[i])
	}
	SUBQ(Imm(uint64(l)), left)
	JNE(LabelRef("cols"))
	ADDQ(Imm(uint64(4*l)), dst)
	LEAQ(Mem{Base: from[len(from)-1], Index: srcStride, Scale: 4}, src)
	SHLQ(U8(2), cols) // the width of the rows in bytes
	SUBQ(cols, src)
	SHRQ(U8(2), cols)
	SUBQ(Imm(uint64(l)), rows)
	JNE(LabelRef("rows"))
	VZEROUPPER()
	RET()
}
