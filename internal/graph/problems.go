package graph

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
)

// With Options.Problem, reading a model goes on after a problem. The outputs of a node that
// cannot be bound, or whose types cannot be inferred, have the types that the file declares.

// expect notes the types of values that a graph declares.
func (s *scope) expect(g *onnxpb.GraphProto) {
	if s.k.Problem == nil {
		return
	}
	s.declared, s.g.declared = s.k.declared[g], map[int]*ops.Input{}
	if s.declared != nil {
		return
	}
	s.declared = map[string]*ops.Input{}
	for _, v := range slices.Concat(g.GetValueInfo(), g.GetOutput()) {
		s.declared[v.GetName()] = roughType(v)
	}
	s.k.declared[g] = s.declared
}

// tolerateNode returns the error of a node that cannot be bound. With Options.Problem, it
// reports the problem and those in the subgraphs of the node, and defines the outputs.
func (s *scope) tolerateNode(n *onnxpb.NodeProto, name, operator string, err error) error {
	err = s.k.tolerate(Problem{name, operator, s.opsets[domainOf(n.GetDomain())], err})
	if err != nil {
		return err
	}
	for _, out := range n.GetOutput() {
		if err := s.defineFailed(out); err != nil {
			return err
		}
	}
	for _, g := range onnx.Subgraphs(n) {
		if s.depth >= maxSubgraphs {
			break
		}
		sub := &scope{
			k: s.k, g: newGraph(), slots: map[string]int{}, outer: s,
			opsets: s.opsets, call: s.call, prefix: s.prefix, depth: s.depth + 1,
		}
		if err := s.k.tolerate(Problem{name, operator, s.opsets[domainOf(n.GetDomain())], sub.readSubgraph(g)}); err != nil {
			return err
		}
	}
	return nil
}

// defineFailed defines a value that cannot be computed, unless it has no name or is defined.
func (s *scope) defineFailed(name string) error {
	if _, defined := s.slots[name]; defined || name == "" {
		return nil
	}
	slot, err := s.define(name)
	s.g.failed = append(s.g.failed, slot)
	return err
}

// attributeProblems returns an error of the constructor of an operator. With Options.Problem,
// it first reports the errors about other attributes: a constructor returns only one.
func (k *compiler) attributeProblems(st *Step, o ops.Operator, n ops.Node, err error) error {
	for k.Problem != nil && errors.Is(err, ops.ErrAttribute) && k.Context.Err() == nil {
		rest, next := without(o, n, err)
		if next == nil {
			break
		}
		if err := k.tolerate(Problem{st.Name, st.Operator, st.opset, err}); err != nil {
			return err
		}
		n, err = rest, next
	}
	return err
}

// maxTried is more than the attributes of any operator. Each attribute costs a call of the
// constructor for each error.
const maxTried = 64

// without returns a node without the attributes that an error of its constructor is about, and
// the next error about attributes, or nil if there is none.
func without(o ops.Operator, n ops.Node, err error) (ops.Node, error) {
	culprits := [][]string{}
	if unknown, ok := errors.AsType[*ops.UnknownAttributesError](err); ok {
		culprits = append(culprits, unknown.Unknown)
	} else if len(n.Attributes) <= maxTried {
		for _, name := range slices.Sorted(maps.Keys(n.Attributes)) {
			culprits = append(culprits, []string{name})
		}
	}
	for _, names := range culprits {
		rest := n
		rest.Attributes = maps.Clone(n.Attributes)
		for _, name := range names {
			delete(rest.Attributes, name)
		}
		_, next := o.New(rest)
		if next == nil {
			return rest, nil
		}
		// The same error has another cause, and an error that names the attribute misses it.
		if next.Error() != err.Error() && errors.Is(next, ops.ErrAttribute) && !mentions(next, names) {
			return rest, next
		}
	}
	return n, nil
}

// mentions reports whether an error text contains one of the names as a word.
func mentions(err error, names []string) bool {
	words := strings.FieldsFunc(err.Error(), func(c rune) bool { return c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(names, w) })
}

// countUnchecked counts the nodes whose types have not been inferred.
func (k *compiler) countUnchecked() {
	if k.Problem == nil {
		return
	}
	k.p.Main.walk(func(g *Graph) {
		for i := range g.Steps {
			if s := &g.Steps[i]; s.Op != nil && !k.checked[s] {
				k.p.Unchecked++
			}
		}
	})
}
