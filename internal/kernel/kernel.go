// Package kernel implements the inner loops of the SbS operator and of the
// standard operators that take the most time: matrix products and convolutions
// (Gemm, Filters.Convolve), Relu and MaxPool2.
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
// A spike with q <= 1e-10 is skipped. Without epsilon_xy its factor is 1. The
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
// A Tier is an implementation for one instruction set. All tiers draw the same
// spikes, and their h agree within 1e-5. They are tested against a simple
// implementation of the formulas above.
package kernel
