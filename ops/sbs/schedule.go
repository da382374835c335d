package sbs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Sampler says how the spikes of an output position are drawn. Its value is that
// of the attribute.
type Sampler string

// The samplers.
const (
	// IID draws independent uniform numbers, as the original does.
	IID Sampler = "iid"

	// LowDiscrepancy takes u[t] = frac(u[0] + t/golden ratio) with a random u[0]
	// for each position. Any number of consecutive u is spread evenly, so that
	// far fewer spikes give the same accuracy. In integers: steps of 0x9e3779b9.
	LowDiscrepancy Sampler = "low_discrepancy"
)

// ParseSampler returns the sampler of the given name. Both "low_discrepancy" and
// "low-discrepancy" are read.
func ParseSampler(name string) (Sampler, error) {
	switch s := Sampler(strings.ReplaceAll(name, "-", "_")); s {
	case IID, LowDiscrepancy:
		return s, nil
	}
	return "", fmt.Errorf("sbs: sampler %q: want %s or %s", name, IID, LowDiscrepancy)
}

// Schedule is a rule for epsilon_t: (t+1)^Power.
type Schedule struct{ Power float64 }

// ParseSchedule reads "inverse-sqrt" ((t+1)^-0.5, dialect 2's), "constant" (1) or
// "power:P" ((t+1)^P, such as power:-0.2).
func ParseSchedule(s string) (Schedule, error) {
	switch power, ok := strings.CutPrefix(s, "power:"); {
	case s == "inverse-sqrt":
		return Schedule{-0.5}, nil
	case s == "constant":
		return Schedule{0}, nil
	case ok:
		p, err := strconv.ParseFloat(power, 64)
		if err == nil && p >= -10 && p <= 0 {
			return Schedule{p}, nil
		}
	}
	return Schedule{}, fmt.Errorf("sbs: epsilon schedule %q: want inverse-sqrt, constant or power:P with P from -10 to 0, such as power:-0.2", s)
}

// EpsilonT returns the first n entries of epsilon_t.
func (s Schedule) EpsilonT(n int) []float32 {
	e := make([]float32, n)
	for t := range e {
		e[t] = float32(math.Pow(float64(t+1), s.Power))
	}
	return e
}
