// Package dynamics holds the command-line flags that change how SbS layers draw
// and weigh their spikes.
package dynamics

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// Flags are the values of the command line.
type Flags struct {
	sampler, schedule string
	epsilon0          float32
	set               *pflag.FlagSet
}

const flagEpsilon0 = "epsilon-0"

// Register adds the flags to a command's.
func (f *Flags) Register(s *pflag.FlagSet) {
	f.set = s
	s.StringVar(&f.sampler, "sampler", "", "how spikes are drawn: iid (as the original) or low-discrepancy (needs far fewer)")
	s.StringVar(&f.schedule, "epsilon-schedule", "", "`rule` for epsilon_t: inverse-sqrt, constant, or power:P for (t+1)^P")
	s.Float32Var(&f.epsilon0, flagEpsilon0, 0, "epsilon_0 of every SbS layer")
}

// Dynamics is what the flags ask for; zero values stand for no change.
type Dynamics struct {
	Sampler  sbs.Sampler
	Schedule *sbs.Schedule
	Epsilon0 *float32
}

// Dynamics reads the flags, once they are parsed.
func (f *Flags) Dynamics() (Dynamics, error) {
	var d Dynamics
	var err error
	if f.sampler != "" {
		if d.Sampler, err = sbs.ParseSampler(f.sampler); err != nil {
			return d, fmt.Errorf("--sampler: %w", err)
		}
	}
	if f.schedule != "" {
		s, err := sbs.ParseSchedule(f.schedule)
		if err != nil {
			return d, fmt.Errorf("--epsilon-schedule: %w", err)
		}
		d.Schedule = &s
	}
	if f.set.Changed(flagEpsilon0) {
		d.Epsilon0 = &f.epsilon0
	}
	return d, nil
}

// Spiking reports whether a network has an SbS layer.
func Spiking(n *convert.Network) bool {
	return slices.ContainsFunc(n.Layers, func(l convert.Layer) bool { _, ok := l.(*convert.SbS); return ok })
}

// NeedSbS returns an error about these flags if a network has no SbS layer.
func NeedSbS(n *convert.Network, flags string) error {
	if Spiking(n) {
		return nil
	}
	return fmt.Errorf("%s are about SbS layers, and the network has none", flags)
}

// Apply changes the SbS layers of a network. It is an error if there is a change to
// make, and none to make it to.
func (d Dynamics) Apply(n *convert.Network) error {
	if d == (Dynamics{}) {
		return nil
	}
	if err := NeedSbS(n, "--sampler, --epsilon-schedule and --epsilon-0"); err != nil {
		return err
	}
	for _, l := range n.Layers {
		s, ok := l.(*convert.SbS)
		if !ok {
			continue
		}
		if d.Sampler != "" {
			s.Sampler = d.Sampler
		}
		if d.Schedule != nil {
			s.EpsilonT = d.Schedule.EpsilonT(s.Spikes)
		}
		if d.Epsilon0 != nil {
			s.Epsilon0 = *d.Epsilon0
		}
	}
	return nil
}
