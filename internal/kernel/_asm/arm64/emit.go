package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// General registers that functions may use. Others belong to Go, its linker or the platform.
const (
	R0 = iota
	R1
	R2
	R3
	R4
	R5
	R6
	R7
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
)

const (
	R19 = iota + 19
	R20
	R21
	R22
	R23
	R24
	R25
)

// usable reports whether functions may use a general register.
func usable(register int) bool {
	return R0 <= register && register <= R15 || R19 <= register && register <= R25
}

// line is a line of a function: an instruction of the table with its operands, or text in the syntax
// of Go's assembler.
type line struct {
	of       *instruction
	operands []int
	text     string
	keeps    []int // virtual registers that are live up to here; there is no instruction
}

// function is a function in assembly.
type function struct {
	name, signature string
	doc             []string
	frame           int // size of its local memory in bytes
	lines           []line
	parameters      map[string]parameter
	arguments       int // size of parameters and results in bytes
	virtual         int // number of virtual vector registers
	reserved        map[int]bool
	labels          int
	bodies          []body
}

// parameter is a parameter or result in memory.
type parameter struct {
	offset int
	size   int
	kind   string
}

var (
	functions []*function
	byName    = map[string]*instruction{}
)

// newFunction begins a function.
func newFunction(name, signature string, doc ...string) *function {
	f := &function{name: name, signature: signature, doc: doc, parameters: map[string]parameter{}, reserved: map[int]bool{}}
	in, out, _ := strings.Cut(strings.TrimPrefix(signature, "func("), ")")
	end := f.place(in, 0)
	if out = strings.Trim(out, " ()"); out != "" {
		end = f.place(out, (end+7)/8*8)
	}
	f.arguments = end
	functions = append(functions, f)
	return f
}

// place assigns the memory of a list of parameters, and returns its end.
func (f *function) place(list string, offset int) int {
	var names []string
	for _, p := range strings.Split(list, ", ") {
		name, kind, typed := strings.Cut(p, " ")
		names = append(names, name)
		if !typed {
			continue
		}
		size := 8
		switch kind {
		case "bool":
			size = 1
		case "float32", "uint32", "int32":
			size = 4
		case "int", "float64", "uint64":
		default:
			if kind[0] != '*' {
				panic("size of type " + kind)
			}
		}
		for _, n := range names {
			offset = (offset + size - 1) / size * size
			f.parameters[n] = parameter{offset, size, kind}
			offset += size
		}
		names = nil
	}
	return offset
}

// o adds a line in the syntax of Go's assembler.
func (f *function) o(format string, operands ...any) {
	text := fmt.Sprintf(format, operands...)
	for _, m := range generalRegister.FindAllStringSubmatch(text, -1) {
		if r, _ := strconv.Atoi(m[1]); !usable(r) {
			panic(f.name + ": " + text)
		}
	}
	f.lines = append(f.lines, line{text: "\t" + text})
}

var generalRegister = regexp.MustCompile(`\bR(\d+)\b`)

// label adds a label, and comment a comment.
func (f *function) label(name string)   { f.lines = append(f.lines, line{text: "\n" + name + ":"}) }
func (f *function) comment(text string) { f.lines = append(f.lines, line{text: "\t// " + text}) }

// unique returns a label that no other call returns.
func (f *function) unique(name string) string {
	f.labels++
	return fmt.Sprintf("%s%d", name, f.labels)
}

// v adds an instruction of the table.
func (f *function) v(name string, operands ...int) {
	i := byName[name]
	if i == nil {
		panic("no instruction " + name)
	}
	letters, vector := i.operands()
	for o, letter := range letters {
		if (letter == 'n' || letter == 'm') && !vector[o] && !usable(operands[o]) {
			panic(fmt.Sprintf("%s: register %d in %s", f.name, operands[o], i.format))
		}
	}
	f.lines = append(f.lines, line{of: i, operands: operands})
}

// load loads parameters to general registers.
func (f *function) load(name string, register int) {
	p := f.parameters[name]
	move := map[string]string{"bool": "MOVBU", "uint32": "MOVWU", "int32": "MOVW"}[p.kind]
	if move == "" {
		move = "MOVD"
	}
	if p.kind == "" || strings.HasPrefix(p.kind, "float") {
		panic("parameter " + name)
	}
	f.o("%s %s+%d(FP), R%d", move, name, p.offset, register)
}

// spread loads a parameter of type float32 or float64 to all lanes of a vector register.
func (f *function) spread(name string, register int) {
	p := f.parameters[name]
	switch p.kind {
	case "float32":
		f.o("FMOVS %s+%d(FP), F%d", name, p.offset, register)
		f.v("dup", register, register, 0)
	case "float64":
		f.o("FMOVD %s+%d(FP), F%d", name, p.offset, register)
		f.v("dupd", register, register, 0)
	default:
		panic("parameter " + name)
	}
}

