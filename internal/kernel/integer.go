package kernel

import (
	"context"
	"fmt"
	"sync"
	"unsafe"
)

// Bytes holds integers of 8 bits, signed or not.
type Bytes struct {
	data   []uint8
	signed bool
}

// Uint8s returns v as Bytes, without copying it.
func Uint8s(v []uint8) Bytes { return Bytes{data: v} }

// Int8s returns v as Bytes, without copying it.
func Int8s(v []int8) Bytes {
	return Bytes{data: unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(v))), len(v)), signed: true}
}

// Len returns the number of integers.
func (b Bytes) Len() int { return len(b.data) }

// Data returns the integers as bytes, without copying them.
func (b Bytes) Data() []uint8 { return b.data }

// At returns integer i.
func (b Bytes) At(i int) int32 {
	if b.signed {
		return int32(int8(b.data[i]))
	}
	return int32(b.data[i])
}

// Slice returns integers lo to hi-1, without copying them.
func (b Bytes) Slice(lo, hi int) Bytes { return Bytes{data: b.data[lo:hi:hi], signed: b.signed} }

// dots describes how a tier multiplies matrices A and B of integers of 8 bits. The integers
// of A are stored as signed and those of B as unsigned ones, which adds -128 or 128 to those of
// the other kind. If signed is set, words of B hold signed integers, 128 less than those that
// count: products add 128 times the sum of the row of A. A word holds the integers of some terms of a sum. Like the assembly, a sum
// wraps around if it does not fit into 32 bits.
type dots struct {
	name          string
	rows, columns int // size of the largest tile
	lanes         int // the number of columns of a tile is a multiple of lanes
	per           int // integers in a word: 4 of 8 bits, or 2 of 16 bits
	signed        bool

	// tile sets each entry of a tile of C to the start of its row, plus the number of its
	// column in more, plus its sum. If start is nil, it adds the sum to the old entries; more
	// may be nil. Word i of a row of A is a[i], that of the next row a[stride+i], and those of
	// the columns of B begin at b[offsets[i]].
	tile func(rows, columns int, a []uint32, stride int, b []uint32, offsets []int, c []int32, ldc int, start, more []int32)

	// row stores a row of A.
	row func(dst []uint32, x []uint8, flip bool)

	// interleave stores n words of B, with one integer of each of per rows: row r begins at
	// x[starts[r]].
	interleave func(dst []uint32, x []uint8, starts *[4]int, n int, flip bool)

	// depthwise computes start + the sum of weights[t]*x[offsets[t]+i] for all i of dst. The
	// number of them is a multiple of lanes.
	depthwise func(dst []int32, x []uint8, offsets []int, weights []int32, start int32)
}

var portableDots = dots{
	name: "portable", rows: 4, columns: 16, lanes: 4, per: 2,
	tile: dotsPortable, row: rowOfPairs, interleave: interleavePairs, depthwise: depthwisePortable,
}

// pair returns a word of two integers.
func pair(a, b int16) uint32 { return uint32(uint16(a)) | uint32(uint16(b))<<16 }

// dotsPortable computes two rows and four columns at a time, whose sums stay in registers.
func dotsPortable(rows, columns int, a []uint32, stride int, b []uint32, offsets []int, c []int32, ldc int, start, more []int32) {
	for i := 0; i < rows; i += 2 {
		second := min(i+1, rows-1) // an odd row is computed twice
		above, below := a[i*stride:][:len(offsets)], a[second*stride:][:len(offsets)]
		for j := 0; j < columns; j += 4 {
			top, bottom := (*[4]int32)(c[i*ldc+j:]), (*[4]int32)(c[second*ldc+j:])
			s, r := *top, *bottom
			if start != nil {
				s, r = [4]int32{}, [4]int32{}
				if more != nil {
					s = *(*[4]int32)(more[j:])
					r = s
				}
				for l := range s {
					s[l], r[l] = s[l]+start[i], r[l]+start[second]
				}
			}
			s0, s1, s2, s3, r0, r1, r2, r3 := s[0], s[1], s[2], s[3], r[0], r[1], r[2], r[3]
			for t, o := range offsets {
				w := (*[4]uint32)(b[o+j:])
				x, y := int32(int16(above[t])), int32(above[t])>>16
				u, v := int32(int16(below[t])), int32(below[t])>>16
				low, high := int32(int16(w[0])), int32(w[0])>>16
				s0, r0 = s0+x*low+y*high, r0+u*low+v*high
				low, high = int32(int16(w[1])), int32(w[1])>>16
				s1, r1 = s1+x*low+y*high, r1+u*low+v*high
				low, high = int32(int16(w[2])), int32(w[2])>>16
				s2, r2 = s2+x*low+y*high, r2+u*low+v*high
				low, high = int32(int16(w[3])), int32(w[3])>>16
				s3, r3 = s3+x*low+y*high, r3+u*low+v*high
			}
			*top, *bottom = [4]int32{s0, s1, s2, s3}, [4]int32{r0, r1, r2, r3}
		}
	}
}

