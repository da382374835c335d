package graph

import (
	"fmt"
	"maps"
	"sync"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/sbs"
)

// variants caches SbS operators whose dynamics differ from the dynamics in the model.
// An operator lays out its weights in its first run; the cache saves that work in later
// runs with the same dynamics.
type variants struct {
	mu  sync.Mutex
	ops map[variant]*changedOp
}

// changedOp is the operator of an SbS step with changed dynamics. Pointers to it tell
// such operators apart, since values of type ops.Op may not be comparable.
type changedOp struct{ ops.Op }

// variant is the key of the cache.
type variant struct {
	step        *Step
	dynamics    sbs.Dynamics // without Schedule, which is a pointer
	schedule    sbs.Schedule
	hasSchedule bool
}

// maxVariants bounds the number of cached operators: each has copies of its weights.
const maxVariants = 64

// get returns the operator of an SbS step with changed dynamics.
func (v *variants) get(s *Step, d sbs.Dynamics) (*changedOp, error) {
	key := variant{step: s, dynamics: d}
	if d.Schedule != nil {
		key.schedule, key.hasSchedule, key.dynamics.Schedule = *d.Schedule, true, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if op := v.ops[key]; op != nil {
		return op, nil
	}
	n := s.node
	n.Attributes = maps.Clone(n.Attributes)
	err := change(n.Attributes, d, s.epsilonXY)
	var op ops.Op
	if err == nil {
		op, err = s.operator.New(n)
	}
	if err == nil && op == nil {
		err = errNoOp
	}
	if err != nil {
		return nil, &ops.NodeError{Node: s.Name, Operator: s.Operator, Err: err}
	}
	if len(v.ops) >= maxVariants || v.ops == nil {
		v.ops = map[variant]*changedOp{}
	}
	v.ops[key] = &changedOp{op}
	return v.ops[key], nil
}

// change applies dynamics to the attributes of an SbS node with the given epsilon_xy. It
// returns an error if the node cannot follow them, although its own attributes are valid.
func change(attrs ops.Attributes, d sbs.Dynamics, xy epsilonXY) error {
	if d == (sbs.Dynamics{}) {
		return nil
	}
	own, before := sbs.ParamsOf(attrs)
	if before == nil && d.Auto() {
		if xy.computed {
			return fmt.Errorf("%w: the epsilon schedule auto needs to know epsilon_xy, but the model computes it: give a schedule and epsilon_0", ErrOption)
		}
		var err error
		if d, err = d.Resolve(own, xy.tensor); err != nil {
			return fmt.Errorf("%w: %w", ErrOption, err)
		}
	}
	d.Change(attrs)
	if _, err := sbs.ParamsOf(attrs); err != nil && before == nil {
		return fmt.Errorf("%w: %w", ErrOption, err)
	}
	return nil
}
