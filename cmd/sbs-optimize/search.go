package main

import (
	"context"
	"fmt"
	"math"
)

// descend lowers the number of spikes of one layer after the other, and returns the networks
// on the way, from the model given with evenly spread spikes to the first one that has less
// than half of its right answers and does not meet --min-accuracy. In every step it takes the
// layer where fewer spikes cost the fewest right answers for the updates that they save, and
// then adapts the epsilon of that layer.
func (o *optimizer) descend(ctx context.Context) ([]*candidate, error) {
	var s spec
	for _, l := range layers(o.given.network) {
		s.spikes, s.factor = append(s.spikes, l.Spikes), append(s.factor, 1)
	}
	at, right, err := o.try(ctx, s)
	if err != nil {
		return nil, err
	}
	path := []*candidate{at}
	least := float64(right) / 2
	if o.minAccuracy > 0 {
		least = min(least, o.minAccuracy/100*float64(o.quick.Len()))
	}
	o.printf("searching with %d of %d images\n", o.quick.Len(), o.images.search.Len())
	for {
		o.printf("  %9d updates  %6.2f%%  spikes %s  epsilon_0 %s\n", at.updates, 100*float64(right)/float64(o.quick.Len()), at.spikes(), at.epsilon())
		if float64(right) < least {
			return path, nil
		}
		next, layer, err := o.step(ctx, s, at, right)
		if err != nil {
			return nil, err
		}
		if layer < 0 {
			return path, nil
		}
		if s, at, right, err = o.adapt(ctx, next, layer); err != nil {
			return nil, err
		}
		path = append(path, at)
	}
}

// candidate returns the network of a spec.
func (o *optimizer) candidate(s spec) (*candidate, error) {
	n, err := s.apply(o.given.network)
	if err != nil {
		return nil, err
	}
	return newCandidate(n, o.form)
}

// try returns the network of a spec and its number of right answers.
func (o *optimizer) try(ctx context.Context, s spec) (*candidate, int, error) {
	c, err := o.candidate(s)
	if err != nil {
		return nil, 0, err
	}
	a, err := o.answers(ctx, c, o.quick, "")
	return c, a.Right(), err
}

// step lowers the spikes of the layer that is best for that, and returns its number, or -1 if
// no layer can have fewer spikes.
func (o *optimizer) step(ctx context.Context, s spec, at *candidate, right int) (next spec, layer int, err error) {
	const worthwhile = 0.01 // share of the updates that a step must save
	layer = -1
	best := math.Inf(1)
	for i, spikes := range s.spikes {
		t := s.clone()
		if t.spikes[i] = fewer(spikes); t.spikes[i] < 1 {
			continue
		}
		c, err := o.candidate(t)
		if err != nil {
			return next, 0, err
		}
		saved := math.Log(float64(at.updates) / float64(c.updates))
		if saved < worthwhile {
			continue
		}
		a, err := o.answers(ctx, c, o.quick, "")
		if err != nil {
			return next, 0, err
		}
		// A few answers more or less are chance.
		if cost := float64(max(right-a.Right(), 0)+1) / saved; cost < best {
			best, next, layer = cost, t, i
		}
	}
	return next, layer, nil
}

// adapt changes the epsilon of a layer if that gives more right answers.
func (o *optimizer) adapt(ctx context.Context, s spec, layer int) (spec, *candidate, int, error) {
	const ratio, most = 1.5, 8
	best, right, err := o.try(ctx, s)
	if err != nil {
		return s, nil, 0, err
	}
	from := s
	for _, factor := range []float64{ratio, 1 / ratio} {
		t := from.clone()
		t.factor[layer] = rounded(t.factor[layer] * factor)
		if f := t.factor[layer]; f > most || f < 1.0/most {
			continue
		}
		c, r, err := o.try(ctx, t)
		if err != nil {
			return s, nil, 0, err
		}
		if r > right {
			s, best, right = t, c, r
		}
	}
	return s, best, right, nil
}

func (o *optimizer) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(o.log, format, args...) // progress; a closed stream does not matter
}
