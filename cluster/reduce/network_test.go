//go:build linux

package reduce

import (
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkNetwork measures rounds of members on machines of their own, as far as one machine can: every
// member is a process in a network namespace, which has a link of some bandwidth to a switch. The server is a
// process that has such a link, too, and the Leader is beside it. Members wait as long as a machine computes, and
// send vectors as long as those of the network.
//
// The processors of one machine do the work of all of these machines, apart from the computations. In a
// round that is slowed down, the computations, the delays and the bytes on the links take several times as
// long, so that what the processors do is that many times faster in comparison. Its time is divided by that.
//
// It needs root, and the programs ip and tc (Debian package iproute2). It appends a line for every benchmark to
// the file SBS_NETWORK_CSV: see make bench-cluster. If it is killed, the next run removes its namespaces.
func BenchmarkNetwork(b *testing.B) {
	path := os.Getenv("SBS_NETWORK_CSV")
	switch {
	case path == "":
		b.Skip("SBS_NETWORK_CSV is not set")
	case os.Geteuid() != 0:
		b.Fatal("only root can make network namespaces")
	}
	for _, n := range networks {
		for _, s := range settings() {
			name := fmt.Sprintf("%s/gbit=%g/delay=%v/slowed=%d/machines=%d/tasks=%d", n.name, s.gbit, s.delay, s.slowed, s.machines, s.tasks)
			b.Run(name, func(b *testing.B) { measure(b, path, n, s) })
		}
	}
}

// trained is a network whose training is measured.
type trained struct {
	name    string
	length  int           // of the vector of its gradients
	state   int           // bytes
	compute time.Duration // of the gradient of a sub-batch of 24 images, on one machine
}

// networks are models/mnist and models/cifar10-fast. The times are those of two cores of an Intel Xeon (Emerald Rapids):
// see docs/clusters.md.
var networks = []trained{
	{"mnist", 108_256, 433_072, 9600 * time.Microsecond},
	{"cifar10", 152_864, 611_516, 24400 * time.Microsecond},
}

// setting is a network between machines, and what they do.
type setting struct {
	gbit     float64       // per second, of every link in each direction
	delay    time.Duration // from a member to the server, and back
	slowed   int           // how many times as long everything takes
	machines int
	tasks    int // of a round
}

// settings returns what is measured: as many tasks as machines, and 64. At full speed, the processors can do the
// work of few machines only. Slowed down, 64 tasks take few machines too long. A network of 32 machines confirms
// what follows from those of fewer.
func settings() (list []setting) {
	for _, gbit := range []float64{1, 10} {
		for _, machines := range []int{1, 2} {
			list = append(list, setting{gbit, 0, 1, machines, machines}, setting{gbit, 0, 1, machines, 64})
		}
		for _, delay := range []time.Duration{0, 200 * time.Microsecond, time.Millisecond} {
			for _, machines := range []int{1, 2, 4, 8} {
				list = append(list, setting{gbit, delay, 8, machines, machines})
				if machines >= 4 {
					list = append(list, setting{gbit, delay, 8, machines, 64})
				}
			}
		}
		list = append(list, setting{gbit, 200 * time.Microsecond, 8, 32, 32})
		if gbit > 1 { // so slow a link would make members wait for longer than they do for those that are lost
			list = append(list, setting{gbit, 200 * time.Microsecond, 32, 32, 32})
		}
	}
	return list
}

// csvHeader has the names of the columns. Times and bytes are those of a round that is not slowed down.
const csvHeader = "network,gbit_per_s,delay_ms,slowed,machines,sub_batches,compute_ms,round_ms_min,round_ms_median,server_in_mb,server_out_mb,server_cpu_ms,rounds\n"

func measure(b *testing.B, path string, n trained, s setting) {
	slowed := time.Duration(s.slowed)
	machines := newMachines(b, s.machines, s.gbit*1e9/float64(s.slowed))
	l := &Leader{Lost: 3 * time.Second * slowed}
	require.NoError(b, l.Lead(dialServer(b, machines.server.address), n.length))
	machines.join(b, memberRole{
		Address: machines.server.address, Session: l.Session, Length: n.length, Compute: n.compute * slowed, Delay: s.delay * slowed,
	})
	there(b, l, s.machines)
	state, sum := make([]byte, n.state), make([]float32, n.length)
	round := func() time.Duration {
		clear(sum)
		start := time.Now()
		_, _, err := l.Compute(b.Context(), state, 0, s.tasks, sum)
		require.NoError(b, err)
		return time.Since(start)
	}
	for range 2 {
		round() // the Leader gets to know the speed of the members
	}
	var times []time.Duration
	before := machines.server.ask(b)
	for b.Loop() {
		times = append(times, round())
	}
	after := machines.server.ask(b)
	require.NoError(b, l.End())
	slices.Sort(times)
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 / float64(s.slowed) }
	each := func(from, to int64) float64 { return float64(to-from) / 1e6 / float64(len(times)) }
	efficiency := ms(n.compute*slowed) * float64(s.tasks) / float64(s.machines) / ms(times[len(times)/2])
	b.ReportMetric(efficiency, "efficiency")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	require.NoError(b, err)
	defer func() { require.NoError(b, f.Close()) }()
	at, err := f.Seek(0, io.SeekEnd)
	require.NoError(b, err)
	if at == 0 {
		_, err = f.WriteString(csvHeader)
		require.NoError(b, err)
	}
	_, err = fmt.Fprintf(f, "%s,%g,%g,%d,%d,%d,%.2f,%.2f,%.2f,%.3f,%.3f,%.2f,%d\n", n.name, s.gbit, s.delay.Seconds()*1e3, s.slowed, s.machines, s.tasks,
		ms(n.compute*slowed), ms(times[0]), ms(times[len(times)/2]), each(before.In, after.In), each(before.Out, after.Out),
		each(before.CPU.Microseconds()*1e3, after.CPU.Microseconds()*1e3), len(times))
	require.NoError(b, err)
}
