//go:build !purego

package kernel

// Tiers returns the tiers that the machine and the build have, in ascending order of
// speed.
func Tiers() []Tier { return []Tier{Portable, NEON} }

// wholeVectors returns how many of n numbers the assembly computes: a multiple of step, or none on
// the portable tier.
func wholeVectors(n, step int) int {
	if active() == Portable {
		return 0
	}
	return n / step * step
}
