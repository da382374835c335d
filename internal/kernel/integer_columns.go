package kernel

import (
	"context"
	"fmt"
)

// IntegerColumns holds a matrix B of integers of 8 bits in the memory layout of a tier: panels of
// columns, in the order in which tiles read them.
type IntegerColumns struct {
	d      *dots
	n, k   int
	words  int // of a column
	packed []uint32
	sums   []int32 // of each column as it is stored
	taps   Taps
	signed bool
	ones   *IntegerRows // one row
}

// IntegerColumnsBytes returns the memory of IntegerColumns for a matrix (k, n).
func IntegerColumnsBytes(k, n int) int64 {
	d := activeDots()
	return 4*int64(roundUp(n, IntegerRoom))*int64(d.wordsFor(k)+1) + 8*int64(d.wordsFor(k))
}

// NewIntegerColumns returns memory for a matrix B (k, n), which Set fills. It uses the tier that is
// active at the time of the call.
func NewIntegerColumns(k, n int, signed bool) *IntegerColumns {
	d := activeDots()
	c := &IntegerColumns{d: d, n: n, k: k, words: d.wordsFor(k), signed: signed}
	room := roundUp(n, IntegerRoom)
	c.packed, c.sums = make([]uint32, room*c.words), make([]int32, room)
	c.taps = NewTaps(multiples(nil, 0, c.words, IntegerRoom))
	c.ones = NewIntegerRows(1, k, 1, true)
	c.ones.SetOnes(0)
	return c
}

// Panels returns the number of panels of IntegerRoom columns.
func (c *IntegerColumns) Panels() int { return len(c.sums) / IntegerRoom }

// Set copies the columns of a panel from the row-major matrix b.
func (c *IntegerColumns) Set(ctx context.Context, panel int, b Bytes) error {
	if len(b.data) != c.k*c.n || b.signed != c.signed {
		panic(fmt.Sprintf("kernel: %d integers (signed: %v) for a matrix (%d, %d) (signed: %v)", len(b.data), b.signed, c.k, c.n, c.signed))
	}
	first := panel * IntegerRoom
	width := min(IntegerRoom, c.n-first)
	to := c.panel(panel)
	for w := range c.words {
		if w%maxWords == maxWords-1 && ctx.Err() != nil {
			return ctx.Err()
		}
		var starts [4]int
		for r := range starts {
			starts[r] = min(w*c.d.per+r, c.k-1)*c.n + first
		}
		c.d.interleave(to[w*IntegerRoom:][:width], b.data, &starts, width, b.signed != c.d.signed)
	}
	return c.ones.Multiply(ctx, 0, 1, to, c.taps, width, []int32{0}, nil, c.sums[first:], IntegerRoom)
}

func (c *IntegerColumns) panel(i int) []uint32 {
	return c.packed[i*c.words*IntegerRoom:][:c.words*IntegerRoom]
}

// Zeros are the zero points of the rows of A and of the columns of B: one for all of them, or one
// for each.
type Zeros struct{ A, B []int32 }

// IntegerScratch is temporary memory for one product at a time.
type IntegerScratch struct {
	start, more []int32
}

// Multiply computes rows i0 to i1-1 of A, minus their zero points, times the columns of panels p0
// to p1-1 of B, minus theirs. Entry (i, j) is stored in c[(i-i0)*ldc+j-p0*IntegerRoom]. Each
// row of c must have room for whole panels. Multiply returns the error of ctx soon after ctx is done.
func (c *IntegerColumns) Multiply(ctx context.Context, s *IntegerScratch, a *IntegerRows, i0, i1, p0, p1 int, z Zeros, out []int32, ldc int) error {
	if a.d != c.d || a.k != c.k || a.words != c.words {
		panic(fmt.Sprintf("kernel: rows of %d integers and columns of %d, or made for different tiers", a.k, c.k))
	}
	shiftA, shiftB := ShiftOfRows(a.signed), ShiftOfColumns(c.signed)
	zero := func(v []int32, i int, shift int32) int32 {
		if len(v) == 1 {
			i = 0
		}
		return v[i] + shift
	}
	// The sum of (a-za)*(b-zb) is the sum of a*b, minus za times the sum of b, minus zb times
	// the sum of a-za.
	s.start = s.start[:0]
	for i := i0; i < i1; i++ {
		var start int32
		if len(z.B) == 1 {
			start = -zero(z.B, 0, shiftB) * (a.sums[i] - int32(a.k)*zero(z.A, i, shiftA))
		}
		s.start = append(s.start, start)
	}
	for p := p0; p < p1; p++ {
		first := p * IntegerRoom
		width := min(IntegerRoom, c.n-first)
		sums := c.sums[first:][:IntegerRoom]
		var more []int32
		if za := zero(z.A, 0, shiftA); len(z.A) == 1 && za != 0 {
			s.more = s.more[:0]
			for _, v := range sums {
				s.more = append(s.more, -za*v)
			}
			more = s.more
		}
		to := out[first-p0*IntegerRoom:]
		if err := a.Multiply(ctx, i0, i1, c.panel(p), c.taps, width, s.start, more, to, ldc); err != nil {
			return err
		}
		if len(z.A) == 1 && len(z.B) == 1 {
			continue
		}
		for i := i0; i < i1; i++ {
			row := to[(i-i0)*ldc:][:width]
			za := zero(z.A, i, shiftA)
			for j := range row {
				if len(z.A) > 1 {
					row[j] -= za * sums[j]
				}
				if len(z.B) > 1 {
					row[j] -= zero(z.B, first+j, shiftB) * (a.sums[i] - int32(a.k)*za)
				}
			}
		}
	}
	return nil
}
