package c99_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/c99"
	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// suite is a folder with the C files of some models and a driver that runs them.
type suite struct {
	folder string
	files  []string
	input  []byte   // for the driver
	want   []string // the lines that it prints
}

// driver is the name of the file with the driver.
const driver = "driver.c"

// The parts of the driver. It reads runs: the number of a model, the seed, the number of the image, and the
// pixels. It prints the stage, the class and the bits of the output. In place of the number of a model, 1000
// stands for three numbers, for which it prints the fused multiply-add.
const (
	driverHead = `#include <stdio.h>
#include <string.h>
float cnn_fma(float x, float y, float z);
`
	driverModel = `#define %[2]s_DECLARATIONS
#include "%[1]s.c"
`
	driverRun = `static int run_%[1]s(uint64_t seed, uint64_t number, const float *image, float *output, int *class)
{
    *class = %[1]s_classify((%[1]s_memory *)memory, image, seed, number);
    memset(memory, 255, sizeof memory);
    return %[1]s_run((%[1]s_memory *)memory, image, seed, number, output);
}
`
	driverTail = `
static void print_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    printf(" %08x", (unsigned)bits);
}

int main(void)
{
    static float image[4096], output[4096];
    uint64_t head[3];
    while (fread(head, sizeof head, 1, stdin) == 1) {
        int i, stage, class;
        const struct model *m = &models[head[0] < 1000 ? head[0] : 0];
        if (head[0] == 1000) {
            if (fread(image, sizeof *image, 3, stdin) != 3)
                return 1;
            print_bits(cnn_fma(image[0], image[1], image[2]));
            printf("\n");
            continue;
        }
        if (fread(image, sizeof *image, (size_t)m->inputs, stdin) != (size_t)m->inputs)
            return 1;
        stage = m->run(head[1], head[2], image, output, &class);
        printf("%d %d", stage, class);
        for (i = 0; i < m->outputs && stage > 0; i++)
            print_bits(output[i]);
        printf("\n");
    }
    return 0;
}
`
)

// fmaOfFile makes a function of a C file available to the driver.
const fmaOfFile = `
#ifndef CNN_DECLARATIONS
float cnn_fma(float x, float y, float z);
float cnn_fma(float x, float y, float z) { return fma_float(x, y, z); }
#endif
`

// newSuite returns the C files of models, and their results for images and seeds.
func newSuite(t *testing.T, models map[string]*convert.Staged, eightBits bool) *suite {
	s := &suite{folder: t.TempDir()}
	var includes, runs, table strings.Builder
	for i, name := range slices.Sorted(maps.Keys(models)) {
		data, err := convert.StagesToONNX(models[name], convert.Options{Seed: 3})
		require.NoError(t, err, name)
		file, err := c99.Generate(data, c99.Options{Name: name, File: name + ".c", Source: name + ".onnx", Int8: eightBits})
		require.NoError(t, err, name)
		if name == "cnn" {
			file.Code = append(file.Code, fmaOfFile...)
		}
		require.NoError(t, os.WriteFile(filepath.Join(s.folder, name+".c"), file.Code, 0o600))
		s.files = append(s.files, name+".c")
		fmt.Fprintf(&includes, driverModel, name, strings.ToUpper(name))
		fmt.Fprintf(&runs, driverRun, name)
		fmt.Fprintf(&table, "    {%[1]s_INPUTS, %[1]s_OUTPUTS, run_%[2]s},\n", strings.ToUpper(name), name)
		if eightBits {
			data = quantized(t, models[name])
		}
		s.addRuns(t, i, data, models[name].Stages[0].Network.Input)
	}
	code := driverHead + includes.String() + "static double memory[1 << 16];\n" + runs.String() +
		"static const struct model {\n    int inputs, outputs;\n    int (*run)(uint64_t, uint64_t, const float *, float *, int *);\n} models[] = {\n" +
		table.String() + "};\n" + driverTail
	require.NoError(t, os.WriteFile(filepath.Join(s.folder, driver), []byte(code), 0o600))
	s.files = append(s.files, driver)
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

// add adds a part of the input.
func (s *suite) add(values ...any) {
	for _, v := range values {
		var err error
		if s.input, err = binary.Append(s.input, binary.LittleEndian, v); err != nil {
			panic(err) // a mistake in the test
		}
	}
}

// addRuns adds the runs of model i and their results.
func (s *suite) addRuns(t *testing.T, i int, data []byte, size convert.Size) {
	m, err := runtime.New(data)
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	const first, count = 1000, 4
	batch := images(size, count)
	pixels := func(b int) []float32 { return batch.Float32s()[b*batch.Len()/count:][:batch.Len()/count] }
	for _, seed := range []uint64{0, 5, 1 << 63} {
		var stages []int
		out, err := m.Run(context.Background(), map[string]*ops.Tensor{convert.InputName: batch}, runtime.Seed(seed), runtime.FirstImage(first),
			runtime.ReportEffort(func(e runtime.Effort) { stages = e.Stages }))
		if err != nil { // every image has something that a layer refuses
			require.ErrorIs(t, err, ops.ErrValue)
			s.add(uint64(i), seed, uint64(first), pixels(0))
			s.want = append(s.want, "-2 -2")
			continue
		}
		v := out[m.Outputs()[0].Name].Float32s()
		for b := range count {
			s.add(uint64(i), seed, uint64(first+b), pixels(b))
			stage := 1
			if stages != nil {
				stage = stages[b]
			}
			row := v[b*len(v)/count:][:len(v)/count]
			line := fmt.Sprint(stage, " ", slices.Index(row, slices.Max(row)))
			for _, x := range row {
				line += fmt.Sprintf(" %08x", math.Float32bits(x))
			}
			s.want = append(s.want, line)
		}
	}
	for j, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), 2.5, -1.5} {
		image := pixels(0)
		image[j*(len(image)-1)/3] = bad
		s.add(uint64(i), uint64(0), uint64(0), image)
		s.want = append(s.want, "-1 -1")
		image[j*(len(image)-1)/3] = 0.5
	}
}

