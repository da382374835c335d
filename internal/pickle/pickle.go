// Package pickle reads values that Python's pickle module wrote, with any protocol from 0
// to 5, without running code from the file.
//
// A pickle is a program for a stack machine, whose opcodes Lib/pickletools.py of Python
// documents. The functions that it calls are not called: an Object keeps their names and
// arguments. Strings and bytes are decoded to string, integers to int, or to int64 if an int
// of the processor cannot hold them, floating-point numbers to float64, tuples to []any, lists
// and sets to *[]any, and dictionaries, whose keys must be strings or bytes, to map[string]any.
package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// maxValues bounds the number of values of a pickle. One byte of a file can create one.
const maxValues = 1 << 21

// Object is the result of a function call or of the creation of an object.
type Object struct {
	Class string // "module name" of the function or class
	Args  []any
	State any // set by the opcode BUILD; nil if there is none
}

// Class is a function or class, as "module name".
type Class string

// mark is the value on the stack before the elements of a list.
type mark struct{}

// machine executes a pickle.
type machine struct {
	rest  []byte
	stack []any
	memo  map[uint32]any

	encode int // bytes that calls of _codecs.encode may still return
}

// Decode returns the value of a pickle. An error about a truncated file says how many
// bytes are missing at least.
func Decode(content []byte) (any, error) {
	m := machine{rest: content, memo: map[uint32]any{}, encode: len(content)}
	for used := 0; ; used++ {
		if used > maxValues || len(m.memo) > maxValues {
			return nil, fmt.Errorf("the pickle has more than %d values", maxValues)
		}
		if len(m.rest) == 0 {
			return nil, errors.New("the pickle is truncated: its last byte, a period, is missing")
		}
		op := m.rest[0]
		m.rest = m.rest[1:]
		if op == opStop {
			return m.pop()
		}
		if err := m.step(op); err != nil {
			return nil, err
		}
	}
}

const (
	opMark      = '('
	opStop      = '.'
	opPop       = '0'
	opPopMark   = '1'
	opDup       = '2'
	opEmptyList = ']'
	opEmptyDict = '}'
	opEmptyTup  = ')'
	opNone      = 'N'
	opNewTrue   = 0x88
	opNewFalse  = 0x89
	opEmptySet  = 0x8f
	opProto     = 0x80
	opFrame     = 0x95
	opReadOnly  = 0x98
)

// step executes an opcode.
func (m *machine) step(op byte) error {
	switch op {
	case opProto:
		version, err := m.take(1)
		if err == nil && version[0] > 5 {
			err = fmt.Errorf("the pickle has protocol %d, want 0 to 5: save it with pickle.dump(value, file, protocol=2)", version[0])
		}
		return err
	case opFrame:
		n, err := m.unsigned(8)
		if err == nil && n > uint64(len(m.rest)) {
			err = truncated(n - uint64(len(m.rest)))
		}
		return err
	case opMark:
		m.push(mark{})
	case opPop:
		_, err := m.pop()
		return err
	case opPopMark:
		_, err := m.popMark()
		return err
	case opDup:
		v, err := m.pop()
		m.push(v)
		m.push(v)
		return err
	case opNone:
		m.push(nil)
	case opNewTrue, opNewFalse:
		m.push(op == opNewTrue)
	case opEmptyList, opEmptySet:
		m.push(new([]any))
	case opEmptyDict:
		m.push(map[string]any{})
	case opEmptyTup:
		m.push([]any{})
	case opReadOnly: // changes nothing that is read here
	default:
		if known, err := m.literal(op); known {
			return err
		}
		if known, err := m.remember(op); known {
			return err
		}
		return m.build(op)
	}
	return nil
}

// The opcodes of numbers and strings.
const (
	opInt             = 'I'
	opLong            = 'L'
	opFloat           = 'F'
	opString          = 'S'
	opUnicode         = 'V'
	opBinFloat        = 'G'
	opBinInt          = 'J'
	opBinInt1         = 'K'
	opBinInt2         = 'M'
	opLong1           = 0x8a
	opLong4           = 0x8b
	opBinString       = 'T'
	opShortBinString  = 'U'
	opBinUnicode      = 'X'
	opBinBytes        = 'B'
	opShortBinBytes   = 'C'
	opShortBinUnicode = 0x8c
	opBinUnicode8     = 0x8d
	opBinBytes8       = 0x8e
	opByteArray8      = 0x96
)

