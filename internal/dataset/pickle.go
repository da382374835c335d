package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The opcodes of Python's pickle format, version 2, that numbers, strings,
// lists, dictionaries and NumPy's arrays need (Lib/pickletools.py).
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

// maxPickled bounds the values of a pickle and those of its stack: one byte of a
// file can make one.
const maxPickled = 1 << 20

// object stands for what a pickle would call a function for. Nothing is called:
// its name, its arguments and its state are all that is kept.
type object struct {
	class string // "module name"
	args  []any
	state []any
}

// class is the name of a function, "module name".
type class string

// mark is where the elements of a list begin on the stack.
type mark struct{}

// pickle is the machine that a pickle is a program for. Strings and bytes are
// string, tuples []any, lists *[]any, dictionaries map[string]any.
type pickle struct {
	rest  []byte
	stack []any
	memo  map[uint32]any
	used  int
}

// unpickle returns the value of a pickle. It runs no code from it.
func unpickle(content []byte) (any, error) {
	p := pickle{rest: content, memo: map[uint32]any{}}
	for {
		op, err := p.bytes(1)
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
		_, err := p.bytes(1)
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

// build carries out the opcodes that make a value of those on the stack.
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
			return errors.New("the pickle calls what is no function")
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
			return errors.New("the pickle gives a state to what is no object")
		}
		o.state = state
		p.push(o)
		return nil
	}
	return fmt.Errorf("the pickle has the opcode 0x%02x, which batches of CIFAR-10 do not need", op)
}

// bytes takes n bytes of the program.
func (p *pickle) bytes(n uint32) ([]byte, error) {
	if uint64(n) > uint64(len(p.rest)) {
		return nil, errors.New("the pickle ends early")
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b, nil
}

// argument takes a number without sign of so many bytes, at most 4.
func (p *pickle) argument(bytes int) (uint32, error) {
	b, err := p.bytes(uint32(bytes))
	if err != nil {
		return 0, err
	}
	var four [4]byte
	copy(four[:], b)
	return binary.LittleEndian.Uint32(four[:]), nil
}

func (p *pickle) number(bytes int) error {
	v, err := p.argument(bytes)
	p.push(int(int32(v))) // only four bytes can be negative
	return err
}

func (p *pickle) text(bytes int) error {
	n, err := p.argument(bytes)
	if err != nil {
		return err
	}
	b, err := p.bytes(n)
	p.push(string(b))
	return err
}

// global names a function by two lines.
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
		return fmt.Errorf("the pickle uses value %d before it has it", i)
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
		return nil, errors.New("the pickle takes more values than it has")
	}
	values := append([]any(nil), p.stack[len(p.stack)-n:]...)
	p.stack = p.stack[:len(p.stack)-n]
	return values, nil
}

// popMark takes the values down to the mark.
func (p *pickle) popMark() ([]any, error) {
	for i := len(p.stack) - 1; i >= 0; i-- {
		if p.stack[i] == (mark{}) {
			values, err := p.popN(len(p.stack) - i)
			return values[1:], err
		}
	}
	return nil, errors.New("the pickle takes more values than it has")
}

// appendTo appends to the list that is on the stack.
func (p *pickle) appendTo(values []any) error {
	if len(p.stack) > 0 {
		if list, ok := p.stack[len(p.stack)-1].(*[]any); ok {
			*list = append(*list, values...)
			return nil
		}
	}
	return errors.New("the pickle appends to what is no list")
}

// setItems puts keys and values into the dictionary that is on the stack.
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
		return errors.New("the pickle has a dictionary whose keys are no strings")
	}
	return nil
}