// addFMAs adds fused multiply-adds: of any bits, and of numbers whose sum is close to a tie.
func (s *suite) addFMAs() {
	r := rand.New(rand.NewPCG(8, 9))
	add := func(x, y, z float32) {
		v := portmath.FMA(x, y, z)
		if v != v {
			return // the bits of NaN differ
		}
		s.add(uint64(1000), uint64(0), uint64(0), [3]float32{x, y, z})
		s.want = append(s.want, fmt.Sprintf(" %08x", math.Float32bits(v)))
	}
	for range 3000 {
		add(math.Float32frombits(r.Uint32()), math.Float32frombits(r.Uint32()), math.Float32frombits(r.Uint32()))
	}
	for _, scale := range []int{0, -100, 40, -125, -127, -130, -149} {
		for range 500 {
			d := math.Ldexp(float64(1+r.IntN(3)), -10-r.IntN(14))
			x, y := 1+d, 1-d
			if r.IntN(2) == 0 {
				y = x
			}
			z := math.Ldexp(float64(r.Uint32N(1<<24))*2, scale)
			x, y = math.Ldexp(x, scale/2), math.Ldexp(y, scale-scale/2)
			add(float32(x), float32(y), float32(z))
			add(float32(-x), float32(y), float32(z))
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
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	require.Equal(t, s.want, got)
}

func TestGenerate_ComputesTheBitsOfTheRuntime(t *testing.T) {
	s := newSuite(t, networks(), false)
	s.addFMAs()
	refused := 0
	for _, line := range s.want {
		if line == "-2 -2" {
			refused++
		}
	}
	require.Equal(t, 3, refused, "the runs of the model that refuses its images")
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
	eachTarget(t, func(t *testing.T, c target) { s.check(t, c) }, "gcc", "clang", "gcc fma", "cortex-m4")
}

// The models of this repository, with their sizes and numbers of spikes.
func TestGenerate_ComputesTheBitsOfTheModels(t *testing.T) {
	if os.Getenv(everything) == "" {
		t.Skip("only make embedded tests this")
	}
	models := map[string]*convert.Staged{"cnn": single(cnn())}
	for _, name := range []string{"mnist-fast", "mnist-nnmf", "cifar10-fast"} {
		data, err := os.ReadFile(filepath.Join("../../models", name, "model.onnx"))
		require.NoError(t, err)
		models[c99.NameOf(name)], err = convert.StagesFromONNX(data)
		require.NoError(t, err)
	}
	s := newSuite(t, models, false)
	eachTarget(t, func(t *testing.T, c target) { s.check(t, c) }, "gcc fma")
}
