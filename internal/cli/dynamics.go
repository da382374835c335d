package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// DynamicsFlags are the flags that change how SbS layers draw their spikes and how much
// each spike changes a layer.
type DynamicsFlags struct {
	sampler, schedule string
	epsilon0          float32
	set               *pflag.FlagSet
}

const flagEpsilon0 = "epsilon-0"

// Register defines the flags in s.
func (f *DynamicsFlags) Register(s *pflag.FlagSet) {
	f.set = s
	s.StringVar(&f.sampler, "sampler", "", "`method` of drawing spikes: iid (independent, as PyTorch-SbS does) or low-discrepancy (evenly spread; needs far fewer spikes)")
	s.StringVar(&f.schedule, "epsilon-schedule", "", "`rule` for epsilon_t: inverse-sqrt, constant, or power:P for (t+1)^P")
	s.Float32Var(&f.epsilon0, flagEpsilon0, 0, "`value` of epsilon_0 of every SbS layer")
}

// Dynamics returns the values of the flags after they are parsed. A flag that was not
// given has the zero value. An error is a UsageError.
func (f *DynamicsFlags) Dynamics() (sbs.Dynamics, error) {
	d, err := f.dynamics()
	return d, Usage(err)
}

func (f *DynamicsFlags) dynamics() (d sbs.Dynamics, err error) {
	if f.sampler != "" {
		if d.Sampler, err = sbs.ParseSampler(f.sampler); err != nil {
			return d, fmt.Errorf("--sampler %s: want iid or low-discrepancy", f.sampler)
		}
	}
	if f.schedule != "" {
		s, err := sbs.ParseSchedule(f.schedule)
		if err != nil {
			return d, fmt.Errorf("--epsilon-schedule %s: want inverse-sqrt, constant, or power:P with P from -10 to 0, such as power:-0.2", f.schedule)
		}
		d.Schedule = &s
	}
	if f.set.Changed(flagEpsilon0) {
		if d.Epsilon0 = f.epsilon0; !(d.Epsilon0 > 0 && d.Epsilon0 <= sbs.MaxEpsilon) {
			return d, fmt.Errorf("--epsilon-0 %v: want a number above 0, at most %g", d.Epsilon0, float32(sbs.MaxEpsilon))
		}
	}
	return d, nil
}

// Options returns the options for loading a model with the values of the flags and the
// given number of spikes. 0 spikes means the number of the model. An error is a
// UsageError.
func (f *DynamicsFlags) Options(spikes int) ([]runtime.Option, error) {
	d, err := f.Dynamics()
	if err != nil {
		return nil, err
	}
	d.Spikes = spikes
	return []runtime.Option{runtime.AllLayers(d)}, nil
}

// Spiking reports whether a network has an SbS layer.
func Spiking(n *convert.Network) bool {
	return slices.ContainsFunc(n.Layers, func(l convert.Layer) bool { _, ok := l.(*convert.SbS); return ok })
}

// NeedSbS returns an error that names the given flags if a network has no SbS layer.
func NeedSbS(n *convert.Network, flags string) error {
	if Spiking(n) {
		return nil
	}
	return fmt.Errorf("%s have no effect: the network has no SbS layer", flags)
}

// ApplyDynamics changes the SbS layers of a network. It returns an error if d is not zero
// and the network has no SbS layer.
func ApplyDynamics(d sbs.Dynamics, n *convert.Network) error {
	if d == (sbs.Dynamics{}) {
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
		if d.Epsilon0 != 0 {
			s.Epsilon0 = d.Epsilon0
		}
	}
	return nil
}
