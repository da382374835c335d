package graph

import (
	"time"

	"github.com/spike-by-spike/sbs/ops"
)

// Profiler measures the steps of one run, also of those in subgraphs. It must not be shared
// by runs at the same time.
type Profiler struct {
	Report func(NodeProfile) // is called after every step

	inner time.Duration // of the steps that have run inside the current one
}

// NodeProfile is the measurement of one step. Package runtime documents it.
type NodeProfile struct {
	Node     string
	Operator string
	Output   ops.Type
	Time     time.Duration
	Self     time.Duration
	Memory   int64
}

// measure runs a step and reports n with its times. run fills in the rest of n, or returns
// false for a step that has nothing to compute.
func (p *Profiler) measure(n NodeProfile, run func(*NodeProfile) (bool, error)) error {
	outer := p.inner
	p.inner = 0
	start := time.Now()
	computed, err := run(&n)
	n.Time = time.Since(start)
	n.Self = n.Time - p.inner
	p.inner = outer + n.Time
	if err == nil && computed {
		p.Report(n)
	}
	return err
}
