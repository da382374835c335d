package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// table holds cycles per unit of work, by row, by kind of code ("NEON", "AVX2", "AVX-512" or "portable") and by
// processor.
type table struct {
	cycles   map[string]float64
	measured map[string]float64   // cycles per unit, by benchmark
	code     map[string][]counted // the loops of the rows with NEON
	busy     map[string]load      // of the rows below the goal
}

// counted is the text of a loop, and how often it runs for a unit of work.
type counted struct {
	text  string
	times float64
}

func key(k kernel, kind string, p processor) string {
	return strings.Join([]string{k.group, k.name, kind, p.name}, "|")
}

// get returns cycles per unit, or 0 if there is no such code.
func (t *table) get(k kernel, kind string, p processor) float64 { return t.cycles[key(k, kind, p)] }

// find returns the row with a group and a name.
func find(rows []kernel, group, name string) (kernel, error) {
	i := slices.IndexFunc(rows, func(k kernel) bool { return k.group == group && k.name == name })
	if i < 0 {
		return kernel{}, fmt.Errorf("there is no row %s, %s", group, name)
	}
	return rows[i], nil
}

// part is a region of a row, and the units of an iteration.
type part struct {
	row   kernel
	kind  string
	units float64 // of the row
	name  string
}

// evaluate runs llvm-mca for all rows.
func evaluate(llvm string, arm, x86 *program, rows []kernel) (*table, error) {
	t := &table{cycles: map[string]float64{}, code: map[string][]counted{}}
	for _, machine := range []struct {
		program    *program
		processors []processor
		kinds      map[string]func(kernel) []code
	}{
		{arm, arms, map[string]func(kernel) []code{"NEON": func(k kernel) []code { return k.neon }, "portable": func(k kernel) []code { return k.portable }}},
		{x86, amd64, map[string]func(kernel) []code{"AVX2": func(k kernel) []code { return k.avx2 }, "AVX-512": func(k kernel) []code { return k.avx512 }}},
	} {
		var parts []part
		var regions []region
		for _, row := range rows {
			for _, kind := range slices.Sorted(maps.Keys(machine.kinds)) {
				for _, c := range machine.kinds[kind](row) {
					function, p, err := machine.program.resolve(c.function)
					if err != nil {
						return nil, err
					}
					q := *p
					q.indirect = row.indirect
					trace, err := q.trace(function, c.loop)
					if err != nil {
						return nil, fmt.Errorf("%s, %s, %s: %w", row.group, row.name, kind, err)
					}
					units := float64(c.units)
					switch c.units {
					case storedSingles:
						units = float64(stored(trace)) / 4
					case storedBytes:
						units = float64(stored(trace))
					}
					if units <= 0 {
						return nil, fmt.Errorf("%s, %s, %s: the loop stores nothing", row.group, row.name, kind)
					}
					name := fmt.Sprint(len(parts))
					parts = append(parts, part{row, kind, units / c.times, name})
					regions = append(regions, region{name, assembly(trace)})
				}
			}
		}
		for _, p := range machine.processors {
			c, err := cycles(llvm, p, regions)
			if err != nil {
				return nil, err
			}
			for i, x := range parts {
				t.cycles[key(x.row, x.kind, p)] += c[x.name] / x.units
				if x.kind == "NEON" {
					k := key(x.row, x.kind, p)
					t.code[k] = append(t.code[k], counted{regions[i].text, 1 / x.units})
				}
			}
		}
	}
	return t, nil
}

var benchmarkLine = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s.*?([0-9.e+]+) cycles/(?:spike|number|entry|product)`)

// parseBenchmarks returns the cycles per unit of the benchmarks of package kernel. Of several runs it takes the shortest.
func parseBenchmarks(text string) (map[string]float64, error) {
	all := map[string]float64{}
	for line := range strings.Lines(text) {
		m := benchmarkLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return nil, err
		}
		if old, ok := all[m[1]]; !ok || v < old {
			all[m[1]] = v
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no benchmark reports cycles")
	}
	return all, nil
}

// assemblyFunctions returns the names of the functions in assembly for NEON.
func assemblyFunctions(p *program) []string {
	var names []string
	for name := range p.functions {
		short, ok := strings.CutPrefix(name, p.prefix)
		if ok && (strings.HasSuffix(short, "NEON.abi0") || strings.HasSuffix(short, "DOT.abi0")) {
			names = append(names, short)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		x, y := p.functions[p.prefix+a], p.functions[p.prefix+b]
		return int(int64(x.instructions[0].address - y.instructions[0].address))
	})
	return names
}

// short returns the name of a function without the tier.
func short(function string) string {
	function = strings.TrimSuffix(function, ".abi0")
	return strings.TrimSuffix(strings.TrimSuffix(function, "NEON"), "DOT")
}

// checkVectors returns an error if an inner loop in assembly has no vector instruction and is not in scalarLoops.
func checkVectors(p *program) error {
	names := assemblyFunctions(p)
	if len(names) == 0 {
		return fmt.Errorf("the binary has no functions for NEON")
	}
	for _, name := range names {
		for n, l := range p.functions[p.prefix+name].loops() {
			if !l.inner || scalarLoops[short(name)] != "" {
				continue
			}
			trace, err := p.trace(name, n)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(trace, instruction.isVector) {
				return fmt.Errorf("loop %d of %s has no vector instruction", n, name)
			}
		}
	}
	return nil
}

// loopCycles has the cycles of an iteration of an inner loop, by processor.
type loopCycles struct {
	function              string
	loop                  int
	instructions, vectors int
	cycles                []float64
}

// everyLoop runs llvm-mca for all inner loops in assembly for NEON.
func everyLoop(llvm string, p *program) ([]loopCycles, error) {
	var all []loopCycles
	var regions []region
	for _, name := range assemblyFunctions(p) {
		for n, l := range p.functions[p.prefix+name].loops() {
			if !l.inner {
				continue
			}
			trace, err := p.trace(name, n)
			if err != nil {
				return nil, err
			}
			vectors := 0
			for _, i := range trace {
				if i.isVector() {
					vectors++
				}
			}
			all = append(all, loopCycles{function: strings.TrimSuffix(name, ".abi0"), loop: n, instructions: len(trace), vectors: vectors})
			regions = append(regions, region{place(name, n), assembly(trace)})
		}
	}
	for _, cpu := range arms {
		c, err := cycles(llvm, cpu, regions)
		if err != nil {
			return nil, err
		}
		for i := range all {
			all[i].cycles = append(all[i].cycles, c[regions[i].name])
		}
	}
	return all, nil
}
