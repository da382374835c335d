package tensors

import (
	"cmp"
	"context"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/spike-by-spike/sbs/runtime"
)

// The runs that are measured, unless --runs gives their number: as many as fit into a time,
// but not more than a maximum.
const (
	measuredTime = 2 * time.Second
	maxRuns      = 1000
)

// measurement is what several runs with the same inputs took.
type measurement struct {
	first   time.Duration   // the run before the others, which allocates the buffers
	runs    []time.Duration // sorted
	values  int64           // bytes of the values and the temporary memory of a run
	process int64           // bytes that the process has from the system
	nodes   []nodeTime      // nil without a profile
}

// nodeTime is the time of one node in all measured runs together.
type nodeTime struct {
	node, operator, output string
	calls                  int
	self                   time.Duration
	memory                 int64
}

// measure runs the model once, and then as often as runs says, or for a while if it is 0. It
// returns the outputs of the first run.
func measure(ctx context.Context, m *runtime.Model, in map[string]*runtime.Tensor, runs int, profile bool, opts []runtime.RunOption) (map[string]*runtime.Tensor, *measurement, error) {
	var result measurement
	watch := runtime.Profile(func(n runtime.NodeProfile) { result.values = max(result.values, n.Memory) })
	start := time.Now()
	out, err := m.Run(ctx, in, append(slices.Clone(opts), watch)...)
	if err != nil {
		return nil, nil, err
	}
	result.first = time.Since(start)
	nodes := newNodeTimes()
	if profile {
		opts = append(slices.Clone(opts), runtime.Profile(nodes.add))
	}
	for begin := time.Now(); len(result.runs) < cmp.Or(runs, maxRuns); {
		start := time.Now()
		if _, err := m.Run(ctx, in, opts...); err != nil {
			return nil, nil, err
		}
		result.runs = append(result.runs, time.Since(start))
		if runs == 0 && time.Since(begin) > measuredTime {
			break
		}
	}
	slices.Sort(result.runs)
	if profile {
		result.nodes = nodes.list
	}
	var s goruntime.MemStats
	goruntime.ReadMemStats(&s)
	result.process = int64(s.Sys - s.HeapReleased)
	return out, &result, nil
}

// total returns the time of all measured runs.
func (m *measurement) total() time.Duration {
	var sum time.Duration
	for _, t := range m.runs {
		sum += t
	}
	return sum
}

// percentile returns the time that a share of the runs, in percent, did not exceed.
func (m *measurement) percentile(percent int) time.Duration {
	at := (len(m.runs)*percent + 99) / 100
	return m.runs[max(at, 1)-1]
}

// median returns the time in the middle.
func (m *measurement) median() time.Duration {
	n := len(m.runs)
	return (m.runs[(n-1)/2] + m.runs[n/2]) / 2
}

// perRun returns the mean of a time per run.
func (m *measurement) perRun(t time.Duration) time.Duration { return t / time.Duration(len(m.runs)) }

// nodeTimes adds up the times of nodes, in the order in which they first end. Nodes of different
// subgraphs with the same name and operator count as one.
type nodeTimes struct {
	list  []nodeTime
	index map[[2]string]int // by the name and the operator
}

func newNodeTimes() *nodeTimes { return &nodeTimes{index: map[[2]string]int{}} }

func (n *nodeTimes) add(p runtime.NodeProfile) {
	key := [2]string{p.Node, p.Operator}
	i, ok := n.index[key]
	if !ok {
		i = len(n.list)
		n.index[key] = i
		n.list = append(n.list, nodeTime{node: p.Node, operator: p.Operator, output: p.Output.String()})
	}
	t := &n.list[i]
	t.calls++
	t.self += p.Self
	t.memory = max(t.memory, p.Memory)
}

// byTime returns nodes with the slowest first.
func byTime(nodes []nodeTime) []nodeTime {
	return slices.SortedStableFunc(slices.Values(nodes), func(a, b nodeTime) int { return cmp.Compare(b.self, a.self) })
}

// operatorTime is the time of all nodes with one operator.
type operatorTime struct {
	operator string
	nodes    int
	calls    int
	self     time.Duration
}

// operators adds up the nodes of each operator, with the slowest operator first.
func operators(nodes []nodeTime) []operatorTime {
	var list []operatorTime
	for _, n := range nodes {
		i := slices.IndexFunc(list, func(o operatorTime) bool { return o.operator == n.operator })
		if i < 0 {
			i = len(list)
			list = append(list, operatorTime{operator: n.operator})
		}
		list[i].nodes++
		list[i].calls += n.calls
		list[i].self += n.self
	}
	slices.SortStableFunc(list, func(a, b operatorTime) int { return cmp.Compare(b.self, a.self) })
	return list
}
