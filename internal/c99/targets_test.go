package c99_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// target is a way to compile and run C.
type target struct {
	name     string
	compiler string
	flags    []string
	emulator string
	always   bool // whether all tests run it, and not only make embedded

	// objects is the command that compiles the C files of models, which the compiler then links to the driver,
	// or nil if the compiler does both.
	objects []string
}

// cortexM4 compiles for a microcontroller without an operating system. Its code also runs on larger processors.
var cortexM4 = append([]string{"clang", "--target=thumbv7em-none-eabihf", "-mcpu=cortex-m4", "-ffreestanding", "-O2"}, strict...)

var (
	strict   = []string{"-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"}
	sanitize = []string{"-g", "-O1", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"}
)

func targets() []target {
	return []target{
		{"gcc", "gcc", append(slices.Clone(strict), sanitize...), "", true, nil},
		{"clang", "clang", append(slices.Clone(strict), sanitize...), "", false, nil},
		// Without -std=c99, GCC would fuse products with sums.
		{"gcc fma", "gcc", []string{"-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O3", "-march=native"}, "", false, nil},
		{"clang fma", "clang", []string{"-Wall", "-Wextra", "-Werror", "-O3", "-march=native"}, "", false, nil},
		{"gcc size", "gcc", append(slices.Clone(strict), "-Os", "-fsingle-precision-constant"), "", false, nil},
		{"arm with fma", "arm-linux-gnueabihf-gcc", append(slices.Clone(strict), "-O2", "-mfpu=neon-vfpv4", "-static"), "qemu-arm-static", false, nil},
		{"arm without fma", "arm-linux-gnueabihf-gcc", append(slices.Clone(strict), "-O2", "-mfpu=vfpv3-d16", "-static"), "qemu-arm-static", false, nil},
		{"arm64", "aarch64-linux-gnu-gcc", []string{"-Wall", "-Wextra", "-Werror", "-O3", "-static"}, "qemu-aarch64-static", false, nil},
		{"cortex-m4", "arm-linux-gnueabihf-gcc", []string{"-mthumb", "-O1", "-static", "-Wl,--no-warn-mismatch"}, "qemu-arm-static", false, cortexM4},
	}
}

// everything says that all targets are tested, and that none may be missing: make embedded sets it.
const everything = "SBS_EMBEDDED"

// available skips a test whose compiler or emulator is not installed.
func (c target) available(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sanitizers and binary input need Linux")
	}
	programs := []string{c.compiler, c.emulator}
	if c.objects != nil {
		programs = append(programs, c.objects[0])
	}
	for _, program := range programs {
		if program == "" {
			continue
		}
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv(everything) != "" {
				t.Fatalf("%s is missing: install the packages that .ci/run installs", program)
			}
			t.Skipf("%s is not installed", program)
		}
	}
}

// compile returns the command that runs a program of C files in a folder.
func (c target) compile(t *testing.T, folder string, files ...string) func(args ...string) *exec.Cmd {
	t.Helper()
	temporary := t.TempDir()
	program := filepath.Join(temporary, "program")
	call := func(args ...string) {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = folder
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s\n%s", strings.Join(args, " "), out)
	}
	files = slices.Clone(files)
	for i, f := range files {
		if c.objects != nil && f != driver {
			files[i] = filepath.Join(temporary, f+".o")
			call(append(slices.Clone(c.objects), "-c", f, "-o", files[i])...)
		}
	}
	call(slices.Concat([]string{c.compiler}, c.flags, files, []string{"-o", program})...)
	if c.emulator != "" {
		return func(args ...string) *exec.Cmd { return exec.Command(c.emulator, append([]string{program}, args...)...) }
	}
	return func(args ...string) *exec.Cmd { return exec.Command(program, args...) }
}

// eachTarget runs a test on the targets with the given names, or on all.
func eachTarget(t *testing.T, f func(t *testing.T, c target), names ...string) {
	for _, c := range targets() {
		if names != nil && !slices.Contains(names, c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if !c.always && os.Getenv(everything) == "" {
				t.Skip("only make embedded tests this")
			}
			c.available(t)
			t.Parallel()
			f(t, c)
		})
	}
}
