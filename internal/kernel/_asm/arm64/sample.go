package main

// Constants of the random numbers of package kernel.
const (
	gamma = 0x9e3779b97f4a7c15
	mix1  = 0xbf58476d1ce4e5b9
	mix2  = 0x94d049bb133111eb
)

// General registers of the functions that draw spikes.
const (
	rSpikes, rCount, rThresholds = R0, R1, R2
)

// sampler has the general registers for spikes that are searched at once.
type sampler struct {
	*function
	lowDiscrepancy          bool
	state, step, mix1, mix2 int
	random, found           []int // a random number and a result for each spike
}

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

// constants loads the constants of random numbers.
func (s *sampler) constants() {
	if s.lowDiscrepancy {
		s.o("MOVD $%d, R%d", gamma>>32, s.step)
		return
	}
	s.o("MOVD $%d, R%d", -int64(1<<64-gamma), s.step)
	s.o("MOVD $%d, R%d", -int64(1<<64-mix1), s.mix1)
	s.o("MOVD $%d, R%d", -int64(1<<64-mix2), s.mix2)
}

// numbers computes the next random numbers, halved.
func (s *sampler) numbers() {
	for i, r := range s.random {
		switch {
		case s.lowDiscrepancy:
			s.o("UBFX $1, R%d, $31, R%d", s.state, r)
			s.o("ADD R%d, R%d, R%d", s.step, s.state, s.state)
		case i%2 == 0:
			s.o("EOR R%d>>30, R%d, R%d", s.state, s.state, r)
			s.o("MUL R%d, R%d, R%d", s.mix1, r, r)
			s.o("EOR R%d>>27, R%d, R%d", r, r, r)
			s.o("MUL R%d, R%d, R%d", s.mix2, r, r)
			s.o("EOR R%d>>31, R%d, R%d", r, r, r)
			s.o("ADD R%d, R%d, R%d", s.step, s.state, s.state)
			s.o("LSR $33, R%d, R%d", r, s.random[i+1])
			s.o("UBFX $1, R%d, $31, R%d", r, r)
		}
	}
}

// store stores scale times the results.
func (s *sampler) store(scale int) {
	for _, f := range s.found {
		s.o("MULW R%d, R%d, R%d", scale, f, f)
	}
	for i := 0; i < len(s.found); i += 2 {
		s.o("STPW (R%d, R%d), %d(R%d)", s.found[i], s.found[i+1], 4*i, rSpikes)
	}
	s.o("ADD $%d, R%d, R%d", 4*len(s.found), rSpikes, rSpikes)
}

// sampleWithTable generates the function that begins a search in a table.
func sampleWithTable(lowDiscrepancy bool) {
	name, state := sampleNames("sampleTable", lowDiscrepancy)
	f := newFunction(name, "func(dst *uint32, n int, thresholds, starts *uint32, shift int, state uint64, scale uint32)",
		name+" writes scale times the spikes for n consecutive random numbers of a position. n is a multiple of 4.",
		"Entry b of starts is the spike for the smallest half of a random number, but at least 1, that is b when shifted to the right.", state)
	s := &sampler{
		function: f, lowDiscrepancy: lowDiscrepancy, state: R4, step: R6, mix1: R7, mix2: R8,
		random: []int{R9, R10, R11, R12}, found: []int{R13, R14, R15, R19},
	}
	const table, scale, shift, value = R3, R5, R20, R21
	f.load("dst", rSpikes)
	f.load("n", rCount)
	f.load("thresholds", rThresholds)
	f.load("starts", table)
	f.load("shift", shift)
	f.load("state", s.state)
	f.load("scale", scale)
	s.constants()
	f.loop(rCount, len(s.found), func() {
		s.numbers()
		for i, k := range s.found {
			f.o("LSR R%d, R%d, R%d", shift, s.random[i], k)
			f.o("MOVWU (R%d)(R%d<<2), R%d", table, k, k)
		}
		// Two steps without a jump are enough for most numbers.
		for range 2 {
			for i, k := range s.found {
				f.o("MOVWU (R%d)(R%d<<2), R%d", rThresholds, k, value)
				f.o("CMP R%d, R%d", s.random[i], value)
				f.o("CINC LO, R%d, R%d", k, k)
			}
		}
		for i, k := range s.found {
			next, check := f.unique("next"), f.unique("check")
			f.label(check)
			f.o("MOVWU (R%d)(R%d<<2), R%d", rThresholds, k, value)
			f.o("CMP R%d, R%d", s.random[i], value)
			f.o("BHS %s", next)
			f.o("ADD $1, R%d, R%d", k, k)
			f.o("B %s", check)
			f.label(next)
		}
		s.store(scale)
	})
	f.ret()
}

// sampleByHalves generates the function that searches without a table. It searches eight spikes at once, because each
// step of a search waits for the one before.
func sampleByHalves(lowDiscrepancy bool) {
	name, state := sampleNames("sampleHalves", lowDiscrepancy)
	f := newFunction(name, "func(dst *uint32, n int, thresholds *uint32, k int, state uint64, scale uint32)",
		name+" writes scale times the spikes for n consecutive random numbers of a position with k thresholds,",
		"by binary search. n is a multiple of 8.", state)
	s := &sampler{
		function: f, lowDiscrepancy: lowDiscrepancy, state: R12, step: R13, mix1: R14, mix2: R15, // before the search
		random: []int{R4, R5, R6, R7, R8, R9, R10, R11}, found: []int{R12, R13, R14, R15, R19, R20, R21, R22},
	}
	const half, left, value, upper = R3, R23, R24, R25
	f.load("dst", rSpikes)
	f.load("n", rCount)
	f.load("thresholds", rThresholds)
	f.loop(rCount, len(s.found), func() {
		f.load("state", s.state)
		s.constants()
		s.numbers()
		f.o("MOVD R%d, state+%d(FP)", s.state, f.parameters["state"].offset)
		for i, r := range s.random {
			f.o("CMP $1, R%d", r) // 0 would select the first entry even if its probability is 0
			f.o("CSINC HS, R%d, ZR, R%d", r, r)
			f.o("MOVD R%d, R%d", rThresholds, s.found[i])
		}
		f.load("k", left)
		f.o("B condition")
		f.label("halve")
		f.o("LSR $1, R%d, R%d", left, half)
		f.o("SUB R%d, R%d, R%d", half, left, left)
		for i, k := range s.found {
			f.o("ADD R%d<<2, R%d, R%d", half, k, upper)
			f.o("MOVWU -4(R%d), R%d", upper, value)
			f.o("CMP R%d, R%d", s.random[i], value)
			f.o("CSEL LO, R%d, R%d, R%d", upper, k, k)
		}
		f.label("condition")
		f.o("CMP $1, R%d", left)
		f.o("BGT halve")
		for _, k := range s.found {
			f.o("SUB R%d, R%d, R%d", rThresholds, k, k)
			f.o("LSR $2, R%d, R%d", k, k)
		}
		f.load("scale", value)
		s.store(value)
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
