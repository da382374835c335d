package c99_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/c99"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
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
		{"clang", "clang", append(slices.Clone(strict), sanitize...), "", true},
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

// suite is a folder with the C files of some models and a driver that runs them.
type suite struct {
	folder string
	files  []string
	input  []byte   // for the driver
	want   []string // the lines that it prints
}

// driverHead and driverTail surround the list of models. The driver reads runs: the number of a model, the
// seed, the number of the image, and the pixels. It prints the stage and the bits of the output.
const (
	driverTail = `
int main(void)
{
    static float image[4096], output[4096];
    uint64_t head[3];
    while (fread(head, sizeof head, 1, stdin) == 1) {
        const struct model *m = &models[head[0]];
        int i, stage;
        if (fread(image, sizeof *image, (size_t)m->inputs, stdin) != (size_t)m->inputs)
            return 1;
        memset(memory, 255, sizeof memory);
        stage = m->run(head[1], head[2], image, output);
        printf("%d", stage);
        for (i = 0; i < m->outputs && stage > 0; i++) {
            uint32_t bits;
            memcpy(&bits, output + i, sizeof bits);
            printf(" %08x", (unsigned)bits);
        }
        printf("\n");
    }
    return 0;
}
`
	driverHead = `#include <stdio.h>
#include <string.h>
`
	driverModel = `#define %[2]s_DECLARATIONS
#include "%[1]s.c"
`
	driverRun = `static int run_%[1]s(uint64_t seed, uint64_t number, const float *image, float *output)
{
    return %[1]s_run((%[1]s_memory *)memory, image, seed, number, output);
}
`
)

// newSuite returns the C files of models, and their results for images and seeds.
func newSuite(t *testing.T, models map[string]*convert.Staged, int8 bool) *suite {
	s := &suite{folder: t.TempDir()}
	var includes, runs, table strings.Builder
	for i, name := range slices.Sorted(maps.Keys(models)) {
		data, err := convert.StagesToONNX(models[name], convert.Options{Seed: 3})
		require.NoError(t, err, name)
		code, err := c99.Generate(data, c99.Options{Name: name, File: name + ".c", Source: name + ".onnx", Int8: int8})
		require.NoError(t, err, name)
		require.NoError(t, os.WriteFile(filepath.Join(s.folder, name+".c"), code, 0o600))
		s.files = append(s.files, name+".c")
		fmt.Fprintf(&includes, driverModel, name, strings.ToUpper(name))
		fmt.Fprintf(&runs, driverRun, name)
		fmt.Fprintf(&table, "    {%[1]s_INPUTS, %[1]s_OUTPUTS, run_%[2]s},\n", strings.ToUpper(name), name)
		if int8 {
			data = quantized(t, models[name])
		}
		s.addRuns(t, i, data, models[name].Stages[0].Network.Input)
	}
	driver := driverHead + includes.String() + "static double memory[1 << 16];\n" + runs.String() +
		"static const struct model {\n    int inputs, outputs;\n    int (*run)(uint64_t, uint64_t, const float *, float *);\n} models[] = {\n" +
		table.String() + "};\n" + driverTail
	require.NoError(t, os.WriteFile(filepath.Join(s.folder, "driver.c"), []byte(driver), 0o600))
	s.files = append(s.files, "driver.c")
	return s
}

// quantized returns the model with the weights that a C file with 8 bits has.
func quantized(t *testing.T, s *convert.Staged) []byte {
	q := &convert.Staged{}
	for _, stage := range s.Stages {
		n, err := c99.Quantize(stage.Network)
		require.NoError(t, err)
		q.Stages = append(q.Stages, convert.Stage{Network: n, Threshold: stage.Threshold})
	}
	data, err := convert.StagesToONNX(q, convert.Options{Seed: 3})
	require.NoError(t, err)
	return data
}

// addRuns adds the runs of model i and their results.
func (s *suite) addRuns(t *testing.T, i int, data []byte, size convert.Size) {
	m, err := runtime.New(data)
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	const first, count = 1000, 4
	batch := images(size, count)
	for _, seed := range []uint64{0, 5, 1 << 63} {
		var stages []int
		out, err := m.Run(context.Background(), map[string]*ops.Tensor{convert.InputName: batch}, runtime.Seed(seed), runtime.FirstImage(first),
			runtime.ReportEffort(func(e runtime.Effort) { stages = e.Stages }))
		require.NoError(t, err)
		v := out[m.Outputs()[0].Name].Float32s()
		for b := range count {
			pixels := batch.Float32s()[b*batch.Len()/count:][:batch.Len()/count]
			for _, x := range []any{uint64(i), seed, uint64(first + b), pixels} {
				s.input, err = binary.Append(s.input, binary.LittleEndian, x)
				require.NoError(t, err)
			}
			stage := 1
			if stages != nil {
				stage = stages[b]
			}
			line := fmt.Sprint(stage)
			for _, x := range v[b*len(v)/count:][:len(v)/count] {
				line += fmt.Sprintf(" %08x", math.Float32bits(x))
			}
			s.want = append(s.want, line)
		}
	}
}

// check compiles the suite, runs it and compares all results.
func (s *suite) check(t *testing.T, c target) {
	cmd := c.compile(t, s.folder, s.files...)()
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(s.input), &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Equal(t, s.want, got)
}

func TestGenerate_ComputesTheBitsOfTheRuntime(t *testing.T) {
	s := newSuite(t, networks(), false)
	eachTarget(t, func(t *testing.T, c target) { s.check(t, c) })
}

func TestGenerate_WithInt8ComputesTheBitsOfTheQuantizedModel(t *testing.T) {
	models := networks()
	for name := range models {
		if name != "staged" && name != "samplers" && name != "cnn" && name != "nnmf_odd" {
			delete(models, name) // the weights are the only difference
		}
	}
	s := newSuite(t, models, true)
	eachTarget(t, func(t *testing.T, c target) { s.check(t, c) })
}
