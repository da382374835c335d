package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// maxVectors is the largest number of vectors of 16 neurons whose update keeps
// h in registers.
const maxVectors = 6

// chunk is the number of spikes of one position that lie behind each other.
const chunk = 160

// kind is a variant of the update.
type kind int

const (
	fast       kind = iota // the same numerators for all positions, no check of q
	general                // epsilon of each position, q checked
	forgetting             // the same, with forgetting
)

func (k kind) String() string { return [...]string{"Fast", "General", "Forgetting"}[k] }

// groups holds the number of positions that are updated in turns, by the number
// of vectors: as many as registers allow, since each waits for its own sums and
// division.
var groups = [maxVectors + 1]int{1: 24, 2: 12, 3: 6, 4: 6, 5: 4, 6: 4}

// update is the state of one generated function.
type update struct {
	vectors, positions int
	kind               kind
	free               []reg.VecPhysical // registers that hold no h

	weights, offsets, eps, scales reg.GPVirtual
	rows                          [2]reg.GPVirtual
	pair                          Mem // c of a pair of positions
	add                           Mem // what forgetting adds to each
	growth, share                 Mem
}

var allZ = []reg.VecPhysical{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10,
	reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21,
	reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}

// updateAVX512 applies spikes to a group of positions.
func updateAVX512(vectors int, k kind) {
	u := update{vectors: vectors, positions: groups[vectors], kind: k}
	name := fmt.Sprintf("update%s%dAVX512", k, 16*vectors)
	signature := "func(h, weights *float32, offsets *uint32, num *float32, n int, factor float32)"
	if k != fast {
		signature = "func(h, weights *float32, offsets *uint32, eps, scales *float32, n int, growth, share float32)"
	}
	TEXT(name, NOSPLIT, signature)
	doc := fmt.Sprintf("%s applies n spikes to each of %d positions of %d neurons", name, u.positions, 16*vectors)
	if k == fast {
		doc += " and multiplies h by a factor"
	}
	Doc(doc + ".")
	Pragma("noescape")
	u.free = append(u.free, allZ[vectors*u.positions:]...)
	h := Load(Param("h"), GP64()).(reg.GPVirtual)
	u.weights = Load(Param("weights"), GP64()).(reg.GPVirtual)
	u.offsets = Load(Param("offsets"), GP64()).(reg.GPVirtual)
	u.rows = [2]reg.GPVirtual{GP64(), GP64()}
	if !u.broadcasts() {
		u.pair = AllocLocal(16)
	}
	if k == forgetting {
		u.add = AllocLocal(16)
	}
	n := Load(Param("n"), GP64())
	if k == fast {
		u.eps = Load(Param("num"), GP64()).(reg.GPVirtual)
	} else {
		u.eps = Load(Param("eps"), GP64()).(reg.GPVirtual)
		u.scales = Load(Param("scales"), GP64()).(reg.GPVirtual)
		u.growth, u.share = address("growth"), address("share")
	}
	for i := range vectors * u.positions {
		VMOVUPS(Mem{Base: h, Disp: 64 * i}, allZ[i])
	}
	t := GP64()
	XORQ(t, t)
	Label("spike")
	for a := 0; a < u.positions; a += 2 {
		u.two(a, t)
	}
	INCQ(t)
	CMPQ(t, n)
	JL(LabelRef("spike"))
	factor := u.free[0]
	if k == fast {
		VBROADCASTSS(address("factor"), factor)
	}
	for i := range vectors * u.positions {
		if k == fast {
			VMULPS(factor, allZ[i], allZ[i])
		}
		VMOVUPS(allZ[i], Mem{Base: h, Disp: 64 * i})
	}
	VZEROUPPER()
	RET()
}

func (u *update) h(position, vector int) reg.VecPhysical { return allZ[position*u.vectors+vector] }

func (u *update) row(i, vector int) Mem {
	return Mem{Base: u.weights, Index: u.rows[i], Scale: 1, Disp: 64 * vector}
}

// broadcasts reports whether c goes to whole registers rather than through
// memory: with many vectors it pays.
func (u *update) broadcasts() bool { return u.vectors >= 3 }

// keepsProducts reports whether there are registers for the products h*w of two
// positions. Otherwise c*w is formed anew.
func (u *update) keepsProducts() bool { return u.vectors <= 3 }

