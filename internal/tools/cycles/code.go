package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// instruction is one machine instruction, as llvm-objdump prints it.
type instruction struct {
	address uint64
	text    string // without the target of a branch
	target  uint64 // of a branch or call to a known address, or 0
	callee  string // the function that a call enters
}

// function is the code of a function.
type function struct {
	name         string
	instructions []instruction
}

var (
	symbolLine      = regexp.MustCompile(`^[0-9a-f]+ <(.*)>:$`)
	instructionLine = regexp.MustCompile(`^ *([0-9a-f]+):\s+(.*)$`)
	branchTarget    = regexp.MustCompile(`(?:^|[ ,\t])(0x[0-9a-f]+) <([^>]*)>$`)
	comment         = regexp.MustCompile(`\s*(//|# ).*$`)
)

// parse reads what llvm-objdump -d --no-show-raw-insn prints.
func parse(r io.Reader) (map[string]*function, error) {
	functions := map[string]*function{}
	var f *function
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if m := symbolLine.FindStringSubmatch(line); m != nil {
			f = &function{name: m[1]}
			functions[f.name] = f
			continue
		}
		m := instructionLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if f == nil {
			return nil, fmt.Errorf("%q is an instruction before the first function", line)
		}
		address, err := strconv.ParseUint(m[1], 16, 64)
		if err != nil {
			return nil, err
		}
		i := instruction{address: address, text: strings.ReplaceAll(comment.ReplaceAllString(m[2], ""), "\t", " ")}
		if t := branchTarget.FindStringSubmatchIndex(i.text); t != nil {
			if i.target, err = strconv.ParseUint(i.text[t[2]+2:t[3]], 16, 64); err != nil {
				return nil, err
			}
			i.callee = i.text[t[4]:t[5]]
			i.text = i.text[:t[2]]
		}
		f.instructions = append(f.instructions, i)
	}
	return functions, lines.Err()
}

// operation returns the name of the instruction.
func (i instruction) operation() string {
	name, _, _ := strings.Cut(strings.TrimSpace(i.text), " ")
	return name
}

func (i instruction) isCall() bool {
	return slices.Contains([]string{"bl", "blr", "call", "callq"}, i.operation())
}

func (i instruction) isJump() bool {
	return slices.Contains([]string{"b", "jmp", "jmpq"}, i.operation())
}

func (i instruction) isReturn() bool {
	return slices.Contains([]string{"ret", "retq"}, i.operation())
}

// loop is the code between the target of a backward branch and the branch.
type loop struct {
	first, last uint64 // the addresses of the target and of the last branch to it
	inner       bool   // there is no loop in it
}

func (l loop) contains(address uint64) bool { return l.first <= address && address <= l.last }

// loops returns the loops of a function, in the order of their addresses. Loops that overlap without one
// being inside the other are taken for one.
func (f *function) loops() []loop {
	var all []loop
	for _, i := range f.instructions {
		if i.target == 0 || i.isCall() || i.target > i.address || i.target < f.instructions[0].address {
			continue
		}
		if i.target == f.instructions[0].address {
			continue // the end of a function of Go: it starts again with a larger stack
		}
		all = append(all, loop{first: i.target, last: i.address})
	}
	for merged := true; merged; {
		merged = false
		slices.SortFunc(all, func(a, b loop) int {
			if a.first != b.first {
				return int(int64(a.first - b.first))
			}
			return int(int64(b.last - a.last))
		})
		for n := 0; n+1 < len(all); n++ {
			a, b := all[n], all[n+1]
			if a.first == b.first || a.last >= b.first && a.last < b.last {
				all[n].last = max(a.last, b.last)
				all = slices.Delete(all, n+1, n+2)
				merged = true
				break
			}
		}
	}
	for n := range all {
		all[n].inner = !slices.ContainsFunc(all, func(o loop) bool { return o != all[n] && all[n].contains(o.first) && all[n].contains(o.last) })
	}
	return all
}

// program is the code of a binary.
type program struct {
	functions map[string]*function
	prefix    string           // the path of the package, before the names of functions
	trips     map[string]int   // how often loops inside others run, by function#number
	taken     map[string][]int // conditional branches that are taken, by function#number
	inlined   map[string]bool  // functions whose code takes the place of their calls
	indirect  string           // the function that a call through a register enters
}

