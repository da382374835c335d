// Package coefficients holds the numbers of functions.go in package kernel, which says what they are,
// for the generators of assembly.
package coefficients

// Numbers that are used alone.
const (
	Ln2High        = 0x1.62e43p-1
	Ln2Low         = -0x1.05c61p-29
	RootHalf       = 0x3f3504f3 // the bits of the float32
	RootMinus      = 0x1.a8279ap-2
	GeluTanhFactor = 0x1.988454p+0
)

// HalfPi is pi/2 in three parts.
var HalfPi = [3]float64{0x1.921fb4p+0, 0x1.4442dp-24, 0x1.846988p-48}

// The polynomials, with the constant coefficient first.
var (
	Sin  = []float64{1, -0x1.555546p-3, 0x1.110756p-7, -0x1.994b38p-13}
	Cos  = []float64{0x1.55554ap-5, -0x1.6c0c28p-10, 0x1.99e86ap-16}
	Exp  = []float64{0x1p-1, 0x1.55548ep-3, 0x1.55545ep-5, 0x1.123bdep-7, 0x1.6db4e8p-10}
	Log  = []float64{0x1.555554p-2, -0x1.00022ap-2, 0x1.99a016p-3, -0x1.547128p-3, 0x1.22d7fcp-3, -0x1.0d8eaep-3, 0x1.05702p-3, -0x1.38b636p-4}
	Erf  = []float64{0x1.20dd76p+0, 0x1.45f2fap-1, 0x1.a4fa5ep-4, -0x1.39cdbep-6, -0x1.5066bap-13, 0x1.b500f2p-10, -0x1.4bca4ap-11, 0x1.ed6c48p-14, -0x1.3695bap-17}
	Gelu = []float64{
		0x1.20dd82p+0, 0x1.45f14ap-1, 0x1.a53ceep-4, -0x1.3bea5ep-6, -0x1.beff74p-15, 0x1.b60d0ap-10, -0x1.71d62ap-11, 0x1.68f2e8p-13, -0x1.cb1376p-16,
		0x1.76aad2p-19, -0x1.64e242p-23, 0x1.2dbb0cp-28,
	}
)
