package std

import "context"

// watch looks now and then whether a context is done, within what one call from a
// parallel loop does: a few small tensors can be work for hours.
type cancelCheck struct {
	ctx   context.Context
	steps int // since it looked
}

// watched is the number of simple steps between two looks: few enough to stop soon, so
// many that looking takes no time.
const stepsPerCheck = 1 << 16

// after notes steps and returns the context's error when it is time to look.
func (w *cancelCheck) after(steps int) error {
	if w.steps += steps; w.steps < stepsPerCheck {
		return nil
	}
	w.steps = 0
	return w.ctx.Err()
}