// result stores the first lane of a vector register to a result.
func (f *function) result(name string, register int) {
	p := f.parameters[name]
	move := map[string]string{"float32": "FMOVS", "float64": "FMOVD"}[p.kind]
	f.o("%s F%d, %s+%d(FP)", move, register, name, p.offset)
}

// ret ends the function.
func (f *function) ret() { f.o("RET") }

// local reserves local memory and returns its distance from RSP. The first 8 bytes are for the
// return address.
func (f *function) local(size int) int {
	at := 16 + f.frame
	f.frame += (size + 15) / 16 * 16
	return at
}

// firstVirtual is the number of the first virtual vector register.
const firstVirtual = 1000

// new returns a virtual vector register. It is live from its first to its last line, which must not
// be separated by a jump back.
func (f *function) new() int {
	f.virtual++
	return firstVirtual + f.virtual - 1
}

// allocate replaces virtual vector registers by free ones: a register is free after the last line of
// the virtual one that had it.
func (f *function) allocate() {
	f.hoist()
	last := map[int]int{}
	each := func(l *line, do func(operand *int)) {
		if l.of == nil {
			for k := range l.keeps {
				do(&l.keeps[k])
			}
			return
		}
		_, vector := l.of.operands()
		for o := range l.operands {
			if vector[o] {
				do(&l.operands[o])
			}
		}
	}
	for i := range f.lines {
		each(&f.lines[i], func(operand *int) {
			if *operand >= firstVirtual {
				last[*operand] = i
			} else {
				f.reserved[*operand] = true
			}
		})
	}
	var free []int
	for r := 31; r >= 0; r-- {
		if !f.reserved[r] {
			free = append(free, r)
		}
	}
	have := map[int]int{}
	for i := range f.lines {
		l := &f.lines[i]
		var ends []int
		each(l, func(operand *int) {
			v := *operand
			if v < firstVirtual {
				return
			}
			if _, ok := have[v]; !ok {
				if len(free) == 0 {
					panic(f.name + ": no register is free")
				}
				have[v] = free[len(free)-1]
				free = free[:len(free)-1]
			}
			*operand = have[v]
			if last[v] == i {
				ends = append(ends, v)
				last[v] = -1
			}
		})
		for _, v := range ends {
			free = append(free, have[v])
		}
	}
}

// text returns the function in the syntax of Go's assembler.
func (f *function) text() string {
	f.allocate()
	var b strings.Builder
	fmt.Fprintf(&b, "\n// func %s%s\n", f.name, strings.TrimPrefix(f.signature, "func"))
	frame := f.frame
	if frame > 0 {
		frame += 8 // RSP is a multiple of 16 if 8 bytes for the return address make it one
	}
	fmt.Fprintf(&b, "TEXT ·%s(SB), NOSPLIT, $%d-%d\n", f.name, frame, f.arguments)
	for _, l := range f.lines {
		if l.keeps != nil {
			continue
		}
		if l.of == nil {
			b.WriteString(l.text + "\n")
			continue
		}
		word, text := l.of.assemble(l.operands...)
		letters, _ := l.of.operands()
		for o, letter := range letters {
			if letter == '2' && l.operands[o] != (l.operands[o-1]+1)%32 {
				panic(f.name + ": " + text)
			}
		}
		fmt.Fprintf(&b, "\tWORD $0x%08x // %s\n", word, text)
	}
	return b.String()
}

// stub returns the declaration of the function.
func (f *function) stub() string {
	return "\n// " + strings.Join(f.doc, "\n// ") + "\n//\n//go:noescape\nfunc " + f.name + strings.TrimPrefix(f.signature, "func") + "\n"
}

// constants holds the numbers of the read-only data in their order.
var (
	constants     []uint32
	constantPlace = map[string]int{}
)

// data returns the place of four words in the read-only data.
func data(words ...uint32) int {
	if len(words)%4 != 0 {
		panic("words of a vector")
	}
	key := fmt.Sprint(words)
	if _, ok := constantPlace[key]; !ok {
		constantPlace[key] = 4 * len(constants)
		constants = append(constants, words...)
	}
	return constantPlace[key]
}

// constantBase is the register with the address of the read-only data.
const constantBase = R25

// useConstants loads the address of the read-only data.
func (f *function) useConstants() { f.o("MOVD $constants<>(SB), R%d", constantBase) }

// constant loads a word to all lanes of a register.
func (f *function) constant(register int, word uint32) {
	f.v("ldr", register, constantBase, data(word, word, word, word))
}
