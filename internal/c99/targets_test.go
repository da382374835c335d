package c99_test

import (
	"os"
	"os/exec"
	"path/filepath"
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
}

var (
	strict   = []string{"-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"}
	sanitize = []string{"-g", "-O1", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"}
)

func targets() []target {
	return []target{
		{"gcc", "gcc", append(slices.Clone(strict), sanitize...), "", true},
		{"clang", "clang", append(slices.Clone(strict), sanitize...), "", false},
		// Without -std=c99, GCC would fuse products with sums.
		{"gcc fma", "gcc", []string{"-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O3", "-march=native"}, "", false},
		{"clang fma", "clang", []string{"-Wall", "-Wextra", "-Werror", "-O3", "-march=native"}, "", false},
		{"gcc size", "gcc", append(slices.Clone(strict), "-Os"), "", false},
		{"arm with fma", "arm-linux-gnueabihf-gcc", append(slices.Clone(strict), "-O2", "-mfpu=neon-vfpv4", "-static"), "qemu-arm-static", false},
		{"arm without fma", "arm-linux-gnueabihf-gcc", append(slices.Clone(strict), "-O2", "-mfpu=vfpv3-d16", "-static"), "qemu-arm-static", false},
		{"arm64", "aarch64-linux-gnu-gcc", []string{"-Wall", "-Wextra", "-Werror", "-O3", "-static"}, "qemu-aarch64-static", false},
	}
}

// everything says that all targets are tested, and that none may be missing: make embedded sets it.
const everything = "SBS_EMBEDDED"

// available skips a test whose compiler or emulator is not installed.
func (c target) available(t *testing.T) {
	for _, program := range []string{c.compiler, c.emulator} {
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
	program := filepath.Join(t.TempDir(), "program")
	args := append(slices.Clone(c.flags), append(files, "-o", program)...)
	cmd := exec.Command(c.compiler, args...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %s\n%s", c.compiler, strings.Join(args, " "), out)
	if c.emulator != "" {
		return func(args ...string) *exec.Cmd { return exec.Command(c.emulator, append([]string{program}, args...)...) }
	}
	return func(args ...string) *exec.Cmd { return exec.Command(program, args...) }
}

// eachTarget runs a test on all targets.
func eachTarget(t *testing.T, f func(t *testing.T, c target)) {
	for _, c := range targets() {
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
