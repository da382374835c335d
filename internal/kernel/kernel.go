// Package kernel holds the inner loops of the SbS operator: drawing spikes
// from a distribution and updating the neurons of one output position spike by
// spike. The portable Go here says what they compute; faster versions are tested
// against it: the same spikes, and h within 1e-5. It also holds the product of
// matrices that the standard operators are made of: Gemm, and Filters.Convolve.
package kernel