// literal executes the opcodes that push a number or a string.
func (m *machine) literal(op byte) (known bool, err error) {
	switch op {
	case opInt, opLong, opFloat, opString, opUnicode:
		line, err := m.line()
		if err != nil {
			return true, err
		}
		v, err := parse(op, line)
		m.push(v)
		return true, err
	case opBinInt, opBinInt1, opBinInt2:
		n, err := m.unsigned(map[byte]int{opBinInt1: 1, opBinInt2: 2, opBinInt: 4}[op])
		m.push(int(int32(n))) // only numbers of 4 bytes can be negative
		return true, err
	case opLong1, opLong4:
		b, err := m.counted(map[byte]int{opLong1: 1, opLong4: 4}[op])
		if err == nil && len(b) > 8 {
			err = fmt.Errorf("the pickle has an integer of %d bytes, want at most 8", len(b))
		}
		m.push(signed(b))
		return true, err
	case opBinFloat:
		b, err := m.take(8)
		if err == nil {
			m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
		}
		return true, err
	case opShortBinString, opShortBinBytes, opShortBinUnicode:
		return true, m.text(1)
	case opBinString, opBinBytes, opBinUnicode:
		return true, m.text(4)
	case opBinUnicode8, opBinBytes8, opByteArray8:
		return true, m.text(8)
	}
	return false, nil
}

// signed decodes a two's complement number of at most 8 bytes.
func signed(b []byte) any {
	var eight [8]byte
	if n := copy(eight[:], b); n > 0 && b[n-1]&0x80 != 0 {
		for i := n; i < len(eight); i++ {
			eight[i] = 0xff
		}
	}
	return integer(int64(binary.LittleEndian.Uint64(eight[:])))
}

// integer returns n as the type of integers.
func integer(n int64) any {
	if int64(int(n)) != n {
		return n
	}
	return int(n)
}

// The opcodes that store and load values.
const (
	opPut        = 'p'
	opBinPut     = 'q'
	opLongBinPut = 'r'
	opGet        = 'g'
	opBinGet     = 'h'
	opLongBinGet = 'j'
	opMemoize    = 0x94
)

// remember executes the opcodes that store and load values.
func (m *machine) remember(op byte) (known bool, err error) {
	var i uint64
	switch op {
	case opPut, opGet:
		i, err = m.decimal()
	case opBinPut, opBinGet:
		i, err = m.unsigned(1)
	case opLongBinPut, opLongBinGet:
		i, err = m.unsigned(4)
	case opMemoize:
		i = uint64(len(m.memo))
	default:
		return false, nil
	}
	if err != nil {
		return true, err
	}
	if op == opGet || op == opBinGet || op == opLongBinGet {
		v, ok := m.memo[uint32(i)]
		if !ok {
			return true, fmt.Errorf("the pickle uses value %d before it stores it", i)
		}
		m.push(v)
		return true, nil
	}
	v, err := m.pop()
	m.memo[uint32(i)] = v
	m.push(v)
	return true, err
}

func truncated(n uint64) error {
	if n > 1<<40 {
		return errors.New("the pickle is damaged: it has a length of more than a terabyte")
	}
	return fmt.Errorf("the pickle is truncated: at least %d bytes are missing", n)
}

// take removes n bytes from the program and returns them.
func (m *machine) take(n uint64) ([]byte, error) {
	if have := uint64(len(m.rest)); n > have {
		return nil, truncated(n - have)
	}
	b := m.rest[:n]
	m.rest = m.rest[n:]
	return b, nil
}

// unsigned takes an unsigned number of up to 8 bytes from the program.
func (m *machine) unsigned(size int) (uint64, error) {
	b, err := m.take(uint64(size))
	if err != nil {
		return 0, err
	}
	var eight [8]byte
	copy(eight[:], b)
	return binary.LittleEndian.Uint64(eight[:]), nil
}

// counted takes bytes whose number is before them, as a number of the given size.
func (m *machine) counted(size int) ([]byte, error) {
	n, err := m.unsigned(size)
	if err != nil {
		return nil, err
	}
	return m.take(n)
}

func (m *machine) text(size int) error {
	b, err := m.counted(size)
	m.push(string(b))
	return err
}

func (m *machine) push(v any) { m.stack = append(m.stack, v) }

func (m *machine) pop() (any, error) {
	values, err := m.popN(1)
	if err != nil {
		return nil, err
	}
	return values[0], nil
}

var errStack = errors.New("the pickle takes more values from its stack than it has")

func (m *machine) popN(n int) ([]any, error) {
	if len(m.stack) < n {
		return nil, errStack
	}
	values := append([]any(nil), m.stack[len(m.stack)-n:]...)
	m.stack = m.stack[:len(m.stack)-n]
	return values, nil
}

// popMark removes the values above the topmost mark, and the mark.
func (m *machine) popMark() ([]any, error) {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if m.stack[i] == (mark{}) {
			values, err := m.popN(len(m.stack) - i)
			return values[1:], err
		}
	}
	return nil, errStack
}
