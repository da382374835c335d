package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// halfPixels returns the largest number of pixels of half a tile of windows. The sums of two
// halves leave registers for a row of filters and for a pixel.
func (t *tiling) halfPixels() int { return t.rows / 2 }

// windowTile computes the sums of 2*pixels windows with as many filters as fill some vectors.
// Each sum is one chain of fused multiply-adds, as in tile.
func (t *tiling) windowTile(pixels, vectors int) {
	name := fmt.Sprintf("windows%dx%d%s", pixels, vectors*t.lanes, t.suffix)
	TEXT(name, NOSPLIT, "func(k int, taps *int, x *float32, step, second int, w, start, out *float32, next int)")
	Doc(name+" computes the sums of two halves of "+fmt.Sprint(pixels)+" windows. Pixel t of window i of half h is",
		"x[taps[t]+i*step+h*second]. Its weights are one row of w, which has k rows. The sums begin with",
		"start. out receives a row of sums per window; the rows of the second half begin at out[next].")
	Pragma("noescape")
	k, taps := Load(Param("k"), GP64()), Load(Param("taps"), GP64())
	x, w := Load(Param("x"), GP64()), Load(Param("w"), GP64())
	step, second := Load(Param("step"), GP64()), Load(Param("second"), GP64())
	SHLQ(U8(2), step)
	SHLQ(U8(2), second)
	size := 4 * t.lanes
	sum := func(half, i, v int) reg.VecPhysical { return t.register((half*pixels+i)*vectors + v) }
	row := func(v int) reg.VecPhysical { return t.register(2*pixels*vectors + v) }
	entry := t.register(2*pixels*vectors + vectors)
	start := Load(Param("start"), GP64())
	for v := range vectors {
		VMOVUPS(Mem{Base: start, Disp: size * v}, sum(0, 0, v))
	}
	for i := 1; i < 2*pixels; i++ {
		for v := range vectors {
			VMOVAPS(sum(0, 0, v), sum(0, i, v))
		}
	}
	// Odd multiples of the distance between pixels; the others are multiples of these.
	odd := map[int]reg.Register{1: step}
	for i := 3; i < pixels; i += 2 {
		odd[i] = GP64()
		LEAQ(Mem{Base: odd[i-2], Index: step, Scale: 2}, odd[i])
	}
	place := func(base reg.Register, i int) Mem {
		if i == 0 {
			return Mem{Base: base}
		}
		scale := i & -i
		return Mem{Base: base, Index: odd[i/scale], Scale: uint8(scale)}
	}
	halves := [2]reg.GPVirtual{GP64(), GP64()}
	Label("tap")
	MOVQ(Mem{Base: taps}, halves[0])
	LEAQ(Mem{Base: x, Index: halves[0], Scale: 4}, halves[0])
	LEAQ(Mem{Base: halves[0], Index: second, Scale: 1}, halves[1])
	for v := range vectors {
		VMOVUPS(Mem{Base: w, Disp: size * v}, row(v))
	}
	for at := 0; at < size*vectors; at += 64 {
		PREFETCHT1(Mem{Base: w, Disp: ahead + at})
	}
	for h := range 2 {
		for i := range pixels {
			if t.lanes == 16 && vectors == 1 {
				VFMADD231PS_BCST(place(halves[h], i), row(0), sum(h, i, 0))
				continue
			}
			VBROADCASTSS(place(halves[h], i), entry)
			for v := range vectors {
				VFMADD231PS(entry, row(v), sum(h, i, v))
			}
		}
	}
	ADDQ(Imm(8), taps)
	ADDQ(I32(size*vectors), w)
	DECQ(k)
	JNZ(LabelRef("tap"))
	out, next := Load(Param("out"), GP64()), Load(Param("next"), GP64())
	for h := range 2 {
		if h == 1 {
			LEAQ(Mem{Base: out, Index: next, Scale: 4}, out)
		}
		for i := range pixels {
			for v := range vectors {
				VMOVUPS(sum(h, i, v), Mem{Base: out, Disp: size * (i*vectors + v)})
			}
		}
	}
	VZEROUPPER()
	RET()
}

// ahead is the distance in bytes at which tiles fetch weights into the second-level cache: those of
// large layers come from farther away.
const ahead = 8192

// tapsKind says how alongTaps combines the pixels of a window.
type tapsKind int

const (
	weighted tapsKind = iota
	maximum
)

