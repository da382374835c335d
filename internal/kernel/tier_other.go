//go:build !amd64 || purego

package kernel

// Tiers returns the tiers that this machine has, from the slowest.
func Tiers() []Tier { return []Tier{Portable} }

func updaterFor(_ Tier, _, _ int, forgetting bool) updater { return portable(forgetting) }
