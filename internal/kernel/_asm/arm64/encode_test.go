package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// assemblerVariable is the environment variable that requires the GNU assembler for arm64. Without
// it, the assembler is used if it is installed.
const assemblerVariable = "SBS_ARM64_ASSEMBLER"

// listing is the golden file: a line with word and text for each instruction of samples.
const listing = "testdata/listing.txt"

// sample is an instruction with operands.
type sample struct {
	word uint32
	text string
}

// samples returns every instruction of the table with the least and the largest number and one
// between them for each operand, while the other operands have different numbers.
func samples() []sample {
	var all []sample
	for i := range instructions {
		in := &instructions[i]
		letters, _ := in.operands()
		usual := make([]int, len(letters))
		for o, letter := range letters {
			f := fields[letter]
			usual[o] = min(max(f.least, (3+7*o)%24*f.step), f.most)
		}
		for o, letter := range letters {
			f := fields[letter]
			least, most := in.bounds(o)
			for _, v := range []int{least, (least + most) / 2 / f.step * f.step, most} {
				operands := append([]int{}, usual...)
				operands[o] = v
				for p, l := range letters {
					switch l {
					case '2':
						operands[p] = (operands[p-1] + 1) % 32
					case 'a':
						if operands[p] == operands[0] { // pairs are two registers
							operands[p] ^= 1
						}
					}
				}
				word, text := in.assemble(operands...)
				all = append(all, sample{word, text})
			}
		}
	}
	return all
}

// emitted returns the different instructions of the generated assembly.
func emitted(t *testing.T) []sample {
	file, err := os.ReadFile("../../kernel_arm64.s")
	if err != nil {
		t.Fatal(err)
	}
	var all []sample
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`WORD \$0x([0-9a-f]{8}) // (.*)`).FindAllStringSubmatch(string(file), -1) {
		word, err := strconv.ParseUint(m[1], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		if !seen[m[0]] {
			all = append(all, sample{uint32(word), m[2]})
			seen[m[0]] = true
		}
	}
	if len(all) < 100 {
		t.Fatalf("%d instructions in the generated assembly", len(all))
	}
	return all
}

func TestInstructions_AreThoseOfTheListing(t *testing.T) {
	var b strings.Builder
	for _, s := range samples() {
		fmt.Fprintf(&b, "%08x %s\n", s.word, s.text)
	}
	if os.Getenv("SBS_UPDATE_LISTING") != "" {
		checkWithAssembler(t, "aarch64-linux-gnu-as", samples())
		if err := os.WriteFile(listing, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(listing)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the encodings differ from %s, which the GNU assembler has confirmed: set SBS_UPDATE_LISTING=1 to write it again", listing)
	}
}

func TestInstructions_AreThoseOfTheAssembler(t *testing.T) {
	as := os.Getenv(assemblerVariable)
	if as == "" {
		as = "aarch64-linux-gnu-as"
		if _, err := exec.LookPath(as); err != nil {
			t.Skip("binutils-aarch64-linux-gnu is not installed")
		}
	}
	checkWithAssembler(t, as, samples())
	checkWithAssembler(t, as, emitted(t))
}

// checkWithAssembler compares the words of instructions with those that the GNU assembler makes of
// their texts.
func checkWithAssembler(t *testing.T, as string, all []sample) {
	t.Helper()
	var source strings.Builder
	source.WriteString(".arch armv8.2-a+dotprod\n")
	for _, s := range all {
		source.WriteString(s.text + "\n")
	}
	folder := t.TempDir()
	object, binary_ := filepath.Join(folder, "o"), filepath.Join(folder, "bin")
	run(t, strings.NewReader(source.String()), as, "-o", object, "-")
	run(t, nil, strings.TrimSuffix(as, "as")+"objcopy", "-O", "binary", "-j", ".text", object, binary_)
	code, err := os.ReadFile(binary_)
	if err != nil {
		t.Fatal(err)
	}
	if len(code) != 4*len(all) {
		t.Fatalf("the assembler made %d bytes of %d instructions", len(code), len(all))
	}
	for i, s := range all {
		if got := binary.LittleEndian.Uint32(code[4*i:]); got != s.word {
			t.Errorf("%s: the table gives %08x, the assembler %08x", s.text, s.word, got)
		}
	}
}

func run(t *testing.T, input *strings.Reader, program string, arguments ...string) {
	t.Helper()
	cmd := exec.Command(program, arguments...)
	if input != nil {
		cmd.Stdin = input
	}
	var errors bytes.Buffer
	cmd.Stderr = &errors
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", program, err, errors.String())
	}
}

// TestFunctions_CannotUseTheRegistersOfOthers tries the registers of the linker (R16, R17), of the platform
// (R18), of Go (R26 to R28), and those of frames and calls.
func TestFunctions_CannotUseTheRegistersOfOthers(t *testing.T) {
	generate()
	refuses := func(register int, use func(f *function)) {
		defer func() {
			if recover() == nil {
				t.Errorf("a function can use R%d", register)
			}
		}()
		use(&function{})
	}
	for _, r := range []int{16, 17, 18, 26, 27, 28, 29, 30} {
		refuses(r, func(f *function) { f.o("ADD $1, R0, R%d", r) })
		refuses(r, func(f *function) { f.o("MOVD.P 8(R%d), R0", r) })
		refuses(r, func(f *function) { f.v("ldr", 0, r, 0) })
		refuses(r, func(f *function) { f.v("ldrx", 0, R0, r) })
		refuses(r, func(f *function) { f.v("dupw", 0, r) })
	}
}

func TestInstructions_AreAllUsed(t *testing.T) {
	generate()
	used := map[string]bool{}
	for _, f := range functions {
		for _, l := range f.lines {
			if l.of != nil {
				used[l.of.name] = true
			}
		}
	}
	for _, i := range instructions {
		if !used[i.name] {
			t.Errorf("no function uses %s: %s", i.name, i.format)
		}
	}
}