// trace returns the instructions that run in an iteration of loop number n of a function, or, for n = -1, in the
// function. A loop inside takes as many iterations as trips says. Conditional branches are not taken, since they
// lead to errors, such as an index that is out of range, or out of a loop, apart from those in taken: these are numbers
// of the forward branches that stay inside the loop, in the order in which the path reaches them.
func (p *program) trace(name string, n int) ([]instruction, error) {
	f, ok := p.functions[p.prefix+name]
	if !ok {
		f, ok = p.functions[name] // of another package
	}
	if !ok {
		return nil, fmt.Errorf("function %s is missing", name)
	}
	loops := f.loops()
	if n >= len(loops) {
		return nil, fmt.Errorf("function %s has %d loops, and loop %d is needed", name, len(loops), n)
	}
	whole := loop{first: f.instructions[0].address, last: f.instructions[len(f.instructions)-1].address}
	if n >= 0 {
		whole = loops[n]
	}
	// outermost returns the largest loop inside that contains an address, or -1.
	outermost := func(address uint64) int {
		return slices.IndexFunc(loops, func(l loop) bool {
			return l.contains(address) && l != whole && whole.contains(l.first) && whole.contains(l.last)
		})
	}
	decisions := p.taken[place(name, n)]
	var out []instruction
	var skip uint64
	branches := 0
	for _, i := range f.instructions {
		if !whole.contains(i.address) || i.address < skip {
			continue
		}
		if l := outermost(i.address); l >= 0 {
			trips, ok := p.trips[place(name, l)]
			if !ok {
				return nil, fmt.Errorf("the number of iterations of loop %s, inside loop %d, is not known", place(name, l), n)
			}
			body, err := p.trace(name, l)
			if err != nil {
				return nil, err
			}
			out = append(out, slices.Repeat(body, trips)...)
			skip = loops[l].last + 1
			continue
		}
		if i.isCall() {
			callee := strings.TrimPrefix(i.callee, p.prefix)
			if i.target == 0 {
				callee = p.indirect
			}
			if !p.inlined[callee] {
				continue // an error
			}
			body, err := p.trace(callee, -1)
			if err != nil {
				return nil, err
			}
			out = append(out, body...)
			continue
		}
		if i.isReturn() {
			return out, nil
		}
		out = append(out, i)
		back := n >= 0 && i.target == whole.first
		forward := i.target > i.address && whole.contains(i.target)
		if i.target == 0 || !back && !forward {
			continue
		}
		take := i.isJump()
		if !take {
			take = slices.Contains(decisions, branches)
			branches++
		}
		if take && back {
			return out, nil
		}
		if take {
			skip = i.target
		}
	}
	return out, nil
}

// place names loop number n of a function.
func place(name string, n int) string { return fmt.Sprintf("%s#%d", name, n) }

// vectorOperand matches the operands of vector instructions: registers with lanes, and whole registers in memory.
var vectorOperand = regexp.MustCompile(`\bv\d+\.\d*[bhsd]|\bq\d+\b|%[xyz]mm\d+`)

// isVector reports whether an instruction works on vectors.
func (i instruction) isVector() bool {
	return vectorOperand.MatchString(i.text) && !scalarOperation.MatchString(i.operation())
}

var scalarOperation = regexp.MustCompile(`(ss|sd)$`)

var (
	storeNEON = regexp.MustCompile(`^(?:str|stur|stp|st1) (.*)\[`)
	storeX86  = regexp.MustCompile(`^v?mov\w+ %([xyz])mm\d+, [^%]*\(`)
	register  = regexp.MustCompile(`\b([qds])\d+\b`)
)

// stored returns the number of bytes that vector instructions store.
func stored(trace []instruction) int {
	bytes := 0
	for _, i := range trace {
		text := strings.Join(strings.Fields(i.text), " ")
		if m := storeNEON.FindStringSubmatch(text); m != nil {
			for _, r := range register.FindAllStringSubmatch(m[1], -1) {
				bytes += map[string]int{"q": 16, "d": 8, "s": 4}[r[1]]
			}
		}
		if m := storeX86.FindStringSubmatch(text); m != nil {
			bytes += map[string]int{"x": 16, "y": 32, "z": 64}[m[1]]
		}
	}
	return bytes
}
