//go:build amd64 && !purego

package kernel

import "golang.org/x/sys/cpu"

// Tiers returns the tiers that the machine and the build have, in ascending order of
// speed.
func Tiers() []Tier {
	tiers := []Tier{Portable}
	if !cpu.X86.HasAVX2 || !cpu.X86.HasFMA || !cpu.X86.HasPOPCNT {
		return tiers
	}
	tiers = append(tiers, AVX2)
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ {
		tiers = append(tiers, AVX512)
	}
	return tiers
}
