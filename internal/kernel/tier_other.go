//go:build !amd64 || purego

package kernel

// Tiers returns the tiers that this machine has, from the slowest.
func Tiers() []Tier { return []Tier{Portable} }

func assembly(Tier, int) (updater, bool) { return updater{}, false }

func tilingOf(Tier) *tiling { return &portableTiling }

func reluVectors([]float32, []float32) int { return 0 }

func maxPoolVectors([]float32, []float32, int, int, int) bool { return false }
