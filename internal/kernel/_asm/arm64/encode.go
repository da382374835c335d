package main

import (
	"fmt"
	"strings"
)

// instruction is an instruction that Go's assembler does not have, or not in all forms. Its format
// is its text in the syntax of Arm, with a letter in braces for each operand, and word is its
// encoding with all operands 0.
type instruction struct {
	name, format string
	word         uint32
}

// field says how an operand of an instruction is encoded.
type field struct {
	least, most, step int
	encode            func(v int) uint32
}

// at returns a field of some bits.
func at(bit, width, step int) field {
	return field{0, (1<<width - 1) * step, step, func(v int) uint32 { return uint32(v/step) << bit }}
}

// signed is at for numbers in two's complement.
func signed(bit, width, step int) field {
	half := 1 << (width - 1)
	return field{-half * step, (half - 1) * step, step, func(v int) uint32 { return uint32(v/step) & (1<<width - 1) << bit }}
}

// fields holds the operands by their letter. A letter after v, q, d, s, x or w is the number of a
// register.
var fields = map[byte]field{
	'd': at(0, 5, 1),
	'n': at(5, 5, 1),
	'm': at(16, 5, 1),
	'a': at(10, 5, 1),
	'c': {0, 31, 1, func(v int) uint32 { return uint32(v)<<5 | uint32(v)<<16 }}, // both sources
	'2': {0, 31, 1, func(int) uint32 { return 0 }},                              // the register after d

	// Lanes of 32 bits: of the last operand of a product, of the result, and of the source of ins.
	's': {0, 3, 1, func(v int) uint32 { return uint32(v)&1<<21 | uint32(v)>>1<<11 }},
	'i': at(19, 2, 1),
	'j': at(13, 2, 1),
	'o': at(20, 1, 1), // a lane of 64 bits

	// A register with a lane of 16 bits, and the lane.
	'b': at(16, 4, 1),
	'z': {0, 7, 1, func(v int) uint32 { return uint32(v)&1<<20 | uint32(v)>>1&1<<21 | uint32(v)>>2<<11 }},

	// Distances in memory, in bytes.
	'q': at(10, 12, 16),
	'w': at(10, 12, 4),
	'e': at(10, 12, 8),
	'k': signed(12, 9, 1),
	'p': signed(15, 7, 16),

	// Numbers of bits: shifts to the left and to the right of lanes of 32 bits.
	'l': at(16, 5, 1),
	'r': {1, 32, 1, func(v int) uint32 { return uint32(32-v) << 16 }},
	'u': at(16, 6, 1), // to the left, of lanes of 64 bits
}

// bounds returns the least and the largest number of operand o. General register 31 is RSP or zero.
func (i *instruction) bounds(o int) (least, most int) {
	letters, vector := i.operands()
	f := fields[letters[o]]
	if (letters[o] == 'n' || letters[o] == 'm') && !vector[o] {
		return 0, 30
	}
	return f.least, f.most
}

// operands returns the letters of the operands of an instruction and whether each one is a vector
// register.
func (i *instruction) operands() (letters []byte, vector []bool) {
	for at := 1; at+1 < len(i.format); at++ {
		if i.format[at] == '{' && i.format[at+2] == '}' {
			letters = append(letters, i.format[at+1])
			vector = append(vector, strings.IndexByte("vqds", i.format[at-1]) >= 0)
		}
	}
	return letters, vector
}

// assemble returns the encoding of an instruction with the given operands, and its text.
func (i *instruction) assemble(operands ...int) (word uint32, text string) {
	letters, _ := i.operands()
	if len(letters) != len(operands) {
		panic(fmt.Sprintf("%s has %d operands, not %d", i.format, len(letters), len(operands)))
	}
	word, text = i.word, i.format
	for o, letter := range letters {
		f, v := fields[letter], operands[o]
		if least, most := i.bounds(o); v < least || v > most || v%f.step != 0 {
			panic(fmt.Sprintf("%s: operand %d is %d", i.format, o, v))
		}
		word |= f.encode(v)
		text = strings.Replace(text, "{"+string(letter)+"}", fmt.Sprint(v), 1)
	}
	return word, text
}
