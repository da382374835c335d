package train

import (
	"fmt"
	"math"
)

// ScheduleKind names a schedule of the learning rate.
type ScheduleKind string

// The schedules of PyTorch-SbS, and Cosine.
const (
	// Constant leaves the learning rate as it is.
	Constant ScheduleKind = "None"

	// Plateau is PyTorch's ReduceLROnPlateau: when a measure, which should fall,
	// has not fallen below its best by a 10,000th part for more than Patience
	// updates in a row, the rate is multiplied by Factor.
	Plateau ScheduleKind = "ReduceLROnPlateau"

	// LowPassPlateau is a Plateau on a smoothed measure, which moves by the Tau-th
	// part of the way to every new value.
	LowPassPlateau ScheduleKind = "SbSLRScheduler"

	// Cosine lets the rate fall from its initial value to 0 over Length steps, in
	// half a period of a cosine (I. Loshchilov and F. Hutter, "SGDR: stochastic
	// gradient descent with warm restarts", 2017, without the restarts). No
	// measure has a part in it.
	Cosine ScheduleKind = "cosine"
)

// Schedule says how a learning rate changes. The zero value leaves it constant.
type Schedule struct {
	Kind     ScheduleKind // "" means Constant
	Factor   float64      // 0 means 0.75; at most 1
	Patience int          // updates
	Tau      float64      // of a LowPassPlateau, in updates; 0 means 10
	Length   int          // of a Cosine, in updates
}

// Check returns an error unless the schedule can be followed.
func (s Schedule) Check() error {
	switch s.Kind {
	case "", Constant, Plateau, LowPassPlateau:
	case Cosine:
		if s.Length < 1 {
			return fmt.Errorf("train: the learning rate falls to 0 over %d steps, want at least 1", s.Length)
		}
	default:
		return fmt.Errorf("train: unknown learning rate schedule %q, known are %q, %q, %q and %q", s.Kind, Constant, Plateau, LowPassPlateau, Cosine)
	}
	switch {
	case !(s.Factor >= 0 && s.Factor <= 1):
		return fmt.Errorf("train: the factor of the learning rate schedule is %v, want 0 to 1", s.Factor)
	case s.Patience < 0:
		return fmt.Errorf("train: the patience of the learning rate schedule is %d, want at least 0 (for no schedule: %q)", s.Patience, Constant)
	case s.Tau != 0 && !(s.Tau >= 1 && s.Tau <= math.MaxFloat32):
		return fmt.Errorf("train: tau of the learning rate schedule is %v, want at least 1", s.Tau)
	}
	return nil
}

// rate is a learning rate and what its schedule has seen so far.
type rate struct {
	Value    float64
	Updates  int
	Best     float64
	Bad      int     // updates since the best
	Smoothed float64 // measure of a LowPassPlateau
	Start    float64 // of a Cosine: the value at first
}

// What PyTorch's scheduler has by default.
const (
	plateauThreshold = 1e-4
	plateauEps       = 1e-8 // a smaller change of the rate is not made
)

// follow changes the rate after an update with the given measure.
func (r *rate) follow(s Schedule, measure float64) {
	if s.Kind == "" || s.Kind == Constant {
		return
	}
	if s.Kind == Cosine {
		if r.Updates == 0 {
			r.Start = r.Value
		}
		r.Updates++
		r.Value = r.Start / 2 * (1 + math.Cos(math.Pi*float64(min(r.Updates, s.Length))/float64(s.Length)))
		return
	}
	if s.Kind == LowPassPlateau {
		tau := s.Tau
		if tau == 0 {
			tau = 10
		}
		if r.Updates == 0 {
			r.Smoothed = measure
		}
		r.Smoothed += (measure - r.Smoothed) / tau
		measure = r.Smoothed
	}
	if r.Updates == 0 || measure < r.Best*(1-plateauThreshold) {
		r.Best, r.Bad = measure, 0
	} else {
		r.Bad++
	}
	r.Updates++
	if r.Bad <= s.Patience {
		return
	}
	r.Bad = 0
	factor := s.Factor
	if factor == 0 {
		factor = 0.75
	}
	if next := r.Value * factor; r.Value-next > plateauEps {
		r.Value = next
	}
}
