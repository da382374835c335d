// Command cycles writes docs/benchmarks/arm64.md: the cycles that the inner loops of package kernel take per unit of
// work on processors for arm64 and amd64, by the scheduling models of llvm-mca.
//
//	go run ./internal/tools/cycles -llvm -19
//
// It builds the tests of package kernel for both architectures and takes the code from the linked binaries, so that it
// measures the instructions that run. It needs llvm-mca and llvm-objdump of LLVM 19 or newer: older versions have no
// models of the Neoverse processors.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
)

const kernelPackage = "github.com/spike-by-spike/sbs/internal/kernel"

func main() {
	llvm := flag.String("llvm", "-19", "suffix of the names of LLVM's programs, such as -19 for llvm-mca-19")
	measured := flag.String("measured", "docs/benchmarks/arm64-measured.txt", "output of go test -bench on amd64")
	out := flag.String("o", "docs/benchmarks/arm64.md", "file to write")
	flag.Parse()
	if err := run(*llvm, *measured, *out); err != nil {
		fmt.Fprintln(os.Stderr, "cycles:", err)
		os.Exit(1)
	}
}

func run(llvm, measured, out string) error {
	arm, err := build(llvm, "arm64")
	if err != nil {
		return err
	}
	if err := checkVectors(arm); err != nil {
		return err
	}
	x86, err := build(llvm, "amd64")
	if err != nil {
		return err
	}
	benchmarks, err := os.ReadFile(measured)
	if err != nil {
		return err
	}
	rows := kernels()
	t, err := evaluate(llvm, arm, x86, rows)
	if err != nil {
		return err
	}
	if t.measured, err = parseBenchmarks(string(benchmarks)); err != nil {
		return fmt.Errorf("%s: %w", measured, err)
	}
	if t.busy, err = t.loads(llvm, rows); err != nil {
		return err
	}
	loops, err := everyLoop(llvm, arm)
	if err != nil {
		return err
	}
	version, err := exec.Command("llvm-mca"+llvm, "--version").Output()
	if err != nil {
		return err
	}
	text, err := page(t, rows, loops, firstVersion(string(version)))
	if err != nil {
		return err
	}
	return atomicfile.Write(out, []byte(text))
}

// firstVersion returns the version in the output of an LLVM program.
func firstVersion(text string) string {
	_, text, _ = strings.Cut(text, "LLVM version ")
	version, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(version)
}

// build returns the code of package kernel for an architecture.
func build(llvm, arch string) (*program, error) {
	dir, err := os.MkdirTemp("", "cycles")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary := filepath.Join(dir, "kernel.test")
	compile := exec.Command("go", "test", "-c", "-o", binary, kernelPackage)
	compile.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
	if text, err := compile.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go test -c for %s: %w\n%s", arch, err, text)
	}
	text, err := exec.Command("llvm-objdump"+llvm, "-d", "--no-show-raw-insn", binary).Output()
	if err != nil {
		return nil, fmt.Errorf("llvm-objdump: %w", err)
	}
	functions, err := parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return &program{functions: functions, prefix: kernelPackage + ".", trips: trips(), taken: taken(), inlined: inlined()}, nil
}
