// Package kernel holds the inner loops of the SbS operator: drawing spikes
// from a distribution and updating the neurons of one output position spike by
// spike. The portable Go here says what they compute, bit for bit; faster
// versions are tested against it.
package kernel
