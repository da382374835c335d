package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Opcodes of Python's pickle format, version 2, for numbers, strings, lists, dictionaries
// and NumPy arrays (see Lib/pickletools.py of Python).
const (
	opMark           = '('
	opStop           = '.'
	opBinInt         = 'J'
	opBinInt1        = 'K'
	opBinInt2        = 'M'
	opNone           = 'N'
	opReduce         = 'R'
	opBinString      = 'T'
	opShortBinString = 'U'
	opBinUnicode     = 'X'
	opBinBytes       = 'B'
	opShortBinBytes  = 'C'
	opAppend         = 'a'
	opBuild          = 'b'
	opGlobal         = 'c'
	opAppends        = 'e'
	opBinGet         = 'h'
	opLongBinGet     = 'j'
	opBinPut         = 'q'
	opLongBinPut     = 'r'
	opSetItem        = 's'
	opTuple          = 't'
	opSetItems       = 'u'
	opEmptyList      = ']'
	opEmptyDict      = '}'
	opEmptyTuple     = ')'
	opProto          = 0x80
	opTuple1         = 0x85
	opTuple2         = 0x86
	opTuple3         = 0x87
	opNewTrue        = 0x88
	opNewFalse       = 0x89
)

// maxPickled bounds the number of values of a pickle. One byte of a file can create one.
const maxPickled = 1 << 20

// object represents the result of a function call in a pickle. The function is not
// called: object keeps its name, its arguments and the state.
type object struct {
	class string // "module name"
	args  []any
	state []any
}

// class is the name of a function, "module name".
type class string

// mark is the value on the stack before the elements of a list.
type mark struct{}

// pickle is an interpreter of pickles, which are programs for a stack machine. It
// represents strings and bytes as string, tuples as []any, lists as *[]any, and
// dictionaries as map[string]any.
type pickle struct {
	rest  []byte
	stack []any
	memo  map[uint32]any
	used  int
}

// unpickle returns the value of a pickle. It does not run code from the pickle.
func unpickle(content []byte) (any, error) {
	p := pickle{rest: content, memo: map[uint32]any{}}
	for {
		op, err := p.take(1)
		if err != nil {
			return nil, err
		}
		if op[0] == opStop {
			return p.pop()
		}
		if err := p.step(op[0]); err != nil {
			return nil, err
		}
		if p.used++; p.used > maxPickled || len(p.memo) > maxPickled {
			return nil, fmt.Errorf("the pickle has more than %d values", maxPickled)
		}
	}
}

func (p *pickle) step(op byte) error {
	switch op {
	case opProto:
		_, err := p.take(1)
		return err
	case opMark:
		p.push(mark{})
	case opNone:
		p.push(nil)
	case opNewTrue, opNewFalse:
		p.push(op == opNewTrue)
	case opEmptyList:
		p.push(new([]any))
	case opEmptyDict:
		p.push(map[string]any{})
	case opEmptyTuple:
		p.push([]any{})
	case opBinInt1, opBinInt2, opBinInt:
		return p.number(map[byte]int{opBinInt1: 1, opBinInt2: 2, opBinInt: 4}[op])
	case opShortBinString, opShortBinBytes:
		return p.text(1)
	case opBinString, opBinBytes, opBinUnicode:
		return p.text(4)
	case opGlobal:
		return p.global()
	case opBinPut, opLongBinPut:
		return p.put(op == opLongBinPut)
	case opBinGet, opLongBinGet:
		return p.get(op == opLongBinGet)
	default:
		return p.build(op)
	}
	return nil
}

// build executes the opcodes that make a value from values on the stack.
func (p *pickle) build(op byte) error {
	switch op {
	case opTuple:
		values, err := p.popMark()
		p.push(values)
		return err
	case opTuple1, opTuple2, opTuple3:
		values, err := p.popN(int(op-opTuple1) + 1)
		p.push(values)
		return err
	case opAppend:
		values, err := p.popN(1)
		return errors.Join(err, p.appendTo(values))
	case opAppends:
		values, err := p.popMark()
		return errors.Join(err, p.appendTo(values))
	case opSetItem:
		values, err := p.popN(2)
		return errors.Join(err, p.setItems(values))
	case opSetItems:
		values, err := p.popMark()
		return errors.Join(err, p.setItems(values))
	case opReduce:
		values, err := p.popN(2)
		if err != nil {
			return err
		}
		name, ok := values[0].(class)
		args, isTuple := values[1].([]any)
		if !ok || !isTuple {
			return errors.New("the pickle calls a value that is not a function")
		}
		p.push(&object{class: string(name), args: args})
		return nil
	case opBuild:
		values, err := p.popN(2)
		if err != nil {
			return err
		}
		o, ok := values[0].(*object)
		state, isTuple := values[1].([]any)
		if !ok || !isTuple {
			return errors.New("the pickle sets the state of a value that is not an object")
		}
		o.state = state
		p.push(o)
		return nil
	}
	return fmt.Errorf("the pickle has the opcode 0x%02x, which batches of CIFAR-10 do not have", op)
}

