// Package kernel holds the inner loops of the SbS operator: drawing spikes
// from a distribution and updating the neurons of one output position spike by
// spike. The portable Go here says what they compute; faster versions are tested
// against it: the same spikes, and h within 1e-5. It also holds what the standard
// operators spend their time in: products of matrices (Gemm, Filters.Convolve), Relu
// and MaxPool2.
package kernel
