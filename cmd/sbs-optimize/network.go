package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// candidate is a network with a certain number of spikes and epsilon in each SbS layer.
type candidate struct {
	network *convert.Network
	model   []byte
	sum     string // identifies the model
	updates int    // spikes per image, over all output positions
	trained bool   // it was fine-tuned with these spikes
}

func newCandidate(n *convert.Network, form convert.Options) (*candidate, error) {
	data, err := convert.ToONNX(n, form)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	c := &candidate{network: n, model: data, sum: hex.EncodeToString(sum[:12])}
	c.updates, err = n.Updates()
	return c, err
}

// layers returns the SbS layers of a network.
func layers(n *convert.Network) []*convert.SbS {
	var list []*convert.SbS
	for _, l := range n.Layers {
		if s, ok := l.(*convert.SbS); ok {
			list = append(list, s)
		}
	}
	return list
}

// clone returns a network whose SbS layers can be changed. They share their arrays.
func clone(n *convert.Network) *convert.Network {
	c := *n
	c.Layers = slices.Clone(n.Layers)
	for i, l := range c.Layers {
		if s, ok := l.(*convert.SbS); ok {
			layer := *s
			c.Layers[i] = &layer
		}
	}
	return &c
}

// spec says how the spikes of a network differ from those of the network given.
type spec struct {
	spikes []int     // of each SbS layer
	factor []float64 // of the epsilon_0 that the schedule auto chooses, of each SbS layer
}

func (s spec) clone() spec { return spec{slices.Clone(s.spikes), slices.Clone(s.factor)} }

// apply returns the network given with the spikes of the spec.
func (s spec) apply(given *convert.Network) (*convert.Network, error) {
	n := clone(given)
	list := make([]sbs.Dynamics, len(s.spikes))
	for i, spikes := range s.spikes {
		list[i] = sbs.Dynamics{Spikes: spikes, Sampler: sbs.LowDiscrepancy, Schedule: &sbs.Schedule{Auto: true}}
	}
	if err := cli.ApplyDynamics(list, cli.SpikesOf(given), n); err != nil {
		return nil, err
	}
	for i, l := range layers(n) {
		if s.factor[i] != 1 {
			l.Epsilon0 = float32(rounded(min(float64(l.Epsilon0)*s.factor[i], sbs.MaxEpsilon)))
		}
	}
	return n, nil
}

// rounded returns a number with three significant digits, which are the same on every
// processor.
func rounded(v float64) float64 {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	return v
}

// withSpikes returns the weights of one network with the spikes of another one.
func withSpikes(weights, spikes *convert.Network) *convert.Network {
	n := clone(weights)
	from := layers(spikes)
	for i, l := range layers(n) {
		l.Spikes, l.Sampler, l.Epsilon0, l.EpsilonT = from[i].Spikes, from[i].Sampler, from[i].Epsilon0, from[i].EpsilonT
	}
	return n
}

// spikes lists the spikes of each SbS layer, as the flag --spikes takes them.
func (c *candidate) spikes() string {
	return c.list(func(l *convert.SbS) string { return strconv.Itoa(l.Spikes) })
}

// epsilon lists the epsilon_0 of each SbS layer, as the flag --epsilon-0 takes them.
func (c *candidate) epsilon() string {
	return c.list(func(l *convert.SbS) string { return fmt.Sprintf("%.3g", l.Epsilon0) })
}

func (c *candidate) list(value func(*convert.SbS) string) string {
	var values []string
	for _, l := range layers(c.network) {
		values = append(values, value(l))
	}
	return strings.Join(values, ",")
}

// fewer returns a smaller number of spikes, by about 30%, or by half if there are many.
func fewer(spikes int) int {
	if spikes > 400 {
		return spikes / 2
	}
	return int(math.Floor(float64(spikes) * 0.7))
}
