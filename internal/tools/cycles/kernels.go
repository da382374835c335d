package main

import (
	"fmt"
	"slices"
)

// count is a way to count the units of work of an iteration.
type count int

const (
	storedSingles count = -1 // 4 bytes that are stored
	storedBytes   count = -2
)

// code is a loop of a function, and the units of work of an iteration. If the work needs several loops one after the
// other, there is a code for each of them.
type code struct {
	function string
	loop     int
	units    count
	times    float64 // how often the units are needed for one of the row
}

// kernel is an inner loop of package kernel.
type kernel struct {
	group, name, unit            string
	neon, avx2, avx512, portable []code // portable is the code that Go compiles for arm64
	measured                     string // the benchmark, with %s for the tier
	indirect                     string // the function that the portable code calls
	note                         string
}

func one(function string, loop int, units count) []code { return []code{{function, loop, units, 1}} }

// forEach returns codes that are needed several times.
func forEach(times float64, codes ...[]code) []code {
	all := slices.Concat(codes...)
	for i := range all {
		all[i].times = times
	}
	return all
}

// neon, avx2 and avx512 are loops in assembly.
func neon(function string, loop int, units count) []code {
	return one(function+"NEON.abi0", loop, units)
}
func avx2(function string, loop int, units count) []code {
	return one(function+"AVX2.abi0", loop, units)
}
func avx512(function string, loop int, units count) []code {
	return one(function+"AVX512.abi0", loop, units)
}

// fours is how many times four positions of a group the updates with NEON are measured with.
const fours = 4

// update is a kernel that applies a spike.
func update(kind string, neurons, vectors int) kernel {
	label := map[string]string{"Fast": "fast", "General": "general", "Forgetting": "forgetting"}[kind]
	k := kernel{
		group: "Updates of h", name: fmt.Sprintf("%s, %d neurons", label, neurons), unit: "spike",
		portable: one(portableUpdate(kind, neurons), 2, 1), measured: fmt.Sprintf("Update/%%s/%s/n=%d", label, neurons),
	}
	if neurons > 96 {
		k.neon, k.avx2, k.avx512 = neon("update"+kind+"Wide", 0, 4), avx2("update"+kind+"Wide", 0, 4), avx512("update"+kind+"Wide", 0, 4)
		return k
	}
	wide := (neurons + 15) / 16 * 16
	group := count(12)
	if wide == 16 {
		group = 24
	}
	if k.neon = neon(fmt.Sprintf("update%s%d", kind, vectors), 0, 4*fours); vectors >= 16 {
		k.neon = neon(fmt.Sprintf("update%s%d", kind, vectors), 1, 4)
	}
	k.avx2 = avx2(fmt.Sprintf("update%s%d", kind, wide), 0, 12)
	k.avx512 = avx512(fmt.Sprintf("update%s%d", kind, wide), 0, group)
	return k
}

// portableUpdate names updatePortable with the settings of a kernel; see resolve.
func portableUpdate(kind string, neurons int) string {
	return fmt.Sprintf("updatePortable:%s:%d", kind, neurons)
}

func elementwise(group, name, function string, portable []code) kernel {
	return kernel{
		group: group, name: name, unit: "number", portable: portable, measured: "Lists/%s/" + name,
		neon: neon(function, 0, storedSingles), avx2: avx2(function, 0, storedSingles), avx512: avx512(function, 0, storedSingles),
	}
}

func functionOf(name, function string) kernel {
	k := elementwise("Functions of lists", name, function, one("mapPortable", 0, 1))
	k.indirect = function
	return k
}

