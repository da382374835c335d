package main

import (
	"fmt"
	"strings"
)

// layer is the work of a layer with SbS neurons.
type layer struct {
	positions, entries, spikes int
	update                     string // the row of its update
	sampler                    string // the row of its sampler
	portion                    float64
}

// network is the work of an image.
type network struct {
	name     string
	layers   []layer
	products float64            // of convolutions
	measured map[string]float64 // images/s with one core of the machine of the measurements, by tier
}

// leave is the portion of the first 6,000 test images of MNIST that takes the second stage of mnist-fast.
const leave = 0.033

const (
	withTable   = ", with a table"
	tableOf     = "the table for the search"
	table64     = "low-discrepancy, 64 entries, with a table"
	bisection64 = "low-discrepancy, 64 entries, binary search"
	bisection   = "low-discrepancy, 1024 entries, binary search"
)

// networks are those of the README. The published networks have windows of 5 x 5 pixels, and mnist-fast of 8 x 8, 4 x 4 and
// 3 x 3 pixels.
func networks(m map[string]map[string]float64) []network {
	return []network{
		{
			name: "models/mnist-fast", measured: m["mnist-fast"],
			layers: []layer{
				{81, 64, 22, "fast, 64 neurons", bisection64, 1},
				{36, 1024, 22, "fast, 128 neurons", bisection, 1},
				{1, 1152, 196, "fast, 10 neurons", bisection, 1},
				{81, 64, 400, "fast, 64 neurons", table64, leave},
				{36, 1024, 400, "fast, 128 neurons", bisection, leave},
				{1, 1152, 400, "fast, 10 neurons", bisection, leave},
			},
		},
		{
			name: "published SbS network, 1600 spikes", measured: m["published"],
			layers: []layer{
				{400, 25, 1600, "fast, 32 neurons", "independent, 25 entries, with a table", 1},
				{36, 800, 1600, "fast, 64 neurons", "independent, 25 entries, with a table", 1},
				{1, 576, 1600, "fast, 96 neurons", "independent, 25 entries, with a table", 1},
				{1, 96, 1600, "fast, 10 neurons", "independent, 25 entries, with a table", 1},
			},
		},
		{name: "CNN of the published shape", products: 400*25*32 + 36*800*64 + 576*96 + 96*10, measured: m["cnn"]},
	}
}

// image returns the cycles of an image by a model, in the loops of the table alone.
func (n network) image(t *table, rows []kernel, kind string, p processor) (float64, error) {
	cost := func(group, name string) (float64, error) {
		k, err := find(rows, group, name)
		if err != nil {
			return 0, err
		}
		v := t.get(k, kind, p)
		if v == 0 {
			return 0, fmt.Errorf("there are no cycles of %s, %s for %s", group, name, kind)
		}
		return v, err
	}
	var total float64
	for _, l := range n.layers {
		var each float64
		type work struct {
			group, name string
			count       int
		}
		parts := []work{
			{"Updates of h", l.update, l.spikes},
			{"Spikes", l.sampler, l.spikes},
			{"Spikes", "cumulative sums", l.entries},
			{"Spikes", "thresholds, with the sums again", l.entries},
		}
		if kind == "NEON" && strings.HasSuffix(l.sampler, withTable) {
			parts = append(parts, work{"Spikes", tableOf, l.entries})
		}
		for _, c := range parts {
			v, err := cost(c.group, c.name)
			if err != nil {
				return 0, err
			}
			each += v * float64(c.count)
		}
		total += each * float64(l.positions) * l.portion
	}
	if n.products > 0 {
		v, err := cost("Products", "convolution in place")
		if err != nil {
			return 0, err
		}
		total += v * n.products
	}
	return total, nil
}

// machine is a processor that people have.
type machine struct {
	name, model, clock string
	gigahertz          float64
	cores              int
}

var machines = []machine{
	{"Raspberry Pi 4 (Cortex-A72)", "A72", "1.8", 1.8, 4},
	{"Raspberry Pi 5 (Cortex-A76)", "N1", "2.4", 2.4, 4},
	{"Graviton2 (Neoverse N1)", "N1", "2.5", 2.5, 1},
	{"Graviton3 (Neoverse V1)", "V1", "2.6", 2.6, 1},
	{"Graviton4 (Neoverse V2)", "V2", "2.8", 2.8, 1},
	{"Mac (M1, a fast core)", "M1", "3.2", 3.2, 1},
}

// measuredHertz is the clock rate of the machine of the measurements, in GHz: the benchmarks report it.
const measuredHertz = 3.09

// measuredImages are images/s with one core, measured when the benchmarks were.
var measuredImages = map[string]map[string]float64{
	"mnist-fast": {"AVX2": 10860, "AVX-512": 11820},
	"published":  {"AVX2": 342, "AVX-512": 477},
	"cnn":        {"AVX2": 18450, "AVX-512": 36107},
}

// expectations returns the part of the page about images/s.
func expectations(t *table, rows []kernel) (string, error) {
	var b strings.Builder
	all := networks(measuredImages)
	rapids := amd64[1]
	b.WriteString("\n## What to expect\n\n" + aboutExpectations)
	b.WriteString("\n| network | tier | cycles of an image by the model | images/s by the model | measured | factor |\n|---|---|---|---|---|---|\n")
	factors := map[string]float64{}
	for _, n := range all {
		for _, kind := range []string{"AVX2", "AVX-512"} {
			c, err := n.image(t, rows, kind, rapids)
			if err != nil {
				return "", err
			}
			model := measuredHertz * 1e9 / c
			factor := n.measured[kind] / model
			if kind == "AVX2" {
				factors[n.name] = factor
			}
			fmt.Fprintf(&b, "| %s | %s | %.0f | %s | %s | %.2f |\n", n.name, kind, c, thousands(model), thousands(n.measured[kind]), factor)
		}
	}
	b.WriteString("\n" + aboutEstimates + "\n| machine | clock, GHz | network | **estimated** images/s, one core | by the model alone | portable Go, estimated |\n|---|---|---|---|---|---|\n")
	for _, m := range machines {
		var p processor
		for _, a := range arms {
			if a.name == m.model {
				p = a
			}
		}
		for _, n := range all {
			c, err := n.image(t, rows, "NEON", p)
			if err != nil {
				return "", err
			}
			slow, err := n.image(t, rows, "portable", p)
			if err != nil {
				return "", err
			}
			model, f := m.gigahertz*1e9/c, factors[n.name]
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", m.name, m.clock, n.name, thousands(model*f), thousands(model), thousands(m.gigahertz*1e9/slow*f))
		}
	}
	return b.String(), nil
}

// thousands formats a number with two digits.
func thousands(v float64) string {
	unit := 1.0
	for v/unit >= 100 {
		unit *= 10
	}
	v = float64(int(v/unit+0.5)) * unit
	if v < 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%d,%03d", int(v)/1000, int(v)%1000)
}