// flipOf returns what to exclusive-or with an integer to change its kind.
func flipOf(flip bool) uint8 {
	if flip {
		return 0x80
	}
	return 0
}

func rowOfPairs(dst []uint32, x []uint8, flip bool) {
	f := flipOf(flip)
	for i := range len(x) / 2 {
		dst[i] = pair(int16(int8(x[2*i]^f)), int16(int8(x[2*i+1]^f)))
	}
	if len(x)%2 == 1 {
		dst[len(x)/2] = pair(int16(int8(x[len(x)-1]^f)), 0)
	}
}

func interleavePairs(dst []uint32, x []uint8, starts *[4]int, n int, flip bool) {
	f := flipOf(flip)
	first, second := x[starts[0]:][:n], x[starts[1]:][:n]
	for i := range dst[:n] {
		dst[i] = pair(int16(first[i]^f), int16(second[i]^f))
	}
}

func depthwisePortable(dst []int32, x []uint8, offsets []int, weights []int32, start int32) {
	for i := range dst {
		dst[i] = start
	}
	for t, o := range offsets {
		w := weights[t]
		for i, v := range x[o:][:len(dst)] {
			dst[i] += w * int32(v)
		}
	}
}

// IntegerTiling says in which parts products of integers are computed best.
type IntegerTiling struct {
	Rows    int // rows of A that are computed at once
	Columns int // columns of B that are computed at once
	PerWord int // integers of a row of A, or of a column of B, in a word of 32 bits
}

// Tiling returns the IntegerTiling of the tier that is active.
func Tiling() IntegerTiling {
	d := activeDots()
	return IntegerTiling{Rows: d.rows, Columns: d.columns, PerWord: d.per}
}

// IntegerRows holds a matrix A of integers of 8 bits in the memory layout of a tier.
type IntegerRows struct {
	d             *dots
	m, k, taps    int
	words, stride int // of a row
	packed        []uint32
	sums          []int32 // of each row as it is stored
	signed        bool
}

// IntegerRowsBytes returns the memory of IntegerRows for a matrix (m, channels*taps).
func IntegerRowsBytes(m, channels, taps int) int64 {
	d := activeDots()
	return 4 * int64(m) * int64(d.stride(d.wordsFor(channels)*taps)+1)
}

func (d *dots) wordsFor(n int) int { return (n + d.per - 1) / d.per }

// stride returns the distance of rows of some words. Rows that are a multiple of 4096 bytes apart
// would displace each other from the cache.
func (d *dots) stride(words int) int {
	if words >= 256 && words%64 == 0 {
		words += 16
	}
	return words
}

// NewIntegerRows returns memory for a matrix A (m, channels*taps), which Set fills. The words of a
// row hold integers of adjacent channels: word c*taps+t is for tap t of the channels from
// c*PerWord. They use the tier that is active at the time of the call.
func NewIntegerRows(m, channels, taps int, signed bool) *IntegerRows {
	d := activeDots()
	r := &IntegerRows{d: d, m: m, k: channels * taps, taps: taps, signed: signed, words: d.wordsFor(channels) * taps, sums: make([]int32, m)}
	r.stride = d.stride(r.words)
	r.packed = make([]uint32, m*r.stride)
	return r
}

