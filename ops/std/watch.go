package std

import "context"

// cancelCheck checks a context from time to time within one call from a parallel loop: a
// few small tensors can mean hours of work.
type cancelCheck struct {
	ctx   context.Context
	steps int // since the last check
}

// stepsPerCheck is the number of simple steps between two checks. It is small enough to
// stop soon and large enough for the checks to take no measurable time.
const stepsPerCheck = 1 << 16

// after counts steps. It returns the context's error if it is time for a check.
func (w *cancelCheck) after(steps int) error {
	if w.steps += steps; w.steps < stepsPerCheck {
		return nil
	}
	w.steps = 0
	return w.ctx.Err()
}