// alongTaps computes windows of neighboring positions, whose pixels are neighbors, too.
func (t *tiling) alongTaps(kind tapsKind) {
	name := []string{"weightTaps", "maxTaps"}[kind] + t.suffix
	what := []string{
		"start plus w[0]*x[taps[0]+i], then plus w[1]*x[taps[1]+i] and so on, in fused multiply-adds",
		"the maximum of start and all x[taps[t]+i]; NaN counts as larger than all numbers",
	}[kind]
	TEXT(name, NOSPLIT, "func(k int, taps *int, w, x, out *float32, n int, start float32)")
	Doc(name+" sets out[i] for i < n to", what+".", "n is a multiple of the number of lanes of a vector.")
	Pragma("noescape")
	k, taps, x := Load(Param("k"), GP64()), Load(Param("taps"), GP64()), Load(Param("x"), GP64())
	out, n := Load(Param("out"), GP64()), Load(Param("n"), GP64())
	weights := GP64()
	if kind == weighted {
		Load(Param("w"), weights)
	}
	size := 4 * t.lanes
	first, entry, v := t.register(8), t.register(9), t.register(10)
	unordered := t.register(11)
	VBROADCASTSS(address("start"), first)
	tap, tapsLeft, w, at := GP64(), GP64(), GP64(), GP64()
	nan := K()
	for _, vectors := range []int{8, 4, 1} {
		label := fmt.Sprintf("by%d", vectors)
		Label(label)
		CMPQ(n, U32(uint32(vectors*t.lanes)))
		JL(LabelRef(fmt.Sprintf("end%d", vectors)))
		for i := range vectors {
			VMOVAPS(first, t.register(i))
		}
		MOVQ(k, tapsLeft)
		MOVQ(taps, tap)
		if kind == weighted {
			MOVQ(weights, w)
		}
		Label("tap" + label)
		MOVQ(Mem{Base: tap}, at)
		LEAQ(Mem{Base: x, Index: at, Scale: 4}, at)
		if kind == weighted {
			VBROADCASTSS(Mem{Base: w}, entry)
			ADDQ(Imm(4), w)
		}
		for i := range vectors {
			from, sum := Mem{Base: at, Disp: size * i}, t.register(i)
			switch kind {
			case weighted:
				VFMADD231PS(from, entry, sum)
			default: // if one operand is NaN or both are zeros, the maximum is the old one
				VMOVUPS(from, v)
				if t.lanes == 16 {
					VCMPPS(U8(3), v, v, nan)
					VMAXPS(sum, v, sum)
					VMOVAPS(v, nan, sum)
				} else {
					VCMPPS(U8(3), v, v, unordered)
					VMAXPS(sum, v, sum)
					VBLENDVPS(unordered, v, sum, sum)
				}
			}
		}
		ADDQ(Imm(8), tap)
		DECQ(tapsLeft)
		JNZ(LabelRef("tap" + label))
		for i := range vectors {
			VMOVUPS(t.register(i), Mem{Base: out, Disp: size * i})
		}
		ADDQ(I32(int32(size*vectors)), x)
		ADDQ(I32(int32(size*vectors)), out)
		SUBQ(I32(int32(vectors*t.lanes)), n)
		JMP(LabelRef(label))
		Label(fmt.Sprintf("end%d", vectors))
	}
	VZEROUPPER()
	RET()
}

// meanTaps is alongTaps for means, which are computed in float64.
func (t *tiling) meanTaps() {
	name := "meanTaps" + t.suffix
	TEXT(name, NOSPLIT, "func(k int, taps *int, x, out *float32, counts *float64, n int)")
	Doc(name+" sets out[i] to (x[taps[0]+i] + x[taps[1]+i] + ...) / counts[i] for i < n, computed in",
		"float64. n is a multiple of half the number of lanes of a vector.")
	Pragma("noescape")
	k, taps, x := Load(Param("k"), GP64()), Load(Param("taps"), GP64()), Load(Param("x"), GP64())
	out, counts, n := Load(Param("out"), GP64()), Load(Param("counts"), GP64()), Load(Param("n"), GP64())
	tap, tapsLeft, at := GP64(), GP64(), GP64()
	for _, vectors := range []int{4, 1} {
		label := fmt.Sprintf("by%d", vectors)
		Label(label)
		CMPQ(n, U32(uint32(vectors*t.lanes/2)))
		JL(LabelRef(fmt.Sprintf("end%d", vectors)))
		for i := range vectors {
			VPXOR(allY[i].AsX(), allY[i].AsX(), allY[i].AsX())
		}
		MOVQ(k, tapsLeft)
		MOVQ(taps, tap)
		Label("tap" + label)
		MOVQ(Mem{Base: tap}, at)
		LEAQ(Mem{Base: x, Index: at, Scale: 4}, at)
		for i := range vectors {
			VCVTPS2PD(Mem{Base: at, Disp: 2 * t.lanes * i}, t.register(4))
			VADDPD(t.register(4), t.register(i), t.register(i))
		}
		ADDQ(Imm(8), tap)
		DECQ(tapsLeft)
		JNZ(LabelRef("tap" + label))
		for i := range vectors {
			VDIVPD(Mem{Base: counts, Disp: 4 * t.lanes * i}, t.register(i), t.register(i))
			t.narrow(i)
			VMOVUPS(t.half(i), Mem{Base: out, Disp: 2 * t.lanes * i})
		}
		ADDQ(I32(int32(2*t.lanes*vectors)), x)
		ADDQ(I32(int32(2*t.lanes*vectors)), out)
		ADDQ(I32(int32(4*t.lanes*vectors)), counts)
		SUBQ(I32(int32(vectors*t.lanes/2)), n)
		JMP(LabelRef(label))
		Label(fmt.Sprintf("end%d", vectors))
	}
	VZEROUPPER()
	RET()
}