// Set sets row i of A to x, which is stored channel by channel.
func (r *IntegerRows) Set(i int, x Bytes) {
	if len(x.data) != r.k || x.signed != r.signed {
		panic(fmt.Sprintf("kernel: %d integers (signed: %v) for a row of %d (signed: %v)", len(x.data), x.signed, r.k, r.signed))
	}
	row := r.packed[i*r.stride:][:r.words]
	r.sums[i] = sumOf(x)
	if r.taps == 1 {
		r.d.row(row, x.data, !r.signed)
		return
	}
	clear(row)
	flip, bits := flipOf(!r.signed), 32/r.d.per
	for at, v := range x.data {
		c, t := at/r.taps, at%r.taps
		row[c/r.d.per*r.taps+t] |= uint32(int8(v^flip)) & (1<<bits - 1) << (c % r.d.per * bits)
	}
}

// sumOf returns the sum of integers as they are stored in A.
func sumOf(x Bytes) int32 {
	flip := flipOf(x.signed)
	done, sum := sumVectors(x.data, flip)
	for _, v := range x.data[done:] {
		sum += int(v ^ flip)
	}
	return int32(sum - 128*len(x.data))
}

// SetOnes makes the integers of row i as they are stored 1, so that the row times B is the sums of
// the columns of B as they are stored.
func (r *IntegerRows) SetOnes(i int) {
	ones := make([]uint8, r.k)
	for j := range ones {
		ones[j] = 1 ^ flipOf(!r.signed)
	}
	r.Set(i, Bytes{data: ones, signed: r.signed})
}

// ShiftOfRows returns what is added to integers of A when they are stored, and ShiftOfColumns what
// is added to those of B.
func ShiftOfRows(signed bool) int32 {
	if signed {
		return 0
	}
	return -128
}

// ShiftOfColumns is for B what ShiftOfRows is for A.
func ShiftOfColumns(signed bool) int32 { return ShiftOfRows(signed) + 128 }

// Sum returns the sum of row i as it is stored.
func (r *IntegerRows) Sum(i int) int32 { return r.sums[i] }

// activeDots returns the dots for new products.
func activeDots() *dots {
	if forcedDots != nil {
		return forcedDots
	}
	return dotsOf(active())
}

// forcedDots is what useDots has set.
var forcedDots *dots

// useDots is Use for dots: a tier uses the fastest ones that the machine has.
func useDots(d *dots) (undo func()) {
	before := forcedDots
	forcedDots = d
	return func() { forcedDots = before }
}

// Taps are the places of the elements of a window, or of the words of the first column of B, as distances
// from the first one.
type Taps struct {
	offsets []int
	last    int
}

// NewTaps returns Taps for the given offsets, which it keeps.
func NewTaps(offsets []int) Taps { return Taps{offsets: offsets, last: largest("offset", offsets)} }

// IntegerRoom is the number of words, or of integers of Depthwise, that must follow those that a
// product needs.
const IntegerRoom = 32