// kernels returns the rows of the table.
func kernels() []kernel {
	var all []kernel
	for _, kind := range []string{"Fast", "General", "Forgetting"} {
		for _, n := range []struct{ neurons, vectors int }{{10, 12}, {16, 16}, {32, 32}, {64, 64}, {96, 96}, {128, 128}} {
			all = append(all, update(kind, n.neurons, n.vectors))
		}
	}
	const saved = "a binary search saves the making of the table, about 3 cycles for each entry on N1, which portable code does with the thresholds"
	const scalar = "the search is scalar code: NEON cannot load a vector from scattered addresses"
	all = append(all,
		kernel{
			group: "Spikes", name: "independent, 25 entries, with a table", unit: "spike", note: scalar, measured: "Sample/%s/k=25",
			neon: neon("sampleTable", 0, 4), avx2: one("sampleAVX2.abi0:registers", 1, 8), avx512: one("sampleAVX512.abi0:registers", 1, 16),
			portable: one("samplePortable:iid", 0, chunk),
		},
		kernel{
			group: "Spikes", name: "low-discrepancy, 25 entries, with a table", unit: "spike", note: scalar,
			neon: neon("sampleTableLowDiscrepancy", 0, 4),
			avx2: one("sampleLowDiscrepancyAVX2.abi0:registers", 1, 8), avx512: one("sampleLowDiscrepancyAVX512.abi0:registers", 1, 16),
			portable: one("samplePortable:low-discrepancy", 0, chunk),
		},
		kernel{
			group: "Spikes", name: table64, unit: "spike", note: scalar,
			neon:     neon("sampleTableLowDiscrepancy", 0, 4),
			avx2:     append(one("sampleLowDiscrepancyAVX2.abi0:memory", 1, 8), avx2("sampleLowDiscrepancy", 3, 4)...),
			avx512:   one("sampleLowDiscrepancyAVX512.abi0:64", 1, 16),
			portable: one("samplePortable:low-discrepancy", 0, chunk),
		},
		kernel{
			group: "Spikes", name: bisection64, unit: "spike", note: saved,
			neon:     one("sampleHalvesLowDiscrepancyNEON.abi0:6", 0, 8),
			avx2:     append(one("sampleLowDiscrepancyAVX2.abi0:memory", 1, 8), avx2("sampleLowDiscrepancy", 3, 4)...),
			avx512:   one("sampleLowDiscrepancyAVX512.abi0:64", 1, 16),
			portable: one("samplePortable:low-discrepancy", 0, chunk),
		},
		kernel{
			group: "Spikes", name: bisection, unit: "spike", note: saved,
			neon:     one("sampleHalvesLowDiscrepancyNEON.abi0:10", 0, 8),
			avx2:     append(one("sampleLowDiscrepancyAVX2.abi0:memory", 1, 8), avx2("sampleLowDiscrepancy", 4, 4)...),
			avx512:   append(one("sampleLowDiscrepancyAVX512.abi0:memory", 1, 16), avx512("sampleLowDiscrepancy", 4, 4)...),
			portable: one("samplePortable:low-discrepancy", 0, chunk),
		},
		kernel{
			group: "Spikes", name: "22 spikes of 1024 entries, with all tables", unit: "spike",
			note:     "the search is scalar code, and the conversions of the thresholds have one or two units",
			neon:     append(one("sampleHalvesLowDiscrepancyNEON.abi0:10", 0, 8), forEach(1024./22, neon("totalsRow1", 0, 8), neon("thresholdsRow1", 0, 32))...),
			portable: append(one("samplePortable:low-discrepancy", 0, chunk), forEach(1024./22, one("CumulateAt4", 0, 4), one("lookup.prepare", 0, 1))...),
		},
		kernel{
			group: "Spikes", name: "cumulative sums", unit: "entry",
			neon: neon("totalsRow1", 0, 8), avx2: avx2("totalsRow1", 0, 8), avx512: avx512("totalsRow1", 0, 16), portable: one("CumulateAt4", 0, 4),
		},
		kernel{
			group: "Spikes", name: "thresholds, with the sums again", unit: "entry",
			neon: neon("thresholdsRow1", 0, 32), avx2: avx2("thresholdsRow1", 0, 64), avx512: avx512("thresholdsRow1", 0, 256),
			portable: one("lookup.prepare", 0, 1), note: "assembly adds the sums again instead of storing them, which portable code does not",
		},
		kernel{
			group: "Spikes", name: "thresholds, from the sums", unit: "entry",
			neon: neon("thresholds", 0, storedSingles), avx2: avx2("thresholds", 0, storedSingles), avx512: avx512("thresholds", 0, storedSingles),
			portable: one("lookup.prepare", 0, 1),
		},
		// In portable code, this is a part of the thresholds.
		kernel{group: "Spikes", name: tableOf, unit: "entry", neon: neon("starts", 0, 1)},
		kernel{
			group: "Products", name: "gemm, largest tile", unit: "product",
			neon: neon("gemm6x16", 0, 96), avx2: avx2("gemm6x16", 0, 96), avx512: avx512("gemm14x32", 0, 448), portable: one("tilePortable", 2, 4),
		},
		kernel{
			group: "Products", name: "convolution in place", unit: "product",
			neon: neon("windows3x16", 0, 96), avx2: avx2("windows3x16", 0, 96), avx512: avx512("windows7x32", 0, 448), portable: one("windowsPortable", 1, 4),
		},
		kernel{
			group: "Products", name: "both matrices in place", unit: "product",
			neon: neon("direct6x16", 0, 96), portable: one("tilePortable", 2, 4),
		},
		kernel{
			group: "Products", name: "one row", unit: "product",
			neon: neon("row4x", 0, 64), portable: one("tilePortable", 2, 4),
		},
		kernel{
			group: "Products", name: "rows of the transposed matrix", unit: "product", note: "blocks of 4 x 4 are transposed in registers, which takes twice as many operations as the products",
			neon: neon("rowSums16", 0, 64), portable: one("rowSumsPortable", 1, 4),
		},
		kernel{
			group: "Products", name: "int8, SDOT or VNNI", unit: "product",
			neon: one("dots6x16DOT.abi0", 0, 4*6*16*4), avx2: one("dots6x16VNNI.abi0", 0, 6*16*4), avx512: one("dots14x32VNNI512.abi0", 0, 14*32*4),
			portable: one("dotsPortable", 1, 16),
		},
		kernel{
			group: "Products", name: "int8, without dot product", unit: "product",
			neon: neon("dots4x16", 0, 4*16*2), avx2: avx2("dots6x16", 0, 6*16*2), portable: one("dotsPortable", 1, 16),
		},
		kernel{
			group: "Products", name: "int8, depthwise", unit: "product",
			neon: neon("depthwise", 1, 32), portable: one("depthwisePortable", 2, 1),
		},
		kernel{
			group: "Windows", name: "weighted taps", unit: "product",
			neon: neon("weightTaps", 1, 32), avx2: avx2("weightTaps", 1, 32), avx512: avx512("weightTaps", 1, 64), portable: one("WeightTaps", 1, 1),
		},
		kernel{
			group: "Windows", name: "largest of taps", unit: "number",
			neon: neon("maxTaps", 1, 32), avx2: avx2("maxTaps", 1, 32), portable: one("MaxTaps", 1, 1),
		},
		kernel{
			group: "Windows", name: "sum of taps in float64", unit: "number",
			neon: neon("meanTaps", 1, 4), avx2: avx2("meanTaps", 1, 8), portable: one("MeanTaps", 1, 1),
		},
		elementwise("Windows", "relu", "relu", one("Relu", 0, 1)),
		kernel{
			group: "Windows", name: "maximum of 2 x 2", unit: "number", measured: "Lists/%s/maximum of 2 x 2",
			neon: neon("maxPool", 1, storedSingles), avx2: avx2("maxPool", 1, storedSingles), avx512: avx512("maxPool", 1, storedSingles), portable: one("MaxPool2", 0, 1),
		},
		kernel{
			group: "Windows", name: "mean of 2 x 2", unit: "number", measured: "Lists/%s/mean of 2 x 2",
			neon: neon("meanPool", 1, storedSingles), avx2: avx2("meanPool", 1, storedSingles), avx512: avx512("meanPool", 1, storedSingles), portable: one("MeanPool2", 0, 1),
		},
		kernel{
			group: "Integers", name: "quantize", unit: "number", measured: "Lists/%s/quantize",
			neon: neon("quantize", 0, storedBytes), avx2: avx2("quantize", 0, 8), avx512: avx512("quantize", 0, 16), portable: one("Quantize", 0, 1),
		},
		kernel{
			group: "Integers", name: "requantize", unit: "number",
			neon: neon("requantize", 0, storedBytes), avx2: avx2("requantize", 0, 8), avx512: avx512("requantize", 0, 16), portable: one("Requantize", 0, 1),
		},
		kernel{
			group: "Integers", name: "dequantize", unit: "number", measured: "Lists/%s/dequantize",
			neon: neon("dequantize", 0, storedSingles), avx2: avx2("dequantize", 0, storedSingles), avx512: avx512("dequantize", 0, storedSingles), portable: one("Dequantize", 0, 1),
		},
		kernel{
			group: "Integers", name: "int32 to 8 bits", unit: "number",
			neon: neon("narrow", 0, storedBytes), avx2: avx2("narrow", 0, 8), avx512: avx512("narrow", 0, 16), portable: one("Narrow", 0, 1),
		},
		kernel{
			group: "Integers", name: "numbers to 8 bits", unit: "number",
			neon: neon("truncateBytes", 0, storedBytes), avx2: avx2("truncateBytes", 0, 8), avx512: avx512("truncateBytes", 0, 16), portable: one("TruncateBytes", 0, 1),
		},
		functionOf("exp", "exp"), functionOf("sigmoid", "sigmoid"), functionOf("tanh", "tanh"), functionOf("erf", "erf"), functionOf("gelu", "gelu"),
		kernel{
			group: "Functions of lists", name: "softmax, without the largest number", unit: "number",
			neon: append(neon("expSum", 0, storedSingles), neon("scale", 0, storedSingles)...),
			avx2: append(avx2("softmax", 2, storedSingles), avx2("softmax", 3, storedSingles)...), avx512: append(avx512("softmax", 2, storedSingles), avx512("softmax", 3, storedSingles)...),
			portable: append(one("ExpSum", 0, 1), one("softmax", 3, 1)...),
		},
		kernel{
			group: "Functions of lists", name: "power", unit: "number",
			neon: neon("pow", 0, storedSingles), portable: one("Pow", 1, 1),
		},
		elementwise("Functions of lists", "add", "add", one("Combine", 4, 1)),
		kernel{
			group: "Functions of lists", name: "sum in float64", unit: "number", measured: "Lists/%s/sum in float64",
			neon: neon("totalNumbers", 0, 32), avx2: avx2("totalNumbers", 0, 32), avx512: avx512("totalNumbers", 0, 32), portable: one("Total", 1, 1),
		},
		kernel{
			group: "Functions of lists", name: "add to sums in float64", unit: "number",
			neon: neon("accumulateNumbers", 0, 16), avx2: avx2("accumulateNumbers", 0, 8), portable: one("Accumulate", 0, 1),
		},
		kernel{
			group: "Functions of lists", name: "add rows", unit: "number",
			neon: neon("addRows", 1, storedSingles), avx2: avx2("addRows", 1, storedSingles), avx512: avx512("addRows", 1, storedSingles), portable: one("AddRows", 1, 1),
		},
		kernel{
			group: "Functions of lists", name: "largest", unit: "number", indirect: "larger", measured: "Lists/%s/largest",
			neon: neon("largest", 0, 16), avx2: avx2("largest", 0, 16), portable: one("extreme", 1, 1),
		},
		kernel{
			group: "Functions of lists", name: "transpose", unit: "number", measured: "Lists/%s/transpose",
			neon: neon("transpose", 1, storedSingles), portable: one("transpose", 0, 1),
		},
		kernel{
			group: "Functions of lists", name: "float16 to float32", unit: "number", measured: "Lists/%s/float16 to float32",
			neon: neon("fromHalf", 0, storedSingles), avx2: avx2("fromHalf", 0, 8), avx512: avx512("fromHalf", 0, 16),
			note: "the portable code is not in this package",
		},
	)
	return all
}