// half returns the lower half of a register.
func (t *tiling) half(i int) reg.Register {
	if t.lanes == 16 {
		return allY[i]
	}
	return allY[i].AsX()
}

// narrow converts the float64 numbers of a register to float32 in its lower half.
func (t *tiling) narrow(i int) {
	if t.lanes == 16 {
		VCVTPD2PS(t.register(i), t.half(i))
	} else {
		VCVTPD2PSY(t.register(i), t.half(i))
	}
}

// deal separates the numbers in even places from those in odd places.
func (t *tiling) deal() {
	name := "deal" + t.suffix
	TEXT(name, NOSPLIT, "func(even, odd, x *float32, n int)")
	Doc(name+" copies x[2*i] to even[i] and x[2*i+1] to odd[i] for i < n. n is a positive multiple of",
		"the number of lanes of a vector.")
	Pragma("noescape")
	evens, odds := Load(Param("even"), GP64()), Load(Param("odd"), GP64())
	x, n := Load(Param("x"), GP64()), Load(Param("n"), GP64())
	size := 4 * t.lanes
	a, b, c := t.register(0), t.register(1), t.register(2)
	even, odd := t.register(3), t.register(4)
	if t.lanes == 16 {
		VMOVUPS(numbers().Offset(128), even)
		VMOVUPS(numbers().Offset(256), odd)
	}
	Label("vector")
	VMOVUPS(Mem{Base: x}, a)
	VMOVUPS(Mem{Base: x, Disp: size}, b)
	if t.lanes == 16 {
		VMOVAPS(a, c)
		VPERMT2PS(b, even, c)
		VPERMT2PS(b, odd, a)
	} else {
		VSHUFPS(U8(0x88), b, a, c)
		VSHUFPS(U8(0xdd), b, a, a)
		VPERMPD(U8(0xd8), c, c)
		VPERMPD(U8(0xd8), a, a)
	}
	VMOVUPS(c, Mem{Base: evens})
	VMOVUPS(a, Mem{Base: odds})
	ADDQ(I32(int32(2*size)), x)
	ADDQ(I32(int32(size)), evens)
	ADDQ(I32(int32(size)), odds)
	SUBQ(I32(int32(t.lanes)), n)
	JNZ(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

// standardize shifts and scales numbers in float64.
func (t *tiling) standardize() {
	name := "standardize" + t.suffix
	TEXT(name, NOSPLIT, "func(v *float32, n int, mean, factor, bias float64)")
	Doc(name+" replaces v[i] by (v[i]-mean)*factor + bias, computed in float64, for i < n. n is a",
		"positive multiple of half the number of lanes of a vector.")
	Pragma("noescape")
	v, n := Load(Param("v"), GP64()), Load(Param("n"), GP64())
	mean, factor, bias, x := t.register(0), t.register(1), t.register(2), t.register(3)
	VBROADCASTSD(address("mean"), mean)
	VBROADCASTSD(address("factor"), factor)
	VBROADCASTSD(address("bias"), bias)
	Label("vector")
	VCVTPS2PD(Mem{Base: v}, x)
	VSUBPD(mean, x, x)
	VMULPD(factor, x, x)
	VADDPD(bias, x, x)
	t.narrow(3)
	VMOVUPS(t.half(3), Mem{Base: v})
	ADDQ(I32(int32(2*t.lanes)), v)
	SUBQ(I32(int32(t.lanes/2)), n)
	JNZ(LabelRef("vector"))
	VZEROUPPER()
	RET()
}
