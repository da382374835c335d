package main

import (
	"fmt"
	"strings"
)

// load says which units of a processor a loop uses most.
type load struct {
	units string
	busy  float64 // the portion of the cycles in which they work
}

const (
	vectors   = "vectors"
	memory    = "loads and stores"
	integers  = "integers"
	divisions = "divisions"
)

// unitKinds has the kinds of the units of the models, by the beginnings of their names. The first one that fits counts.
var unitKinds = []struct{ prefix, kind string }{
	{"A57UnitL", "loads"}, {"A57UnitS", "stores"}, {"A57UnitW", vectors}, {"A57UnitX", vectors}, {"A57UnitI", integers},
	{"N1UnitL", memory}, {"N1UnitV", vectors}, {"N1UnitM", integers}, {"N1UnitS", integers},
	{"V2UnitL", memory}, {"V2UnitV", vectors}, {"V2UnitM", integers}, {"V2UnitS", integers},
	{"CyUnitLS", memory}, {"CyUnitFloatDiv", divisions}, {"CyUnitV.", vectors}, {"CyUnitI.", integers},
}

// kindOf returns the kind of a unit, or "" for those that share the work of others, and those for branches.
func kindOf(unit string) string {
	for _, k := range unitKinds {
		if strings.HasPrefix(unit, k.prefix) {
			return k.kind
		}
	}
	return ""
}

// use is a region of a report, and how often it runs.
type use struct {
	region        int
	times, cycles float64 // cycles of an iteration
}

// busiest returns the units that work most while some loops run. Dispatch counts as a unit: a processor passes a limited
// number of micro-operations to the others in a cycle.
func (r *report) busiest(uses []use) load {
	var dispatch, cycles float64
	busy := make([]float64, len(r.TargetInfo.Resources))
	for _, u := range uses {
		c := r.CodeRegions[u.region]
		s := c.SummaryView
		dispatch += u.times * float64(s.TotaluOps) / float64(s.Iterations*s.DispatchWidth)
		cycles += u.times * u.cycles
		sums := 0 // the index of the sums of all instructions is the last one
		for _, i := range c.ResourcePressureView.ResourcePressureInfo {
			sums = max(sums, i.InstructionIndex)
		}
		for _, i := range c.ResourcePressureView.ResourcePressureInfo {
			if i.InstructionIndex == sums {
				busy[i.ResourceIndex] += u.times * i.ResourceUsage
			}
		}
	}
	best := load{"dispatch", dispatch / cycles}
	count, total := map[string]float64{}, map[string]float64{}
	for i, name := range r.TargetInfo.Resources {
		busy[i] /= cycles
		count[kindOf(name)]++
		total[kindOf(name)] += busy[i]
	}
	for i, name := range r.TargetInfo.Resources {
		kind := kindOf(name)
		mean := total[kind] / count[kind]
		l := load{kind, mean}
		if busy[i] > mean+0.1 {
			l = load{"one unit for " + kind, busy[i]}
		}
		if kind != "" && l.busy > best.busy {
			best = l
		}
	}
	return best
}

// loads returns what the loops of the rows below the goal use most, by the keys of the table.
func (t *table) loads(llvm string, rows []kernel) (map[string]load, error) {
	out := map[string]load{}
	for _, p := range shown() {
		uses := map[string][]use{}
		var regions []region
		var text strings.Builder
		for _, k := range rows {
			if r := ratio(t, k, p); r == 0 || r >= goal {
				continue
			}
			name := key(k, "NEON", p)
			for _, c := range t.code[name] {
				n := len(regions)
				uses[name] = append(uses[name], use{region: n, times: c.times})
				regions = append(regions, region{fmt.Sprint(n), c.text})
				fmt.Fprintf(&text, "# LLVM-MCA-BEGIN r%d\n%s# LLVM-MCA-END r%d\n", n, c.text, n)
			}
		}
		if len(regions) == 0 {
			continue
		}
		c, err := cycles(llvm, p, regions)
		if err != nil {
			return nil, err
		}
		report, err := simulate(llvm, p, text.String(), many, "-resource-pressure=true")
		if err != nil {
			return nil, err
		}
		for name, all := range uses {
			for i := range all {
				all[i].cycles = c[regions[all[i].region].name]
			}
			out[name] = report.busiest(all)
		}
	}
	return out, nil
}
