package graph

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/ops"
)

// scope resolves the names of values in a graph, a subgraph or one call of a
// function.
type scope struct {
	k      *compiler
	g      *Graph         // gets a step per node
	slots  map[string]int // by the name of a value, -1 for an omitted input of a function
	outer  *scope         // the enclosing graph of a subgraph
	opsets map[string]int
	call   *call  // the innermost call of a function, nil outside of functions
	prefix string // of the names of steps and values
	depth  int    // of nested subgraphs
}

// define gives a new value a slot.
func (s *scope) define(name string) (int, error) {
	if err := s.free(name); err != nil {
		return 0, err
	}
	slot := s.g.add(s.prefix + name)
	s.slots[name] = slot
	return slot, nil
}

func (s *scope) free(name string) error {
	if name == "" {
		return errors.New("a value has no name")
	}
	if _, ok := s.slots[name]; ok {
		return fmt.Errorf("two values are named %q", name)
	}
	return nil
}

// lookup returns the slot of a value. A value of the enclosing graph becomes an input
// of the subgraph.
func (s *scope) lookup(name string) (slot int, ok bool) {
	if slot, ok := s.slots[name]; ok {
		return slot, true
	}
	if s.outer == nil {
		return 0, false
	}
	outer, ok := s.outer.lookup(name)
	if !ok || outer < 0 {
		return outer, ok
	}
	slot = s.g.add(s.prefix + name)
	s.g.Inputs = append(s.g.Inputs, slot)
	s.g.captured = append(s.g.captured, outer)
	s.slots[name] = slot
	return slot, true
}

// call is one call of a function.
type call struct {
	key    functionKey
	known  []string       // the attributes of the function
	values ops.Attributes // of the call, or the defaults
	outer  *call
}
