package graph

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// executionOrder returns the indices of nodes in an order in which every node comes after the
// nodes whose outputs it uses, also in its subgraphs. Nodes that are sorted already keep their
// order; otherwise a node is moved up to the first node that needs it.
func (s *scope) executionOrder(nodes []*onnxpb.NodeProto) ([]int, error) {
	o := &ordering{nodes: nodes, producers: map[string]int{}, uses: make([][]int, len(nodes)), states: make([]nodeState, len(nodes))}
	for i, n := range nodes {
		for _, name := range n.GetOutput() {
			_, twice := o.producers[name]
			_, given := s.slots[name] // an input or initializer: adding the node reports the error
			if name != "" && !twice && !given {
				o.producers[name] = i
			}
		}
	}
	s.producers = o.producers
	for i, n := range nodes {
		used := usedNames{k: s.k, found: func(name string) {
			if p, ok := o.producers[name]; ok {
				o.uses[i] = append(o.uses[i], p)
			}
		}}
		if err := used.node(n, 0); err != nil {
			return nil, err
		}
	}
	for i := range nodes {
		if err := o.add(i); err != nil {
			return nil, err
		}
	}
	return o.sorted, nil
}

// ordering sorts nodes by a depth-first search.
type ordering struct {
	nodes     []*onnxpb.NodeProto
	producers map[string]int // by the name of an output: the index of the node
	uses      [][]int        // by node: the nodes whose outputs it uses
	states    []nodeState
	sorted    []int
}

type nodeState uint8

const (
	unvisited nodeState = iota
	waiting             // for nodes whose outputs it uses
	placed
)

// add appends a node to the sorted ones, after the nodes that it needs.
func (o *ordering) add(first int) error {
	for path := []int{first}; len(path) > 0; {
		i := path[len(path)-1]
		if o.states[i] == unvisited {
			o.states[i] = waiting
		}
		next := -1
		for len(o.uses[i]) > 0 && next < 0 {
			if u := o.uses[i][0]; o.states[u] != placed {
				next = u
				break
			}
			o.uses[i] = o.uses[i][1:]
		}
		switch {
		case next < 0:
			if o.states[i] == waiting {
				o.states[i] = placed
				o.sorted = append(o.sorted, i)
			}
			path = path[:len(path)-1]
		case o.states[next] == waiting:
			return o.cycle(append(path[slices.Index(path, next):], next))
		default:
			path = append(path, next)
		}
	}
	return nil
}

// cycle returns the error of nodes that need each other's outputs. Each node of the path needs
// the next one.
func (o *ordering) cycle(path []int) error {
	const most = 8
	var names []string
	for _, i := range path {
		names = append(names, fmt.Sprintf("%q", nodeName(o.nodes[i], i)))
	}
	if len(names) > most {
		names = append(append(names[:most-1], "..."), names[len(names)-1])
	}
	return fmt.Errorf("the nodes form a cycle, in which each node needs the output of the next: %s", strings.Join(names, ", "))
}

// usedNames finds the names of the values that a node uses, including those that its subgraphs
// capture. A name that a subgraph defines itself is not captured.
type usedNames struct {
	k     *compiler
	found func(name string)
	inner []map[string]bool // the names that the enclosing subgraphs define
}

func (u *usedNames) name(name string) {
	if name == "" || slices.ContainsFunc(u.inner, func(defined map[string]bool) bool { return defined[name] }) {
		return
	}
	u.found(name)
}

func (u *usedNames) node(n *onnxpb.NodeProto, depth int) error {
	for _, name := range n.GetInput() {
		u.name(name)
	}
	if !u.k.mayRunSubgraphs(n) {
		return nil
	}
	for _, a := range n.GetAttribute() {
		v, _ := onnx.Attribute(a) // adding the node reports the error
		if g, ok := v.(*onnxpb.GraphProto); ok {
			if err := u.graph(g, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayRunSubgraphs reports whether the subgraphs of a node count: those of operators that run them,
// and of unknown ones. Others must not cost time in each call of a function, since nothing else
// reads them.
func (k *compiler) mayRunSubgraphs(n *onnxpb.NodeProto) bool {
	domain := domainOf(n.GetDomain())
	_, native := k.operators[opKey{domain, n.GetOpType()}]
	return !native || controlOf(domain, n.GetOpType()) != nil
}

func (u *usedNames) graph(g *onnxpb.GraphProto, depth int) error {
	if depth > maxSubgraphs {
		return nil // an error when the node is added
	}
	if err := u.k.Context.Err(); err != nil {
		return err
	}
	defined := map[string]bool{}
	for _, in := range g.GetInput() {
		defined[in.GetName()] = true
	}
	for _, t := range g.GetInitializer() {
		defined[t.GetName()] = true
	}
	for _, t := range g.GetSparseInitializer() {
		defined[t.GetValues().GetName()] = true
	}
	for _, n := range g.GetNode() {
		for _, name := range n.GetOutput() {
			defined[name] = true
		}
	}
	u.inner = append(u.inner, defined)
	defer func() { u.inner = u.inner[:len(u.inner)-1] }()
	for _, n := range g.GetNode() {
		if err := u.node(n, depth); err != nil {
			return err
		}
	}
	for _, out := range g.GetOutput() {
		u.name(out.GetName())
	}
	return nil
}
