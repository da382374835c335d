package main

import (
	"cmp"
	"slices"
)

// body is the code of a loop without other loops: lines from first to last. The line before the first one is
// its label.
type body struct{ first, last int }

// write reports whether an instruction changes one of its vector registers, and returns its number.
func (l *line) write() (register int, ok bool) {
	if l.of == nil || len(l.operands) == 0 {
		return 0, false
	}
	letters, vector := l.of.operands()
	return l.operands[0], letters[0] == 'd' && vector[0]
}

// vectors returns the vector registers that an instruction has as operands.
func (l *line) vectors() []int {
	if l.of == nil {
		return nil
	}
	_, vector := l.of.operands()
	var all []int
	for o, v := range l.operands {
		if vector[o] {
			all = append(all, v)
		}
	}
	return all
}

// loadsConstant reports whether a line of some code loads a constant to a virtual register that keeps it.
func (l *line) loadsConstant(code []line) bool {
	if l.of != byName["ldr"] || l.operands[1] != constantBase || l.operands[0] < firstVirtual {
		return false
	}
	writes := 0
	for i := range code {
		if r, ok := code[i].write(); ok && r == l.operands[0] {
			writes++
		}
	}
	return writes == 1
}

// rename replaces a vector register. The line gets operands of its own.
func (l *line) rename(old, register int) {
	if l.of == nil || !slices.Contains(l.vectors(), old) {
		return
	}
	_, vector := l.of.operands()
	l.operands = slices.Clone(l.operands)
	for o, v := range l.operands {
		if vector[o] && v == old {
			l.operands[o] = register
		}
	}
}

// hoist moves loads of constants out of loops as far as there are registers for them, those first that save the most
// loads.
func (f *function) hoist() {
	for i := len(f.bodies) - 1; i >= 0; i-- {
		f.hoistFrom(f.bodies[i])
	}
}

func (f *function) hoistFrom(b body) {
	var places []int
	loads := map[int][]int{} // lines that load a constant to a register that keeps it, by the place of the constant
	for i := b.first; i <= b.last; i++ {
		l := f.lines[i]
		if l.loadsConstant(f.lines[b.first : b.last+1]) {
			p := l.operands[2]
			if loads[p] == nil {
				places = append(places, p)
			}
			loads[p] = append(loads[p], i)
		}
	}
	slices.SortStableFunc(places, func(x, y int) int {
		return cmp.Compare(len(loads[y]), len(loads[x]))
	})
	for count := len(places); count > 0; count-- {
		trial := *f
		trial.lines = withoutLoads(f.lines, b, places[:count], loads)
		if trial.fits() {
			f.lines = trial.lines
			return
		}
	}
}

// withoutLoads returns the lines with the loads of some constants before the loop.
func withoutLoads(lines []line, b body, places []int, loads map[int][]int) []line {
	var before []line
	instead, drop := map[int]int{}, map[int]bool{}
	for _, p := range places {
		first := lines[loads[p][0]]
		before = append(before, first)
		for _, i := range loads[p] {
			instead[lines[i].operands[0]] = first.operands[0]
			drop[i] = true
		}
	}
	out := slices.Concat(lines[:b.first-1], before, lines[b.first-1:b.first])
	for i := b.first; i <= b.last; i++ {
		if drop[i] {
			continue
		}
		l := lines[i]
		for _, v := range l.vectors() {
			if r, ok := instead[v]; ok {
				l.rename(v, r)
			}
		}
		out = append(out, l)
	}
	keep := line{}
	for _, l := range before {
		keep.keeps = append(keep.keeps, l.operands[0])
	}
	return slices.Concat(out, []line{keep}, lines[b.last+1:])
}

// fits reports whether there are enough registers.
func (f *function) fits() bool {
	last, reserved := map[int]int{}, map[int]bool{}
	for i := range f.lines {
		for _, v := range f.lines[i].vectors() {
			if v < firstVirtual {
				reserved[v] = true
			}
			last[v] = i
		}
		for _, v := range f.lines[i].keeps {
			last[v] = i
		}
	}
	live := map[int]bool{}
	for i := range f.lines {
		all := slices.Concat(f.lines[i].vectors(), f.lines[i].keeps)
		for _, v := range all {
			if v >= firstVirtual {
				live[v] = true
			}
		}
		if len(live)+len(reserved) > 32 {
			return false
		}
		for _, v := range all {
			if last[v] == i {
				delete(live, v)
			}
		}
	}
	return true
}
