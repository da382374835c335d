package kernel

import (
	"fmt"
	"os"
	"slices"
)

// Tier is a set of instructions that the inner loops are written for.
type Tier int

// The tiers, from the slowest.
const (
	Portable Tier = iota // Go
	AVX2                 // amd64 with AVX2, FMA and POPCNT
	AVX512               // amd64 with AVX-512 F, VL and DQ
)

var tierNames = []string{"portable", "avx2", "avx512"}

func (t Tier) String() string { return tierNames[t] }

// TierVariable is the environment variable that names the tier to use, for
// benchmarks. A tier that the machine does not have, or a name that is none, is
// passed over.
const TierVariable = "SBS_KERNEL"

var active = chosen(os.Getenv(TierVariable))

// Use makes new layers use a tier, and returns what undoes it. It is for tests
// and not safe for concurrent use.
func Use(t Tier) (undo func()) {
	if !slices.Contains(Tiers(), t) {
		panic(fmt.Sprintf("kernel: this machine has no %v", t))
	}
	before := active
	active = t
	return func() { active = before }
}

func chosen(name string) Tier {
	tiers := Tiers()
	for _, t := range tiers {
		if t.String() == name {
			return t
		}
	}
	return tiers[len(tiers)-1]
}

// Check is replaced by another branch.
func Check() error { return nil }
