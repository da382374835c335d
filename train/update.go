package train

import (
	"cmp"
	"context"
	"slices"
)

// add adds the part of the next sub-batch, whose gradients are in the sums already, to the update in
// progress, and makes the update if it is complete. No other part of a step changes the state.
func (t *Trainer) add(part *Part) Result {
	st, r := &t.state, part.Result
	copy(st.Scales, part.Scales)
	means := part.Means
	for _, p := range t.params {
		if p.running {
			copy(p.value.Float32s(), means[0])
			means = means[1:]
		}
	}
	for i, n := range part.Contributions {
		st.Contributions[i] += n
	}
	st.Images += uint64(r.Images)
	st.UpdateImages += r.Images
	st.UpdateCorrect += r.Correct
	st.UpdateLoss += r.Loss
	st.UpdateLossSum += float64(r.LossPerImage * float64(r.Images))
	st.SubBatches++
	if st.SubBatches >= t.config.SubBatches {
		r.Update = t.update()
	}
	return r
}

// update makes one update with the gradients of all its sub-batches.
func (t *Trainer) update() *Update {
	st := &t.state
	// An update must be complete: no part of it returns an error or can be canceled.
	_ = t.program.Pool.For(context.Background(), len(t.params), 1, func(lo, hi int) error {
		for _, p := range t.params[lo:hi] {
			if p.running {
				continue
			}
			p.fault = p.gradientFault()
			t.updateParam(p)
			p.fault = cmp.Or(p.fault, p.valueFault())
			clear(p.sum)
		}
		return nil
	})
	images := float64(st.UpdateImages)
	u := &Update{
		Number: st.Updates, LossPerImage: st.UpdateLossSum / images, PlateauLoss: st.UpdateLoss / images,
		Images: st.UpdateImages, Correct: st.UpdateCorrect,
	}
	if t.config.ScheduleByEpoch {
		st.EpochImages += u.Images
		st.EpochCorrect += u.Correct
		st.EpochLoss += st.UpdateLoss
	} else {
		t.follow(u.PlateauLoss, u.Images, u.Correct)
	}
	u.Faults = t.faults()
	u.RateW, u.RateEpsilonXY = st.Rates[0].Value, st.Rates[1].Value
	st.Updates++
	st.SubBatches, st.UpdateImages, st.UpdateCorrect, st.UpdateLoss, st.UpdateLossSum = 0, 0, 0, 0, 0
	clear(st.Contributions)
	return u
}

// follow makes a step of the schedules of the learning rates.
func (t *Trainer) follow(loss float64, images, correct int) {
	if t.config.ScheduleByError {
		loss = 100 - 100*float64(correct)/float64(images)
	}
	t.state.Rates[0].follow(t.config.ScheduleW, loss)
	t.state.Rates[1].follow(t.config.ScheduleEpsilonXY, loss)
}

// EndEpoch ends an epoch. With Config.ScheduleByEpoch, it makes a step of the schedules
// with the results of the updates since the last call. Without such updates, or without
// ScheduleByEpoch, it has no effect.
func (t *Trainer) EndEpoch() {
	if !t.made() {
		return
	}
	if st := &t.state; st.EpochImages > 0 {
		t.follow(st.EpochLoss/float64(st.EpochImages), st.EpochImages, st.EpochCorrect)
		st.EpochLoss, st.EpochImages, st.EpochCorrect = 0, 0, 0
	}
}

// Rates returns the learning rates of the weights and of epsilon_xy for the next update.
func (t *Trainer) Rates() (w, epsilonXY float64) {
	if !t.made() {
		return 0, 0
	}
	return t.state.Rates[0].Value, t.state.Rates[1].Value
}

// updateParam changes a parameter by the sum of its gradients.
func (t *Trainer) updateParam(p *param) {
	c, v := &t.config, p.value.Float32s()
	switch {
	case p.epsilonXY:
		c.Optimizer.step(&p.moments, v, p.sum, t.state.Rates[1].Value, false)
		atLeast(v, float32(c.ThresholdEpsilonXY))
		if p.mean {
			average(v)
		}
	case p.columns > 0: // weights of an SbS or NNMF layer
		threshold := c.ThresholdW
		if c.Dialect == 2 {
			n := float32(t.state.Contributions[p.step])
			for i := range p.sum {
				p.sum[i] /= n
			}
			threshold /= float64(p.channels)
		}
		c.Optimizer.step(&p.moments, v, p.sum, t.state.Rates[0].Value, c.Dialect == 2)
		normalize(v, p.columns)
		atLeast(v, float32(threshold))
		normalize(v, p.columns)
	default:
		c.Optimizer.step(&p.moments, v, p.sum, t.state.Rates[0].Value, false)
	}
}

// movedMean returns a running mean of an on/off split after a sub-batch: moved 1/100 of the distance to
// the mean of its input over images and channels, and over pixels if the running mean is one number.
func (t *Trainer) movedMean(p *param) []float32 {
	in := t.frame.values[t.program.Main.Steps[p.step].Inputs[0]].Float32s()
	mean := slices.Clone(p.value.Float32s())
	sums := make([]float64, len(mean))
	for i, v := range in {
		sums[i%len(mean)] += float64(v)
	}
	for i, sum := range sums {
		now := sum / float64(len(in)/len(mean))
		mean[i] = float32(float64(0.99*float64(mean[i])) + float64(0.01*now))
	}
	return mean
}
