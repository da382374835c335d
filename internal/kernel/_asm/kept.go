package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// updateKept is updateFused with h in registers. The products h*w of a spike are in
// memory until its c is known.
func updateKept(vectors, positions int, k kind) {
	name := fmt.Sprintf("update%s%dAVX512", k, 16*vectors)
	TEXT(name, 0, signatures[k])
	Doc(updateDoc(name, positions, 16*vectors, k)...)
	Pragma("noescape")
	f := newFused(k, vectors, positions, 64)
	f.x, f.temps = 7, [...]int{1, 2, 3, 4, 5}
	h := func(i, v int) reg.VecPhysical { return allZ[8+i*vectors+v] }
	products := GP64()
	LEAQ(AllocLocal(64*vectors*positions+64), products)
	ADDQ(U8(63), products)
	ANDQ(I8(-64), products)
	product := func(i, v int) Mem { return Mem{Base: products, Disp: 64 * (i*vectors + v)} }
	for i := range positions {
		for v := range vectors {
			VMOVUPS(Mem{Base: f.h, Disp: 64 * (i*vectors + v)}, h(i, v))
			VMOVUPS(h(i, v), product(i, v)) // c is 0 before the first spike, so any finite number does
		}
	}
	grow := func(i int) {
		for v := range vectors {
			// Two embedded broadcasts are faster than one broadcast to a register.
			p := allZ[5+v%2]
			VMOVUPS(product(i, v), p)
			VFMADD231PS_BCST(f.c.Offset(4*i), p, h(i, v))
			if k == forgetting {
				VADDPS_BCST(f.add.Offset(4*i), h(i, v), h(i, v))
			}
		}
	}
	Label("spike")
	for i := range positions {
		MOVL(Mem{Base: f.offsets, Index: f.t, Scale: 4, Disp: 4 * chunk * i}, f.next.As32())
		grow(i)
		sum := allZ[i%4]
		for v := range vectors {
			result := sum
			if v > 0 {
				result = allZ[4]
			}
			VMULPS(Mem{Base: f.weights, Index: f.next, Scale: 1, Disp: 64 * v}, h(i, v), result)
			VMOVUPS(result, product(i, v))
			if v > 0 {
				VADDPS(result, sum, sum)
			}
		}
		if i%4 == 3 {
			f.quotients(i/4, 0)
		}
	}
	INCQ(f.t)
	CMPQ(f.t, f.n)
	JL(LabelRef("spike"))
	for i := range positions {
		grow(i)
	}
	if k == fast {
		VBROADCASTSS(address("factor"), allZ[0])
	}
	for i := range positions {
		for v := range vectors {
			if k == fast {
				VMULPS(allZ[0], h(i, v), h(i, v))
			}
			VMOVUPS(h(i, v), Mem{Base: f.h, Disp: 64 * (i*vectors + v)})
		}
	}
	VZEROUPPER()
	RET()
}
