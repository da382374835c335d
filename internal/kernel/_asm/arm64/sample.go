package main

// Constants of the random numbers of package kernel.
const (
	gamma = 0x9e3779b97f4a7c15
	mix1  = 0xbf58476d1ce4e5b9
	mix2  = 0x94d049bb133111eb
)

// sampleGroup is the number of spikes that are searched at once.
const sampleGroup = 4

// General registers of the functions that draw spikes.
const (
	rSpikes, rCount, rThresholds, rTable = R0, R1, R2, R3
	rState, rScale, rStep                = R4, R5, R6
	rMix1, rMix2                         = R7, R8
	rFirst                               = R9  // of sampleGroup registers with random numbers
	rFound                               = R13 // of as many with results: R13 to R15 and R19
)

// found returns the register of result i.
func found(i int) int { return [...]int{R13, R14, R15, R19}[i] }

func sampleNames(name string, lowDiscrepancy bool) (string, string) {
	if lowDiscrepancy {
		return name + "LowDiscrepancyNEON", "state is its first random number."
	}
	return name + "NEON", "state is counter(key, i) of its first random number i."
}

// drawing generates the functions that draw spikes.
func drawing() {
	for _, lowDiscrepancy := range []bool{false, true} {
		sampleWithTable(lowDiscrepancy)
		sampleByHalves(lowDiscrepancy)
	}
	startsTable()
	thresholdsOfSums()
	for spans := 1; spans <= 3; spans++ {
		d := &drawer{spans: spans}
		d.totalsRow()
		d.thresholdsRow()
	}
}

// random loads the state and the constants of random numbers.
func (f *function) random(lowDiscrepancy bool) {
	f.load("state", rState)
	f.load("scale", rScale)
	if lowDiscrepancy {
		f.o("MOVD $%d, R%d", gamma>>32, rStep)
		return
	}
	f.o("MOVD $%d, R%d", -int64(1<<64-gamma), rStep)
	f.o("MOVD $%d, R%d", -int64(1<<64-mix1), rMix1)
	f.o("MOVD $%d, R%d", -int64(1<<64-mix2), rMix2)
}

// numbers computes the next random numbers, halved and at least 1.
func (f *function) numbers(lowDiscrepancy bool) {
	for i := range sampleGroup {
		r := rFirst + i
		switch {
		case lowDiscrepancy:
			f.o("UBFX $1, R%d, $31, R%d", rState, r)
			f.o("ADD R%d, R%d, R%d", rStep, rState, rState)
		case i%2 == 0:
			f.o("EOR R%d>>30, R%d, R%d", rState, rState, r)
			f.o("MUL R%d, R%d, R%d", rMix1, r, r)
			f.o("EOR R%d>>27, R%d, R%d", r, r, r)
			f.o("MUL R%d, R%d, R%d", rMix2, r, r)
			f.o("EOR R%d>>31, R%d, R%d", r, r, r)
			f.o("ADD R%d, R%d, R%d", rStep, rState, rState)
			f.o("LSR $33, R%d, R%d", r, r+1)
			f.o("UBFX $1, R%d, $31, R%d", r, r)
		}
	}
	for i := range sampleGroup {
		r := rFirst + i
		f.o("CMP $1, R%d", r)
		f.o("CSINC HS, R%d, ZR, R%d", r, r)
	}
}

// storeSpikes stores scale times the results.
func (f *function) storeSpikes() {
	for i := range sampleGroup {
		f.o("MULW R%d, R%d, R%d", rScale, found(i), found(i))
	}
	f.o("STPW (R%d, R%d), (R%d)", found(0), found(1), rSpikes)
	f.o("STPW (R%d, R%d), 8(R%d)", found(2), found(3), rSpikes)
	f.o("ADD $16, R%d, R%d", rSpikes, rSpikes)
}