// take removes n bytes from the program and returns them.
func (p *pickle) take(n uint32) ([]byte, error) {
	if uint64(n) > uint64(len(p.rest)) {
		return nil, errors.New("the pickle ends early")
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b, nil
}

// argument takes an unsigned number of up to 4 bytes from the program.
func (p *pickle) argument(size int) (uint32, error) {
	b, err := p.take(uint32(size))
	if err != nil {
		return 0, err
	}
	var four [4]byte
	copy(four[:], b)
	return binary.LittleEndian.Uint32(four[:]), nil
}

func (p *pickle) number(size int) error {
	v, err := p.argument(size)
	p.push(int(int32(v))) // only numbers of 4 bytes can be negative
	return err
}

func (p *pickle) text(size int) error {
	n, err := p.argument(size)
	if err != nil {
		return err
	}
	b, err := p.take(n)
	p.push(string(b))
	return err
}

// global pushes the name of a function, which is two lines of the program.
func (p *pickle) global() error {
	lines := bytes.SplitN(p.rest, []byte("\n"), 3)
	if len(lines) < 3 {
		return errors.New("the pickle ends early")
	}
	p.rest = lines[2]
	p.push(class(string(lines[0]) + " " + string(lines[1])))
	return nil
}

func (p *pickle) put(long bool) error {
	i, err := p.index(long)
	if err != nil {
		return err
	}
	v, err := p.pop()
	p.memo[i] = v
	p.push(v)
	return err
}

func (p *pickle) get(long bool) error {
	i, err := p.index(long)
	if err != nil {
		return err
	}
	v, ok := p.memo[i]
	if !ok {
		return fmt.Errorf("the pickle uses value %d before storing it", i)
	}
	p.push(v)
	return nil
}

func (p *pickle) index(long bool) (uint32, error) {
	if long {
		return p.argument(4)
	}
	return p.argument(1)
}

func (p *pickle) push(v any) { p.stack = append(p.stack, v) }

func (p *pickle) pop() (any, error) {
	values, err := p.popN(1)
	if err != nil {
		return nil, err
	}
	return values[0], nil
}

func (p *pickle) popN(n int) ([]any, error) {
	if len(p.stack) < n {
		return nil, errors.New("the pickle takes more values from its stack than it has")
	}
	values := append([]any(nil), p.stack[len(p.stack)-n:]...)
	p.stack = p.stack[:len(p.stack)-n]
	return values, nil
}

// popMark removes the values above the topmost mark, and the mark.
func (p *pickle) popMark() ([]any, error) {
	for i := len(p.stack) - 1; i >= 0; i-- {
		if p.stack[i] == (mark{}) {
			values, err := p.popN(len(p.stack) - i)
			return values[1:], err
		}
	}
	return nil, errors.New("the pickle takes more values from its stack than it has")
}

// appendTo appends to the list at the top of the stack.
func (p *pickle) appendTo(values []any) error {
	if len(p.stack) > 0 {
		if list, ok := p.stack[len(p.stack)-1].(*[]any); ok {
			*list = append(*list, values...)
			return nil
		}
	}
	return errors.New("the pickle appends to a value that is not a list")
}

// setItems adds keys and values to the dictionary at the top of the stack.
func (p *pickle) setItems(values []any) error {
	if len(p.stack) == 0 || len(values)%2 != 0 {
		return errors.New("the pickle has a key without a value")
	}
	dict, ok := p.stack[len(p.stack)-1].(map[string]any)
	for i := 0; i < len(values) && ok; i += 2 {
		var key string
		if key, ok = values[i].(string); ok {
			dict[key] = values[i+1]
		}
	}
	if !ok {
		return errors.New("the pickle has a dictionary with keys that are not strings")
	}
	return nil
}