// chunk is the number of spikes that are drawn at once.
const chunk = 160

// trips says how often the loops inside others run.
func trips() map[string]int {
	t := map[string]int{
		"expReduced#0": 4, "erf#0": 8, "gelu#0": 11, // the coefficients of polynomials, without the first one
		"grow#2": 8, "grow#3": 8,
		"samplePortable#1": chunk, "samplePortable#2": 1, "samplePortable#3": chunk,
		"startsNEON.abi0#1":            1, // four entries of the table at once; it has two to four for each threshold
		"accumulateNumbersAVX2.abi0#1": 1, // row
		"accumulateNumbersNEON.abi0#1": 1,
		"addRowsNEON.abi0#2":           0,
		"addRowsNEON.abi0#3":           0,
	}
	for _, sampler := range []string{"sampleTable", "sampleTableLowDiscrepancy"} {
		for n := 1; n <= 4; n++ {
			t[place(sampler+"NEON.abi0", n)] = 1
		}
	}
	for _, kind := range []string{"Fast", "General", "Forgetting"} {
		t["update"+kind+"12NEON.abi0#1"] = fours
		for n := 1; n <= 4; n++ {
			t[place("update"+kind+"WideNEON.abi0", n)] = 128 / 32
			t[place("update"+kind+"WideAVX2.abi0", n)] = 128 / 32
			t[place("update"+kind+"WideAVX512.abi0", n)] = 128 / 64
		}
	}
	return t
}

