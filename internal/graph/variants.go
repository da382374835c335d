package graph

import (
	"sync"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// variants holds the operators of SbS steps with other dynamics than those of the
// model. They keep the layout of their weights, so that the next run with the same
// dynamics starts at once.
type variants struct {
	mu  sync.Mutex
	ops map[variant]ops.Op
}

type variant struct {
	step     *Step
	dynamics sbs.Dynamics // without Schedule
	schedule sbs.Schedule
	changed  bool // the schedule counts
}

// maxVariants bounds how many operators are kept; each has a copy of its weights.
const maxVariants = 64

func (v *variants) get(s *Step, d sbs.Dynamics) (ops.Op, error) {
	key := variant{step: s, dynamics: d}
	if d.Schedule != nil {
		key.schedule, key.changed, key.dynamics.Schedule = *d.Schedule, true, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if op := v.ops[key]; op != nil {
		return op, nil
	}
	n := s.node
	n.Attributes = make(ops.Attributes, len(s.node.Attributes))
	for name, a := range s.node.Attributes {
		n.Attributes[name] = a
	}
	d.Change(n.Attributes)
	op, err := s.operator.New(n)
	if err != nil {
		return nil, &NodeError{Node: s.Name, Operator: s.Operator, Err: err}
	}
	if len(v.ops) >= maxVariants || v.ops == nil {
		v.ops = map[variant]ops.Op{}
	}
	v.ops[key] = op
	return op, nil
}
