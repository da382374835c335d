package runtime

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spike-by-spike/sbs/internal/graph"
	"github.com/spike-by-spike/sbs/internal/onnx"
)

// Problem is one reason why a model cannot run: see Check.
type Problem struct {
	// Node is the name of the node, or else of its first output. A node inside a function
	// has the name of the node that calls the function before its own. Node is "" for a
	// problem of the model as a whole, such as the version of its operators.
	Node string

	Operator string // of the node, as domain.Name, or Name for standard operators
	Version  int    // of the operators of its domain, as the model imports them; 0 if it does not

	// Err wraps ErrUnknownOperator, ops.ErrAttribute, ops.ErrDType, ops.ErrShape, ErrChecksum
	// and so on, where they apply. It does not name the node.
	Err error
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Node == "" {
		return p.Err.Error()
	}
	return (&NodeError{Node: p.Node, Operator: p.Operator, Err: p.Err}).Error()
}

// Unwrap returns Err.
func (p *Problem) Unwrap() error { return p.Err }

// CheckResult says whether a model can run: see Check.
type CheckResult struct {
	Problems []*Problem // none if the model can be loaded
	Warnings []string   // as of Model.Warnings

	// Nodes is the number of nodes of the graph, and Inner that of the nodes in its subgraphs.
	Nodes, Inner int

	// Unchecked is the number of nodes whose element types and shapes depend on values that
	// are known only in a run, or on nodes with problems.
	Unchecked int
}

// Check finds everything that keeps the model in a file from being loaded, while Open reports
// only the first problem: operators, attributes and element types that are not supported, in
// the graph, in its subgraphs and in the functions that it calls. A node that follows one with
// a problem is checked with the types that the file declares, if it does.
//
// The error is about a file that cannot be read as an ONNX model. A model without problems may
// still fail in a run, if a value or a size does not fit.
func Check(path string, opts ...Option) (*CheckResult, error) {
	o, err := optionsOf(opts)
	if err != nil {
		return nil, err
	}
	pb, err := onnx.ReadModel(o.Context, path)
	if done := o.Context.Err(); done != nil {
		return nil, fmt.Errorf("runtime: %w", done)
	}
	if e, ok := err.(*fs.PathError); ok { //nolint:errorlint // a wrapped one is about external data
		return nil, fmt.Errorf("runtime: %w", e)
	}
	if err != nil {
		return nil, fmt.Errorf("runtime: %w: %w", ErrModel, err)
	}
	r := &CheckResult{}
	for depth := range onnx.AllNodes(pb.GetGraph().GetNode()) {
		if depth == 0 {
			r.Nodes++
		} else {
			r.Inner++
		}
	}
	if !o.ignoreChecksum {
		if err := onnx.Verify(o.Context, pb); err != nil {
			r.Problems = append(r.Problems, &Problem{Err: err})
		}
	}
	list, _, err := onnx.Stages(pb)
	if err != nil {
		r.Problems = append(r.Problems, &Problem{Err: err})
		return r, nil
	}
	if list == nil {
		list = []onnx.Stage{{Model: pb}}
	}
	o.Shared = graph.NewShared(o.Workers)
	for i, s := range list {
		report := func(p graph.Problem) {
			if len(list) > 1 {
				p.Err = fmt.Errorf("stage %d: %w", i+1, p.Err)
			}
			r.Problems = append(r.Problems, &Problem{p.Node, p.Operator, p.Version, p.Err})
		}
		o.Problem = report
		p, err := graph.Compile(s.Model, o.Options)
		if done := o.Context.Err(); done != nil {
			return nil, fmt.Errorf("runtime: %w", done)
		}
		if errors.Is(err, ErrOption) {
			return nil, fmt.Errorf("runtime: %w", err)
		}
		if err != nil {
			report(graph.Problem{Err: err})
			continue
		}
		r.Warnings = append(r.Warnings, p.Warnings...)
		r.Unchecked += p.Unchecked
	}
	return r, nil
}