// taken has the conditional branches of portable code that are taken.
func taken() map[string][]int {
	return map[string][]int{
		"samplePortable#1": {0}, // the random number is not 0
		"Quantize#0":       {0}, // the number is not NaN
		"Total#1":          {0}, // the numbers, not their magnitudes
		"Accumulate#0":     {0},

		portmath + "PowSingle#-1": {4},    // the number is normal in float64
		portmath + "Exp#-1":       {3, 4}, // so is the power
	}
}

// portmath is the beginning of the names of the functions of package portmath.
const portmath = "github.com/spike-by-spike/sbs/internal/portmath."

// inlined has the functions whose code takes the place of their calls.
func inlined() map[string]bool {
	names := map[string]bool{portmath + "PowSingle": true, portmath + "Exp": true, portmath + "expReduced": true}
	for _, name := range []string{
		"grow", "numbers", "larger", "exp", "expMinus", "expNegative", "expWithin", "expReduced", "sigmoid", "tanh", "erf", "gelu",
	} {
		names[name] = true
	}
	return names
}

// scalarLoops are the inner loops of the assembly without vector instructions.
var scalarLoops = map[string]string{
	"sampleTable": "the search in a table", "sampleTableLowDiscrepancy": "the search in a table",
	"sampleHalves": "binary searches", "sampleHalvesLowDiscrepancy": "binary searches",
	"packScattered": "numbers are copied from scattered addresses",
}
