package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fixture returns functions that llvm-objdump has disassembled.
func fixture(t *testing.T, name string) *program {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	functions, err := parse(f)
	require.NoError(t, err)
	return &program{functions: functions, prefix: kernelPackage + ".", trips: trips(), taken: taken(), inlined: inlined()}
}

func TestLoops_AreNested(t *testing.T) {
	p := fixture(t, "arm64.txt")
	loops := p.functions[p.prefix+"weightTapsNEON.abi0"].loops()
	require.Len(t, loops, 4)
	for n, inner := range []bool{false, true, false, true} {
		require.Equal(t, inner, loops[n].inner, n)
	}
	require.True(t, loops[0].contains(loops[1].first) && loops[0].contains(loops[1].last))
}

func TestTrace_RepeatsTheLoopsInside(t *testing.T) {
	p := fixture(t, "arm64.txt")
	_, err := p.trace("weightTapsNEON.abi0", 0)
	require.ErrorContains(t, err, "weightTapsNEON.abi0#1", "the number of iterations is not known")
	inner, err := p.trace("weightTapsNEON.abi0", 1)
	require.NoError(t, err)
	p.trips["weightTapsNEON.abi0#1"] = 0
	none, err := p.trace("weightTapsNEON.abi0", 0)
	require.NoError(t, err)
	p.trips["weightTapsNEON.abi0#1"] = 3
	three, err := p.trace("weightTapsNEON.abi0", 0)
	require.NoError(t, err)
	require.Len(t, three, len(none)+3*len(inner))
	require.Equal(t, 128, stored(three))
	require.Equal(t, 0, stored(inner))
}

func TestTrace_FollowsCallsAndBranches(t *testing.T) {
	p := fixture(t, "arm64.txt")
	without, err := p.trace("mapPortable", 0)
	require.NoError(t, err)
	p.indirect = "exp"
	with, err := p.trace("mapPortable", 0)
	require.NoError(t, err)
	require.Greater(t, len(with), len(without)+20)
	steps := 0
	for _, i := range with {
		if strings.HasPrefix(i.operation(), "fmadd") || strings.HasPrefix(i.operation(), "fmsub") || strings.HasPrefix(i.operation(), "fnm") {
			steps++
		}
	}
	require.Equal(t, 8, steps, "fused multiply-adds of an exponential: 3 before the polynomial, 4 in it, 1 after it")

	number, err := p.trace("Quantize", 0)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(number, func(i instruction) bool { return i.operation() == "frintn" }))
	p.taken["Quantize#0"] = nil
	nan, err := p.trace("Quantize", 0)
	require.NoError(t, err)
	require.False(t, slices.ContainsFunc(nan, func(i instruction) bool { return i.operation() == "frintn" }))
}

func TestCheckVectors_FindsScalarLoops(t *testing.T) {
	p := fixture(t, "arm64.txt")
	require.NoError(t, checkVectors(p))
	scalar := p.functions[p.prefix+"expReduced"]
	p.functions[p.prefix+"sampleTableNEON.abi0"] = scalar
	require.NoError(t, checkVectors(p), "sampleTable is known to be scalar")
	p.functions[p.prefix+"polynomialNEON.abi0"] = scalar
	require.ErrorContains(t, checkVectors(p), "polynomialNEON.abi0 has no vector instruction")
	require.ErrorContains(t, checkVectors(&program{prefix: p.prefix}), "no functions for NEON")
}

func TestStored_CountsBytesOfVectors(t *testing.T) {
	for text, want := range map[string]int{
		"stp q0, q1, [x4]":                16 + 16,
		"str q0, [x3], #0x10":             16,
		"stp s8, s9, [x4]":                8,
		"ldp q0, q1, [x4]":                0,
		"st1 { v0.16b }, [x0]":            0, // the assembly has none
		"vmovups %zmm8, 0x40(%r12,%r13)":  64,
		"vmovups %ymm8, (%r12)":           32,
		"vmovups (%r12,%r13), %zmm8":      0,
		"vmovdqu32 %zmm19, (%rax,%r9,4)":  64,
		"vmovaps %ymm1, %ymm2":            0,
		"vfmadd231ps (%r10), %zmm8, %zmm": 0,
	} {
		require.Equal(t, want, stored([]instruction{{text: text}}), text)
	}
	p := fixture(t, "amd64.txt")
	trace, err := p.trace("reluAVX512.abi0", 0)
	require.NoError(t, err)
	require.Equal(t, 64, stored(trace))
	require.True(t, slices.ContainsFunc(trace, instruction.isVector))
}

func TestAssembly_HasNoAddresses(t *testing.T) {
	p := fixture(t, "arm64.txt")
	trace, err := p.trace("reluNEON.abi0", 0)
	require.NoError(t, err)
	text := assembly(trace)
	require.NotContains(t, text, kernelPackage)
	require.Contains(t, text, "\tb.lt 1f\n1:\n", "a branch leads to the next instruction")
	require.Equal(t, len(trace), strings.Count(text, "\t"))
}

func TestParseBenchmarks_TakesTheShortestRun(t *testing.T) {
	all, err := parseBenchmarks(`cpu: Intel
BenchmarkUpdate/avx2/fast/n=10-2         	    7587	      3028 ns/op	         4.877 cycles/spike	         1.577 ns/spike
BenchmarkUpdate/avx2/fast/n=10-2         	    7587	      3028 ns/op	         4.700 cycles/spike	         1.577 ns/spike
BenchmarkLists/avx2/exp-2                	   20000	      1028 ns/op	         1.200 cycles/number
`)
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"Update/avx2/fast/n=10": 4.7, "Lists/avx2/exp": 1.2}, all)
	_, err = parseBenchmarks("PASS\n")
	require.Error(t, err)
}