// two applies spike t to positions a and a+1.
func (u *update) two(a int, t reg.GPVirtual) {
	free := u.free
	take := func() reg.VecPhysical { r := free[0]; free = free[1:]; return r }
	var sum [2]reg.VecPhysical
	var products [2][]reg.VecPhysical
	for i := range 2 {
		MOVL(Mem{Base: u.offsets, Index: t, Scale: 4, Disp: 4 * chunk * (a + i)}, u.rows[i].As32())
		if u.keepsProducts() {
			for v := range u.vectors {
				p := take()
				VMULPS(u.row(i, v), u.h(a+i, v), p)
				products[i] = append(products[i], p)
			}
			sum[i] = products[i][0]
			if u.vectors > 1 {
				sum[i] = take()
				VADDPS(products[i][0], products[i][1], sum[i])
			}
			for _, p := range products[i][min(2, u.vectors):] {
				VADDPS(p, sum[i], sum[i])
			}
			continue
		}
		sum[i] = take()
		other := take()
		VMULPS(u.row(i, 0), u.h(a+i, 0), sum[i])
		VMULPS(u.row(i, 1), u.h(a+i, 1), other)
		for v := 2; v < u.vectors; v++ {
			VFMADD231PS(u.row(i, v), u.h(a+i, v), [2]reg.VecPhysical{sum[i], other}[v%2])
		}
		VADDPS(other, sum[i], sum[i])
	}
	x, y := take(), take()
	spare := sum
	if u.vectors == 1 { // the sum is the product, which is needed again
		spare = [2]reg.VecPhysical{take(), take()}
	}
	u.reduce(sum, x, y, spare[0])
	if u.kind == fast {
		num := y.AsX()
		VBROADCASTSS(Mem{Base: u.eps, Index: t, Scale: 4}, num)
		VDIVPS(x.AsX(), num, x.AsX())
	} else {
		u.numerators(a, t, x.AsX(), y.AsX(), spare[0].AsX(), spare[1].AsX())
	}
	if !u.broadcasts() {
		VMOVUPS(x.AsX(), u.pair)
	} else {
		VBROADCASTSS(x.AsX(), spare[0])
		VMOVSHDUP(x.AsX(), x.AsX())
		VBROADCASTSS(x.AsX(), spare[1])
	}
	for i := range 2 {
		for v := range u.vectors {
			h := u.h(a+i, v)
			switch {
			case !u.broadcasts():
				VFMADD231PS_BCST(u.pair.Offset(4*i), products[i][v], h)
			case u.keepsProducts():
				VFMADD231PS(spare[i], products[i][v], h)
			default:
				w := [2]reg.VecPhysical{x, y}[v%2]
				VMULPS(u.row(i, v), spare[i], w)
				VFMADD231PS(h, w, h)
			}
			if u.kind == forgetting {
				VADDPS_BCST(u.add.Offset(4*i), h, h)
			}
		}
	}
}

// reduce leaves the sums of the entries of two vectors, q of the first and the
// second position in turn, in the four lanes of x. It overwrites y and z.
func (u *update) reduce(sum [2]reg.VecPhysical, x, y, z reg.VecPhysical) {
	VEXTRACTF64X4(U8(1), sum[0], x.AsY())
	VADDPS(sum[0].AsY(), x.AsY(), x.AsY())
	VEXTRACTF64X4(U8(1), sum[1], y.AsY())
	VADDPS(sum[1].AsY(), y.AsY(), y.AsY())
	VUNPCKLPS(y.AsY(), x.AsY(), z.AsY())
	VUNPCKHPS(y.AsY(), x.AsY(), x.AsY())
	VADDPS(z.AsY(), x.AsY(), x.AsY())
	VEXTRACTF32X4(U8(1), x.AsY(), y.AsX())
	VADDPS(x.AsX(), y.AsX(), x.AsX())
	VPERMILPS(U8(0x4e), x.AsX(), y.AsX())
	VADDPS(x.AsX(), y.AsX(), x.AsX())
}

// numerators turns q, the sums of two positions, into their c, 0 where a spike
// is skipped, and brings their scales up to date.
func (u *update) numerators(a int, t reg.GPVirtual, q, e, s, num reg.Register) {
	VMOVSS(Mem{Base: u.eps, Index: t, Scale: 4, Disp: 4 * chunk * a}, e)
	VINSERTPS(U8(0x10), Mem{Base: u.eps, Index: t, Scale: 4, Disp: 4 * chunk * (a + 1)}, e, e)
	VMOVSD(Mem{Base: u.scales, Disp: 4 * a}, s)
	counts := K()
	VMULPS_BCST(minOverlap(), s, num)
	VCMPPS(U8(0x1e), num, q, counts) // q > num
	VMULPS(e, s, num)
	VDIVPS_Z(q, num, counts, q)
	if u.kind == forgetting {
		VMULPS_BCST_Z(u.share, num, counts, num)
		VMOVUPS(num, u.add)
	}
	VMULPS_BCST(u.growth, e, e)
	VADDPS_BCST(ones(), e, e)
	VMULPS(e, s, counts, s)
	VMOVSD(s, Mem{Base: u.scales, Disp: 4 * a})
}

// address returns where a parameter is.
func address(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// constant returns a read-only float32.
func constant(name string, v float32) Mem {
	return data(name, func() Mem { return longs(name, math.Float32bits(v)) })
}

func minOverlap() Mem { return constant("minOverlap", 1e-10) }
func ones() Mem       { return constant("one", 1) }
