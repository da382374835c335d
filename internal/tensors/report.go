package tensors

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// report is all that a run prints.
type report struct {
	model   string
	workers int
	load    time.Duration
	all     []runtime.ValueInfo // the inputs that have a value, in the order of the model
	in      inputs
	results []result
	times   *measurement // nil without a measurement
}

// maxListed bounds the nodes in the table of --profile. JSON has all of them.
const maxListed = 25

// print prints the report as text.
func (r *report) print(out io.Writer) error {
	buffer := bufio.NewWriter(out) // keeps the first error
	if err := r.printText(buffer); err != nil {
		return err
	}
	return buffer.Flush()
}

func (r *report) printText(out io.Writer) error {
	for _, v := range r.all {
		if s := r.in[v.Name]; s.random {
			fmt.Fprintf(out, "input %s %v, random\n", v.Name, s.value)
		}
	}
	for i := range r.results {
		prefix := ""
		if r.times != nil {
			prefix = "output "
		}
		fmt.Fprintln(out, prefix+r.results[i].text())
	}
	if r.times == nil {
		return nil
	}
	t := r.times
	fmt.Fprintf(out, "\nloaded in %s, first run %s, workers: %d\n", duration(r.load), duration(t.first), r.workers)
	fmt.Fprintf(out, "%d runs: median %s (10%% %s, 90%% %s, 99%% %s), from %s to %s\n", len(t.runs), duration(t.median()),
		duration(t.percentile(10)), duration(t.percentile(90)), duration(t.percentile(99)), duration(t.runs[0]), duration(t.runs[len(t.runs)-1]))
	fmt.Fprintf(out, "memory: %s for the values of a run, %s for the process\n", size(t.values), size(t.process))
	if t.nodes == nil {
		return nil
	}
	return r.printProfile(out)
}

// printProfile prints the tables of operators and nodes.
func (r *report) printProfile(out io.Writer) error {
	t := r.times
	total := t.total()
	share := func(d time.Duration) string { return fmt.Sprintf("%.1f%%", 100*float64(d)/float64(max(total, 1))) }
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\noperator\tnodes\tcalls\ttime per run\tshare")
	rest := total
	for _, o := range operators(t.nodes) {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", o.operator, o.nodes, t.callsPerRun(o.calls), duration(t.perRun(o.self)), share(o.self))
		rest -= o.self
	}
	fmt.Fprintf(w, "(between nodes)\t\t\t%s\t%s\n", duration(t.perRun(rest)), share(rest))
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nnode\toperator\toutput\tcalls\ttime per run\tshare\tmemory")
	nodes := byTime(t.nodes)
	for _, n := range nodes[:min(maxListed, len(nodes))] {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", n.node, n.operator, n.output, t.callsPerRun(n.calls), duration(t.perRun(n.self)), share(n.self), size(n.memory))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if more := len(nodes) - maxListed; more > 0 {
		fmt.Fprintf(out, "... and %d faster nodes, which --format json lists\n", more)
	}
	return nil
}

// callsPerRun returns the mean number of calls per run.
func (m *measurement) callsPerRun(calls int) string {
	if calls%len(m.runs) == 0 {
		return fmt.Sprint(calls / len(m.runs))
	}
	return fmt.Sprintf("%.1f", float64(calls)/float64(len(m.runs)))
}

// duration returns a time with three digits or more.
func duration(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.1f µs", d.Seconds()*1e6)
}

// size returns a number of bytes with a unit.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}

