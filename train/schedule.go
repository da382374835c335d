package train

import (
	"fmt"
	"math"

	"github.com/spike-by-spike/sbs/internal/portmath"
)

// ScheduleKind names a schedule of the learning rate.
type ScheduleKind string

// The schedules of PyTorch-SbS, and Cosine.
const (
	// Constant does not change the learning rate.
	Constant ScheduleKind = "None"

	// Plateau is PyTorch's ReduceLROnPlateau. It follows a measure that should fall,
	// such as the loss. If the measure has not fallen below 0.9999 times its best value
	// for more than Patience updates in a row, the rate is multiplied by Factor.
	Plateau ScheduleKind = "ReduceLROnPlateau"

	// LowPassPlateau is a Plateau that follows a smoothed measure. With every new value,
	// the smoothed measure moves by 1/Tau of its distance to that value.
	LowPassPlateau ScheduleKind = "SbSLRScheduler"

	// Cosine reduces the rate from its initial value to 0 within Length updates, along
	// half a period of a cosine. It follows no measure. See I. Loshchilov and F. Hutter,
	// "SGDR: stochastic gradient descent with warm restarts", 2017; there are no restarts.
	Cosine ScheduleKind = "cosine"
)

// Schedule determines how a learning rate changes during training. The zero value keeps
// it constant.
type Schedule struct {
	Kind     ScheduleKind // "" means Constant
	Factor   float64      // from 0 to 1; 0 means 0.75
	Patience int          // in updates
	Tau      float64      // of a LowPassPlateau, in updates, at least 1; 0 means 10
	Length   int          // of a Cosine, in updates, at least 1
}

// Check returns an error if the kind of the schedule is unknown or a value is out of
// range.
func (s Schedule) Check() error {
	switch s.Kind {
	case "", Constant, Plateau, LowPassPlateau:
	case Cosine:
		if s.Length < 1 {
			return fmt.Errorf("the length of the learning rate schedule is %d updates, want at least 1", s.Length)
		}
	default:
		return fmt.Errorf("unknown learning rate schedule %q, want %q, %q, %q or %q", s.Kind, Constant, Plateau, LowPassPlateau, Cosine)
	}
	switch {
	case !(s.Factor >= 0 && s.Factor <= 1):
		return fmt.Errorf("the factor of the learning rate schedule is %v, want 0 to 1", s.Factor)
	case s.Patience < 0:
		return fmt.Errorf("the patience of the learning rate schedule is %d, want at least 0 (to keep the rate, use the schedule %q)", s.Patience, Constant)
	case s.Tau != 0 && !(s.Tau >= 1 && s.Tau <= math.MaxFloat32):
		return fmt.Errorf("tau of the learning rate schedule is %v, want at least 1", s.Tau)
	}
	return nil
}

// rate is a learning rate and the state of its schedule. The fields are exported for gob.
type rate struct {
	Value    float64
	Updates  int
	Best     float64 // measure
	Bad      int     // updates since Best
	Smoothed float64 // measure of a LowPassPlateau
	Start    float64 // initial value of a Cosine
}

// Defaults of PyTorch's ReduceLROnPlateau.
const (
	plateauThreshold = 1e-4
	plateauEps       = 1e-8 // smaller changes of the rate are omitted
)

// follow makes one step of the schedule with a new measure.
func (r *rate) follow(s Schedule, measure float64) {
	if s.Kind == "" || s.Kind == Constant {
		return
	}
	if s.Kind == Cosine {
		if r.Updates == 0 {
			r.Start = r.Value
		}
		r.Updates++
		r.Value = r.Start / 2 * (1 + portmath.Cos(math.Pi*float64(min(r.Updates, s.Length))/float64(s.Length)))
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
	if next := float64(r.Value * factor); r.Value-next > plateauEps {
		r.Value = next
	}
}
