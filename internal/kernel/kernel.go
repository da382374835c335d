// Package kernel implements the inner loops of the SbS operator and of the
// standard operators that take the most time: matrix products and convolutions
// (Gemm, Filters.Convolve), also of integers of 8 bits (IntegerColumns, IntegerRows, Depthwise),
// Quantize, Requantize, Dequantize, Relu, MaxPool2 and MeanPool2, and functions of lists of float32
// (Map, Combine, Softmax, Total and others).
//
// # The SbS update
//
// An output position of a layer has N neurons h and receives S spikes. Each spike
// is the number k of one of the K entries of the position's patch of the input.
// At first every h[n] is 1/N. For spike k at time t, with row w = W[k] of the
// (K, N) matrix of weights,
//
//	e = epsilon_0 * epsilon_t[t] * epsilon_xy[k mod len(epsilon_xy)]
//	q = sum_n h[n]*w[n]
//	h <- (h + e*h*w/q + e*forgetting/N) / (1 + e*(1+forgetting))
//
// A spike with q <= 1e-10 is skipped. Without epsilon_xy its factor is 1. A position of a
// layer with Schedule.Partial may be given fewer than S spikes. The
// division by 1 + e*(1+forgetting) is postponed: h carries a common factor, which
// is divided out after the last spike, and earlier when it becomes large.
//
// # Spikes
//
// The spikes of a position depend only on its patch and its Key. CumulateAt and
// Thresholds turn the patch into a distribution, from which Sample and
// SampleLowDiscrepancy draw the spikes; Invert applies uniform numbers that a
// caller has chosen. These functions are the specification of the samplers. A
// Layer draws the same spikes with every Tier. The first n spikes of a position
// are the same for every number of spikes S >= n.
//
// # Tiers
//
// A Tier is an implementation for one instruction set. All tiers, on all architectures,
// give the same results, bit for bit. To this end the order of the operations is
// specified, and with it where they round.
//
// For spike k of a position, with row w = W[k], the product p[n] is h[n]*w[n], rounded.
// If q is large enough, the spike then sets h[n] to FMA(c, p[n], h[n]) with the numerator
// c = (e*s)/q, and with forgetting adds (e*s)*(forgetting/N), where s is the common
// factor. The factor becomes s*(1 + e*(1+forgetting)). e is the product of epsilon_0 and
// epsilon_t, times epsilon_xy. After every 160 spikes, and when s is above 1e10, h is
// multiplied by 1/s, and s becomes 1. Each operation rounds.
//
// q is the sum of 16 partial sums, or of 32 if there are more than 96 neurons. Partial
// sum i adds up h[n]*w[n] for n = i, i+16, ..., or n = i, i+32, ...: rounded products if
// there are at most 48 neurons, and otherwise by an FMA for each product. The halves of
// the 32 are added, element by element, and then the halves of the 16. The remaining
// a[0] to a[7] give
//
//	q = ((a[0]+a[2]) + (a[1]+a[3])) + ((a[4]+a[6]) + (a[5]+a[7]))
//
// Each entry of a product of matrices, or of a convolution, is a chain of FMAs in
// ascending order, beginning with the bias or the old entry.
//
// The functions of lists specify the order of their operations in their portable code: see
// mapPortable, gather and Total.
//
// Sums of products of integers wrap around at 32 bits, so that their order does not matter. With
// AVX-512 VNNI or AVX-VNNI, an instruction adds four products of an unsigned and a signed integer.
// The instruction for this in AVX2 saturates the sum of two products at 16 bits; the integers are
// extended to 16 bits instead. On arm64, the dot product instruction adds four products of signed
// integers; processors without it extend the integers to 16 bits, too.
//
// The code for the portable tier is the specification. It is tested against a simple
// implementation of the formulas above, and the assembly is tested against it, bit for
// bit.
package kernel
