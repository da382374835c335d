package graph

import (
	"errors"
	"fmt"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// scope resolves the names of values in a graph, in a subgraph or in one call of a
// function, whose nodes become steps of the graph of the call.
type scope struct {
	k         *compiler
	g         *Graph         // the graph that the nodes are added to
	slots     map[string]int // by the name of a value; -1 for an omitted input of a function
	nodes     []*onnxpb.NodeProto
	producers map[string]int // by the name of a value: the index of the node that computes it
	outer     *scope         // for a subgraph: the scope of the enclosing graph
	opsets    map[string]int // the versions of the operators, by domain
	call      *call          // the innermost call of a function, nil outside of functions
	prefix    string         // of the names of steps and values: "call/" in a function
	depth     int            // the number of enclosing subgraphs

	declared map[string]*ops.Input // the types of values that the graph declares, only with Options.Problem
}

// define returns a slot for a new value.
func (s *scope) define(name string) (int, error) {
	if err := s.checkNew(name); err != nil {
		return 0, err
	}
	slot := s.g.add(s.prefix + name)
	s.slots[name] = slot
	if t := s.declared[name]; t != nil {
		s.g.declared[slot] = t
	}
	return slot, nil
}

// checkNew returns an error if a new value cannot have the given name.
func (s *scope) checkNew(name string) error {
	if name == "" {
		return errors.New("a value has no name")
	}
	if _, ok := s.slots[name]; ok {
		return fmt.Errorf("two values are named %q", name)
	}
	return nil
}

// lookup returns the slot of a value, or -1 for an omitted input of a function. A value of
// the enclosing graph becomes an input of the subgraph.
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
	known  []string       // the names of the function's attributes
	values ops.Attributes // the attributes of the call, and the defaults of omitted ones
	outer  *call          // the call of the function that contains this call
}
