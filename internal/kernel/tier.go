package kernel

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

// Tier is an instruction set for which the inner loops are written.
type Tier int

// The tiers. Those of one architecture are in ascending order of speed.
const (
	Portable Tier = iota // Go, for every processor
	AVX2                 // amd64 with AVX2, FMA and POPCNT; for integers AVX-VNNI too, where it exists
	AVX512               // amd64 with AVX-512 F, VL and DQ; for integers VNNI too, where it exists
	NEON                 // arm64; for integers the dot product too, where it exists
)

var tierNames = []string{"portable", "avx2", "avx512", "neon"}

func (t Tier) String() string { return tierNames[t] }

// TierVariable is the environment variable that selects a tier by its name, for
// benchmarks and tests. If it is not set or empty, the fastest tier is used.
const TierVariable = "SBS_KERNEL"

// Check returns an error if the environment variable TierVariable has a value that
// is not the name of one of Tiers. Programs should call it before they create
// layers: without Check, the fastest tier is used instead.
func Check() error {
	_, err := selected()
	return err
}

// selected returns the tier that the environment selects. The environment is read
// when a tier is first needed.
var selected = sync.OnceValues(func() (Tier, error) { return selectTier(os.Getenv(TierVariable), Tiers()) })

// selectTier returns the tier of the given name, or the last tier and, unless the
// name is empty, an error.
func selectTier(name string, tiers []Tier) (Tier, error) {
	fastest := tiers[len(tiers)-1]
	if name == "" {
		return fastest, nil
	}
	names := make([]string, len(tiers))
	for i, t := range tiers {
		if names[i] = t.String(); names[i] == name {
			return t, nil
		}
	}
	return fastest, fmt.Errorf("environment variable %s is %q, which is not available in this program on this machine: unset it, or choose one of %s",
		TierVariable, name, strings.Join(names, ", "))
}

// forced is the tier that Use has set.
var forced *Tier

// active returns the tier for new layers and products.
func active() Tier {
	if forced != nil {
		return *forced
	}
	t, _ := selected()
	return t
}

// Use makes new layers and products use tier t until undo is called. It is for
// tests and not safe for concurrent use. It panics if the machine or the build
// does not have the tier.
func Use(t Tier) (undo func()) {
	if !slices.Contains(Tiers(), t) {
		panic(fmt.Sprintf("kernel: tier %v is not available", t))
	}
	before := forced
	forced = &t
	return func() { forced = before }
}