// Multiply computes rows i0 to i1-1 of A times n columns of B, whose words for column j are
// x[taps[t]+j]: entry (i, j) of the product is added to start[i-i0] + more[j], and stored in
// c[(i-i0)*ldc+j]. more may be nil. Up to the next multiple of IntegerRoom, the entries of x are
// read, and those of more and c too, which have no defined value then. It returns the error of ctx soon after ctx is done.
func (r *IntegerRows) Multiply(ctx context.Context, i0, i1 int, x []uint32, taps Taps, n int, start, more []int32, c []int32, ldc int) error {
	room := roundUp(n, IntegerRoom)
	if len(taps.offsets) != r.words || n < 0 || i0 < 0 || i1 > r.m || r.words > 0 && taps.last+room > len(x) || ldc < room ||
		len(c) < (i1-i0-1)*ldc+room || len(start) < i1-i0 || more != nil && len(more) < room {
		panic(fmt.Sprintf("kernel: rows %d to %d of %d with %d words do not fit columns 0 to %d with %d words in %d and results of %d in %d",
			i0, i1, r.m, r.words, n, len(taps.offsets), len(x), ldc, len(c)))
	}
	d := r.d
	if d.signed {
		shifted := shiftedPool.Get().(*[]int32)
		defer shiftedPool.Put(shifted)
		*shifted = (*shifted)[:0]
		for i, s := range start[:i1-i0] {
			*shifted = append(*shifted, s+128*r.sums[i0+i])
		}
		start = *shifted
	}
	if r.words == 0 {
		for i := range i1 - i0 {
			for j := range n {
				c[i*ldc+j] = start[i]
				if more != nil {
					c[i*ldc+j] += more[j]
				}
			}
		}
		return nil
	}
	for j := 0; j < n; j += d.columns {
		width := min(d.columns, roundUp(n-j, d.lanes))
		for i := i0; i < i1; {
			rows := min(d.rows, i1-i)
			if rows < i1-i && i1-i < 2*d.rows {
				rows = (i1 - i + 1) / 2 // two tiles of about the same size
			}
			from := start[i-i0 : i-i0+rows]
			extra := more
			if more != nil {
				extra = more[j:]
			}
			for lo := 0; lo == 0 || lo < r.words; lo += maxWords {
				if err := ctx.Err(); err != nil {
					return err
				}
				hi := min(lo+maxWords, r.words)
				d.tile(rows, width, r.packed[i*r.stride+lo:], r.stride, x[j:], taps.offsets[lo:hi], c[(i-i0)*ldc+j:], ldc, from, extra)
				from, extra = nil, nil
			}
			i += rows
		}
	}
	return nil
}

// shiftedPool holds memory for the starts of rows.
var shiftedPool = sync.Pool{New: func() any { return new([]int32) }}

// maxWords is the number of words after which Multiply looks whether it is canceled.
const maxWords = 1 << 14

// Interleave makes n words of B of integers of up to PerWord rows: row r begins at x[starts[r]].
func Interleave(dst []uint32, x Bytes, starts []int, n int) {
	if n <= 0 {
		return
	}
	var all [4]int
	for r := range all {
		all[r] = starts[min(r, len(starts)-1)] // A has zeros for the rows that are missing
		_ = x.data[all[r]:][:n]
	}
	d := activeDots()
	d.interleave(dst[:n], x.data, &all, n, x.signed != d.signed)
}

// Fill returns the word of B whose integers are all v.
func Fill(v int32, signed bool) uint32 {
	d := activeDots()
	b := uint32(uint8(v) ^ flipOf(signed != d.signed))
	if d.per == 4 {
		return b * 0x01010101
	}
	return b * 0x00010001
}

// Depthwise computes out[i] = start + the sum of weights[t]*x[taps[t]+i]. The weights fit into 16
// bits. The length of out is a multiple of IntegerRoom.
func Depthwise(out []int32, x []uint8, taps Taps, weights []int32, start int32) {
	if len(taps.offsets) != len(weights) || len(out)%IntegerRoom != 0 || taps.last+len(out) > len(x) {
		panic(fmt.Sprintf("kernel: %d weights for %d taps and %d of %d positions", len(weights), len(taps.offsets), len(out), len(x)))
	}
	if len(out) > 0 && len(weights) > 0 {
		activeDots().depthwise(out, x, taps.offsets, weights, start)
		return
	}
	for i := range out {
		out[i] = start
	}
}

// MakeUnsigned stores signed integers as those of B.
func MakeUnsigned(x []uint8) {
	done := flipVectors(x, x)
	for i := range x[done:] {
		x[done+i] ^= 0x80
	}
}

// Split sets even[i] = x[2*i] and odd[i] = x[2*i+1] for all i for which x has the element.
func Split(even, odd, x []uint8) {
	n := len(x) / 2
	even, odd = even[:len(x)-n], odd[:n]
	done := splitVectors(even[:n], odd, x)
	for i := done; i < n; i++ {
		even[i], odd[i] = x[2*i], x[2*i+1]
	}
	if len(even) > n {
		even[n] = x[2*n]
	}
}