// sampleWithTable generates the function that begins a search in a table.
func sampleWithTable(lowDiscrepancy bool) {
	name, state := sampleNames("sampleTable", lowDiscrepancy)
	f := newFunction(name, "func(dst *uint32, n int, thresholds, starts *uint32, shift int, state uint64, scale uint32)",
		name+" writes scale times the spikes for n consecutive random numbers of a position. n is a multiple of 4.",
		"Entry b of starts is the spike for the smallest half of a random number that is b when shifted to the right.", state)
	f.load("dst", rSpikes)
	f.load("n", rCount)
	f.load("thresholds", rThresholds)
	f.load("starts", rTable)
	const shift, value = R20, R21
	f.load("shift", shift)
	f.random(lowDiscrepancy)
	f.loop(rCount, sampleGroup, func() {
		f.numbers(lowDiscrepancy)
		for i := range sampleGroup {
			f.o("LSR R%d, R%d, R%d", shift, rFirst+i, found(i))
			f.o("MOVWU (R%d)(R%d<<2), R%d", rTable, found(i), found(i))
		}
		// Two steps without a jump are enough for most numbers.
		for range 2 {
			for i := range sampleGroup {
				f.o("MOVWU (R%d)(R%d<<2), R%d", rThresholds, found(i), value)
				f.o("CMP R%d, R%d", rFirst+i, value)
				f.o("CINC LO, R%d, R%d", found(i), found(i))
			}
		}
		for i := range sampleGroup {
			next, check := f.unique("next"), f.unique("check")
			f.label(check)
			f.o("MOVWU (R%d)(R%d<<2), R%d", rThresholds, found(i), value)
			f.o("CMP R%d, R%d", rFirst+i, value)
			f.o("BHS %s", next)
			f.o("ADD $1, R%d, R%d", found(i), found(i))
			f.o("B %s", check)
			f.label(next)
		}
		f.storeSpikes()
	})
	f.ret()
}

// sampleByHalves generates the function that searches without a table.
func sampleByHalves(lowDiscrepancy bool) {
	name, state := sampleNames("sampleHalves", lowDiscrepancy)
	f := newFunction(name, "func(dst *uint32, n int, thresholds *uint32, k int, state uint64, scale uint32)",
		name+" writes scale times the spikes for n consecutive random numbers of a position with k thresholds,",
		"by binary search. n is a multiple of 4.", state)
	f.load("dst", rSpikes)
	f.load("n", rCount)
	f.load("thresholds", rThresholds)
	const all, left, half, value, upper = R20, R21, R22, R23, R24
	f.load("k", all)
	f.random(lowDiscrepancy)
	f.loop(rCount, sampleGroup, func() {
		f.numbers(lowDiscrepancy)
		for i := range sampleGroup {
			f.o("MOVD R%d, R%d", rThresholds, found(i))
		}
		f.o("MOVD R%d, R%d", all, left)
		f.o("B condition")
		f.label("halve")
		f.o("LSR $1, R%d, R%d", left, half)
		f.o("SUB R%d, R%d, R%d", half, left, left)
		for i := range sampleGroup {
			f.o("ADD R%d<<2, R%d, R%d", half, found(i), upper)
			f.o("MOVWU -4(R%d), R%d", upper, value)
			f.o("CMP R%d, R%d", rFirst+i, value)
			f.o("CSEL LO, R%d, R%d, R%d", upper, found(i), found(i))
		}
		f.label("condition")
		f.o("CMP $1, R%d", left)
		f.o("BGT halve")
		for i := range sampleGroup {
			f.o("SUB R%d, R%d, R%d", rThresholds, found(i), found(i))
			f.o("LSR $2, R%d, R%d", found(i), found(i))
		}
		f.storeSpikes()
	})
	f.ret()
}

// startsTable generates the function that makes the table of sampleWithTable.
func startsTable() {
	f := newFunction("startsNEON", "func(starts, thresholds *uint32, k, shift int)",
		"startsNEON writes to starts[b], for every b, the first index of a threshold that is at least b when shifted to",
		"the right. It writes up to four more entries.")
	const starts, thresholds, k, shift, next, high, at = R0, R1, R2, R3, R4, R5, R6
	for i, name := range []string{"starts", "thresholds", "k", "shift"} {
		f.load(name, starts+i)
	}
	const index, one = 0, 1
	f.v("zero", index)
	f.v("ones", one) // -1
	f.o("MOVD ZR, R%d", next)
	f.label("threshold")
	f.o("MOVWU.P 4(R%d), R%d", thresholds, high)
	f.o("ADD R%d<<2, R%d, R%d", next, starts, at)
	f.o("LSR R%d, R%d, R%d", shift, high, high)
	f.o("SUB R%d, R%d, R%d", next, high, next) // one less than the number of entries
	f.label("store")
	f.v("strpost", index, at, 16)
	f.o("SUBS $4, R%d, R%d", next, next)
	f.o("BGE store")
	f.o("ADD $1, R%d, R%d", high, next)
	f.v("sub", index, index, one)
	f.o("SUBS $1, R%d, R%d", k, k)
	f.o("BNE threshold")
	f.ret()
}
