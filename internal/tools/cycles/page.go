package main

import (
	"fmt"
	"math"
	"strings"
)

// goal is the ratio of portable code to NEON that the project aims at.
const goal = 6

// page returns the document.
func page(t *table, rows []kernel, loops []loopCycles, version string) (string, error) {
	var b strings.Builder
	b.WriteString(introduction(version))
	expected, err := expectations(t, rows)
	if err != nil {
		return "", err
	}
	b.WriteString(expected)
	b.WriteString("\n## Cycles per unit of work\n\n" + aboutTable)
	group := ""
	for _, k := range rows {
		if k.group != group {
			group = k.group
			fmt.Fprintf(&b, "\n### %s\n\n", group)
			b.WriteString("| loop | per | A72 | N1 | V2 | M1 | portable: A72 | N1 | V2 | M1 | AVX2: Zen 4 | SPR | measured | AVX-512: Zen 4 | SPR | measured |\n")
			b.WriteString("|" + strings.Repeat("---|", 16) + "\n")
		}
		fmt.Fprintf(&b, "| %s | %s |", k.name, k.unit)
		for _, p := range shown() {
			text := number(t.get(k, "NEON", p))
			if ratio := ratio(t, k, p); ratio > 0 {
				text += " (" + times(ratio) + ")"
			}
			b.WriteString(" " + text + " |")
		}
		for _, p := range shown() {
			b.WriteString(" " + number(t.get(k, "portable", p)) + " |")
		}
		for _, kind := range []string{"AVX2", "AVX-512"} {
			for _, p := range amd64 {
				b.WriteString(" " + number(t.get(k, kind, p)) + " |")
			}
			b.WriteString(" " + number(t.measuredOf(k, kind)) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString(belowGoal(t, rows))
	b.WriteString("\n## All inner loops\n\n" + aboutLoops)
	b.WriteString("\n| function | loop | vector instructions | of | A72 | N1 | V1 | V2 | M1 |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, l := range loops {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |", l.function, l.loop, l.vectors, l.instructions)
		for _, c := range l.cycles {
			fmt.Fprintf(&b, " %s |", number(c))
		}
		b.WriteString("\n")
	}
	return b.String(), nil
}

// shown returns the processors for arm64 of the table: V1, which differs little from V2, is only in the table of all
// loops and in the estimates.
func shown() []processor {
	var all []processor
	for _, p := range arms {
		if p.name != "V1" {
			all = append(all, p)
		}
	}
	return all
}

// ratio returns how many times faster NEON is than portable code, or 0 if there is no such code.
func ratio(t *table, k kernel, p processor) float64 {
	slow, fast := t.get(k, "portable", p), t.get(k, "NEON", p)
	if slow == 0 || fast == 0 {
		return 0
	}
	return slow / fast
}

// measuredOf returns what a benchmark measured for a tier, or 0.
func (t *table) measuredOf(k kernel, kind string) float64 {
	if k.measured == "" {
		return 0
	}
	return t.measured[fmt.Sprintf(strings.ReplaceAll(k.measured, " ", "_"), map[string]string{"AVX2": "avx2", "AVX-512": "avx512"}[kind])]
}

// number formats cycles with two digits.
func number(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v >= 99.5:
		return fmt.Sprintf("%.0f", v)
	}
	digits := 1 - int(math.Floor(math.Log10(v)))
	return fmt.Sprintf("%.*f", min(max(digits, 0), 3), v)
}

func times(v float64) string {
	if v < 9.95 {
		return fmt.Sprintf("%.1fx", v)
	}
	return fmt.Sprintf("%.0fx", v)
}

// belowGoal lists the rows that do not reach the goal.
func belowGoal(t *table, rows []kernel) string {
	var b strings.Builder
	for _, k := range rows {
		var below, busy []string
		for _, p := range shown() {
			if r := ratio(t, k, p); r > 0 && r < goal {
				below = append(below, fmt.Sprintf("%s %s", p.name, times(r)))
				l := t.busy[key(k, "NEON", p)]
				busy = append(busy, fmt.Sprintf("%s %s %.0f%%", p.name, l.units, 100*l.busy))
			}
		}
		if len(below) == 0 {
			continue
		}
		fmt.Fprintf(&b, "| %s: %s | %s | %s | %s |\n", k.group, k.name, strings.Join(below, ", "), strings.Join(busy, ", "), reason(k))
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n### Loops below the goal\n\n" + aboutGoal + "\n| loop | ratio | busiest units | reason |\n|---|---|---|---|\n" + b.String()
}
