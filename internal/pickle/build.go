package pickle

import (
	"bytes"
	"errors"
	"fmt"
)

// The opcodes that make a value from values on the stack.
const (
	opAppend      = 'a'
	opAppends     = 'e'
	opBuild       = 'b'
	opDict        = 'd'
	opList        = 'l'
	opTuple       = 't'
	opTuple1      = 0x85
	opTuple2      = 0x86
	opTuple3      = 0x87
	opSetItem     = 's'
	opSetItems    = 'u'
	opAddItems    = 0x90
	opFrozenSet   = 0x91
	opGlobal      = 'c'
	opStackGlobal = 0x93
	opReduce      = 'R'
	opInst        = 'i'
	opObj         = 'o'
	opNewObj      = 0x81
	opNewObjEx    = 0x92

	opPersID     = 'P'
	opBinPersID  = 'Q'
	opNextBuffer = 0x97
)

// build executes the opcodes that make a value from values on the stack.
func (m *machine) build(op byte) error {
	switch op {
	case opTuple, opList, opFrozenSet, opDict, opAppends, opAddItems, opSetItems, opInst, opObj:
		values, err := m.popMark()
		if err != nil {
			return err
		}
		return m.fromMark(op, values)
	case opTuple1, opTuple2, opTuple3:
		values, err := m.popN(int(op-opTuple1) + 1)
		m.push(values)
		return err
	case opAppend:
		values, err := m.popN(1)
		return errors.Join(err, m.appendTo(values))
	case opSetItem:
		values, err := m.popN(2)
		return errors.Join(err, m.setItems(values))
	case opGlobal:
		c, err := m.global()
		m.push(c)
		return err
	case opStackGlobal:
		values, err := m.popN(2)
		if err != nil {
			return err
		}
		module, ok1 := values[0].(string)
		name, ok2 := values[1].(string)
		if !ok1 || !ok2 {
			return errors.New("the pickle names a function by values that are not strings")
		}
		m.push(Class(module + " " + name))
		return nil
	case opReduce, opNewObj, opNewObjEx:
		values, err := m.popN(map[byte]int{opReduce: 2, opNewObj: 2, opNewObjEx: 3}[op])
		if err != nil {
			return err
		}
		args, ok := values[1].([]any)
		if !ok {
			return errors.New("the pickle calls a function with arguments that are not a tuple")
		}
		return m.call(values[0], args)
	case opBuild:
		values, err := m.popN(2)
		if err != nil {
			return err
		}
		o, ok := values[0].(*Object)
		if !ok {
			return errors.New("the pickle sets the state of a value that is not an object")
		}
		o.State = values[1]
		m.push(o)
		return nil
	case opNextBuffer:
		return errors.New("the pickle has buffers outside of the file: save it with pickle.dump without buffer_callback")
	case opPersID, opBinPersID:
		return errors.New("the pickle refers to data outside of it, as PyTorch files do")
	}
	return fmt.Errorf("the pickle has the unknown opcode 0x%02x", op)
}

// fromMark executes the opcodes that use all values above a mark.
func (m *machine) fromMark(op byte, values []any) error {
	switch op {
	case opTuple:
		m.push(values)
	case opList, opFrozenSet:
		m.push(&values)
	case opDict:
		m.push(map[string]any{})
		return m.setItems(values)
	case opAppends, opAddItems:
		return m.appendTo(values)
	case opSetItems:
		return m.setItems(values)
	case opInst:
		c, err := m.global()
		if err != nil {
			return err
		}
		return m.call(c, values)
	case opObj:
		if len(values) == 0 {
			return errStack
		}
		return m.call(values[0], values[1:])
	}
	return nil
}

// call pushes the object that a function call stands for.
func (m *machine) call(function any, args []any) error {
	c, ok := function.(Class)
	if !ok {
		return errors.New("the pickle calls a value that is not a function")
	}
	v := m.result(c, args)
	if m.encode < 0 {
		return errors.New("the pickle encodes the same text many times")
	}
	m.push(v)
	return nil
}

// result returns what a function returns if it is one of those with which pickles of
// protocol 2 and below represent bytes, and otherwise an Object.
func (m *machine) result(c Class, args []any) any {
	switch c {
	case "_codecs encode", "__builtin__ bytearray", "builtins bytearray", "__builtin__ bytes", "builtins bytes":
		if len(args) == 0 {
			return ""
		}
		text, ok := args[0].(string)
		if !ok {
			break
		}
		if len(args) == 1 {
			return text // bytes
		}
		if encoding, ok := args[1].(string); ok && (encoding == "latin1" || encoding == "latin-1") {
			if m.encode -= len(text); m.encode < 0 {
				break
			}
			if b, ok := latin1(text); ok {
				return b
			}
		}
	}
	return &Object{Class: string(c), Args: args}
}

// latin1 encodes a text as one byte per character.
func latin1(text string) (string, bool) {
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return "", false
		}
		b = append(b, byte(r))
	}
	return string(b), true
}

// global takes the name of a function, which is two lines of the program.
func (m *machine) global() (Class, error) {
	module, err := m.line()
	if err != nil {
		return "", err
	}
	name, err := m.line()
	return Class(module + " " + name), err
}

// line takes a line from the program, without its end.
func (m *machine) line() (string, error) {
	n := bytes.IndexByte(m.rest, '\n')
	if n < 0 {
		return "", errors.New("the pickle is truncated: it ends within a line")
	}
	line := string(m.rest[:n])
	m.rest = m.rest[n+1:]
	return line, nil
}

// appendTo appends to the list at the top of the stack.
func (m *machine) appendTo(values []any) error {
	if len(m.stack) > 0 {
		if list, ok := m.stack[len(m.stack)-1].(*[]any); ok {
			*list = append(*list, values...)
			return nil
		}
	}
	return errors.New("the pickle appends to a value that is not a list")
}

// setItems adds keys and values to the dictionary at the top of the stack.
func (m *machine) setItems(values []any) error {
	if len(m.stack) == 0 || len(values)%2 != 0 {
		return errors.New("the pickle has a key without a value")
	}
	dict, ok := m.stack[len(m.stack)-1].(map[string]any)
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
