package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// processor is a scheduling model of LLVM.
type processor struct {
	name, triple, cpu string
	withoutDots       bool // the processor has no dot product of integers
}

var (
	arms = []processor{
		{"A72", "aarch64", "cortex-a72", true}, {"N1", "aarch64", "neoverse-n1", false}, {"V1", "aarch64", "neoverse-v1", false},
		{"V2", "aarch64", "neoverse-v2", false}, {"M1", "aarch64", "apple-m1", false},
	}
	amd64 = []processor{{"Zen 4", "x86_64", "znver4", false}, {"Sapphire Rapids", "x86_64", "sapphirerapids", false}}
)

// few and many are the iterations that llvm-mca runs. The difference of the two times has neither the start nor the
// end of the loop in it.
const few, many = 10, 30

// region is the code of an iteration, as text for the assembler.
type region struct {
	name string
	text string
}

// assembly turns a trace into text for the assembler. Branches lead to the next instruction: llvm-mca takes no
// branch into account.
func assembly(trace []instruction) string {
	var b strings.Builder
	for _, i := range trace {
		if i.target == 0 {
			fmt.Fprintf(&b, "\t%s\n", i.text)
			continue
		}
		fmt.Fprintf(&b, "\t%s 1f\n1:\n", strings.TrimRight(i.text, " "))
	}
	return b.String()
}

// cycles returns the cycles of an iteration of each region, without those that the processor cannot run. llvm is the
// suffix of the names of LLVM's programs.
func cycles(llvm string, p processor, regions []region) (map[string]float64, error) {
	if p.withoutDots {
		regions = slices.DeleteFunc(slices.Clone(regions), func(r region) bool { return strings.Contains(r.text, "\tsdot ") })
	}
	var b strings.Builder
	numbers := map[string]int{} // of the regions with different text
	for _, r := range regions {
		if _, ok := numbers[r.text]; !ok {
			n := len(numbers)
			numbers[r.text] = n
			fmt.Fprintf(&b, "# LLVM-MCA-BEGIN r%d\n%s# LLVM-MCA-END r%d\n", n, r.text, n)
		}
	}
	short, err := simulate(llvm, p, b.String(), few)
	if err != nil {
		return nil, err
	}
	long, err := simulate(llvm, p, b.String(), many)
	if err != nil {
		return nil, err
	}
	if len(short.CodeRegions) != len(numbers) || len(long.CodeRegions) != len(numbers) {
		return nil, fmt.Errorf("llvm-mca returned %d regions instead of %d", len(short.CodeRegions), len(numbers))
	}
	out := map[string]float64{}
	for _, r := range regions {
		n := numbers[r.text]
		out[r.name] = float64(long.CodeRegions[n].SummaryView.TotalCycles-short.CodeRegions[n].SummaryView.TotalCycles) / (many - few)
	}
	return out, nil
}

// report is what llvm-mca writes.
type report struct {
	TargetInfo  struct{ Resources []string }
	CodeRegions []struct {
		SummaryView          struct{ Iterations, TotalCycles, TotaluOps, DispatchWidth int }
		ResourcePressureView struct {
			ResourcePressureInfo []struct {
				InstructionIndex, ResourceIndex int
				ResourceUsage                   float64
			}
		}
	}
}

func simulate(llvm string, p processor, text string, iterations int, options ...string) (*report, error) {
	arguments := append([]string{
		"-mtriple=" + p.triple, "-mcpu=" + p.cpu, fmt.Sprintf("-iterations=%d", iterations), "-json", "-resource-pressure=false", "-instruction-info=false",
	}, options...)
	cmd := exec.Command("llvm-mca"+llvm, append(arguments, "-")...)
	cmd.Stdin = strings.NewReader(text)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("llvm-mca for %s: %w\n%.1000s", p.cpu, err, problems.String())
	}
	r := &report{}
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		return nil, fmt.Errorf("llvm-mca for %s: %w", p.cpu, err)
	}
	return r, nil
}
