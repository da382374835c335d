//go:build arm64 || loong64 || ppc64 || ppc64le || riscv64 || s390x

package portmath

// FMA returns x*y + z, rounded once. The values of x and y must not both be known to the
// compiler: on some architectures, it would round their product.
//
// On this architecture, the compiler uses one instruction for the product and the sum.
// The conversion keeps it from fusing the sum with a product that the caller passes as z.
func FMA(x, y, z float32) float32 {
	return x*y + float32(z)
}