// The form of the report in JSON. Times are in seconds.
type (
	jsonReport struct {
		Model   string       `json:"model"`
		Inputs  []jsonValue  `json:"inputs"`
		Outputs []jsonValue  `json:"outputs"`
		Timing  *jsonTiming  `json:"timing,omitempty"`
		Memory  *jsonMemory  `json:"memory,omitempty"`
		Profile *jsonProfile `json:"profile,omitempty"`
	}
	jsonValue struct {
		Name   string `json:"name"`
		Type   string `json:"type"`
		Shape  []int  `json:"shape,omitzero"`
		File   string `json:"file,omitempty"`
		Array  string `json:"array,omitempty"`
		Random bool   `json:"random,omitempty"`
	}
	jsonTiming struct {
		Workers int     `json:"workers"`
		Load    float64 `json:"load_seconds"`
		First   float64 `json:"first_run_seconds"`
		Runs    int     `json:"runs"`
		Median  float64 `json:"median_seconds"`
		Mean    float64 `json:"mean_seconds"`
		P10     float64 `json:"p10_seconds"`
		P90     float64 `json:"p90_seconds"`
		P99     float64 `json:"p99_seconds"`
		Min     float64 `json:"min_seconds"`
		Max     float64 `json:"max_seconds"`
	}
	jsonMemory struct {
		Values  int64 `json:"values_bytes"`
		Process int64 `json:"process_bytes"`
	}
	jsonProfile struct {
		Operators []jsonOperator `json:"operators"`
		Nodes     []jsonNode     `json:"nodes"`
	}
	jsonOperator struct {
		Operator string  `json:"operator"`
		Nodes    int     `json:"nodes"`
		Calls    float64 `json:"calls_per_run"`
		Time     float64 `json:"seconds_per_run"`
	}
	jsonNode struct {
		Node     string  `json:"node"`
		Operator string  `json:"operator"`
		Output   string  `json:"output"`
		Calls    float64 `json:"calls_per_run"`
		Time     float64 `json:"seconds_per_run"`
		Memory   int64   `json:"memory_bytes"`
	}
)

// printJSON prints the report as JSON. Nodes are in the order of execution.
func (r *report) printJSON(out io.Writer) error {
	j := jsonReport{Model: filepath.ToSlash(r.model), Inputs: []jsonValue{}, Outputs: []jsonValue{}}
	for _, v := range r.all {
		s := r.in[v.Name]
		list, err := flatten(v.Name, s.value)
		if err != nil {
			return fmt.Errorf("input %q: %w", v.Name, err)
		}
		for _, x := range list {
			from := s
			if s.parts != nil {
				from = s.parts[strings.TrimPrefix(strings.TrimPrefix(x.name, v.Name), ".")]
			}
			value := valueOf(x.name, x.value)
			value.File, value.Array, value.Random = filepath.ToSlash(from.file), from.array, from.random
			j.Inputs = append(j.Inputs, value)
		}
	}
	for _, x := range r.results {
		value := valueOf(x.name, x.value)
		value.File = filepath.ToSlash(x.file)
		j.Outputs = append(j.Outputs, value)
	}
	if t := r.times; t != nil {
		n := len(t.runs)
		j.Timing = &jsonTiming{
			Workers: r.workers, Load: r.load.Seconds(), First: t.first.Seconds(), Runs: n,
			Median: t.median().Seconds(), Mean: t.total().Seconds() / float64(n),
			P10: t.percentile(10).Seconds(), P90: t.percentile(90).Seconds(), P99: t.percentile(99).Seconds(),
			Min: t.runs[0].Seconds(), Max: t.runs[n-1].Seconds(),
		}
		j.Memory = &jsonMemory{t.values, t.process}
		if t.nodes != nil {
			j.Profile = t.profile()
		}
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(j)
}

func (m *measurement) profile() *jsonProfile {
	runs := float64(len(m.runs))
	p := &jsonProfile{Operators: []jsonOperator{}, Nodes: []jsonNode{}}
	for _, o := range operators(m.nodes) {
		p.Operators = append(p.Operators, jsonOperator{o.operator, o.nodes, float64(o.calls) / runs, o.self.Seconds() / runs})
	}
	for _, n := range m.nodes {
		p.Nodes = append(p.Nodes, jsonNode{n.node, n.operator, n.output, float64(n.calls) / runs, n.self.Seconds() / runs, n.memory})
	}
	return p
}

func valueOf(name string, t *runtime.Tensor) jsonValue {
	v := jsonValue{Name: name, Type: t.DType().String()}
	if t.DType().IsContainer() {
		v.Type = ops.TypeOf(t).String()
		return v
	}
	v.Shape = slices.Concat([]int{}, t.Shape())
	return v
}
