package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// machineCounts are the columns of the table of measurements.
var machineCounts = []int{1, 2, 4, 8, 32}

// measurements returns a table of the measured rounds, with those of the model in parentheses, and the error of the model.
func measurements(rows []row, perByte float64) string {
	var b strings.Builder
	b.WriteString("| network | Gbit/s | delay (ms) | slowed down | sub-batches |")
	for _, c := range machineCounts {
		fmt.Fprintf(&b, " %d |", c)
	}
	b.WriteString("\n|" + strings.Repeat("---|", 5+len(machineCounts)) + "\n")
	var errors []float64
	for _, n := range networks {
		type kind struct {
			gbit, delay, slowed float64
			many                bool
		}
		var order []kind
		cells := map[kind]map[int]string{}
		for _, r := range of(rows, n) {
			k := kind{r.gbit, r.delay, r.slowed, r.subBatches == manyBatches}
			if cells[k] == nil {
				cells[k], order = map[int]string{}, append(order, k)
			}
			model := r.cluster.round(n.length, r.compute, perByte, r.subBatches)
			errors = append(errors, math.Abs(model/r.round-1))
			cells[k][r.machines] = fmt.Sprintf("%.1f (%.1f)", r.round*1e3, model*1e3)
		}
		for _, k := range order {
			batches := "as machines"
			if k.many {
				batches = fmt.Sprint(manyBatches)
			}
			fmt.Fprintf(&b, "| %s | %g | %g | %g | %s |", n.name, k.gbit, k.delay*1e3, k.slowed, batches)
			for _, c := range machineCounts {
				fmt.Fprintf(&b, " %s |", cells[k][c])
			}
			b.WriteString("\n")
		}
	}
	slices.Sort(errors)
	fmt.Fprintf(&b, "\nThe model differs from these %d measurements by %.0f%% in the median, by at most %.0f%% in nine of ten, and by at most %.0f%%.\n",
		len(errors), 100*errors[len(errors)/2], 100*errors[len(errors)*9/10], 100*errors[len(errors)-1])
	fmt.Fprintf(&b, "Its only number that is fitted is the time of the processors: %.1f ms per MB of the weights.\n", perByte*1e9)
	return b.String()
}

// factors returns a table of how many times as fast as one machine several machines are, with sub-batches of 24 images as in
// the measurements, and with larger ones, which take longer and need the same messages.
func factors(rows []row, perByte float64) string {
	counts := []int{2, 4, 8, 16, 32, 64}
	var b strings.Builder
	b.WriteString("| network | images per sub-batch | Gbit/s |")
	for _, c := range counts {
		fmt.Fprintf(&b, " %d |", c)
	}
	b.WriteString("\n|" + strings.Repeat("---|", 3+len(counts)) + "\n")
	for _, n := range networks {
		compute := of(rows, n)[0].compute
		for _, times := range []float64{1, 4, 16} {
			for _, gbit := range []float64{1, 10} {
				fmt.Fprintf(&b, "| %s | %g | %g |", n.name, 24*times, gbit)
				for _, c := range counts {
					e := cluster{c, gbit, shownDelay, 1}.efficiency(n, times*compute, perByte, manyBatches)
					fmt.Fprintf(&b, " %.1f |", float64(c)*e)
				}
				b.WriteString("\n")
			}
		}
	}
	return b.String()
}
