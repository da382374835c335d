package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/classification"
)

// freePorts returns ports that no program uses.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// With --replicas, a job survives the loss of one of three servers.
func TestReplicas_SurviveTheLossOfAServer(t *testing.T) {
	args := slow(t)
	want, _, err := call(t, classification.Command, args...)
	require.NoError(t, err)
	ports := freePorts(t, 3)
	var routes []*url.URL
	for _, p := range ports {
		u, err := url.Parse(fmt.Sprintf("nats://127.0.0.1:%d", p))
		require.NoError(t, err)
		routes = append(routes, u)
	}
	servers := make([]*server.Server, 3)
	urls := make([]string, 3)
	for i := range servers {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprint("s", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]}, Routes: routes,
		})
		require.NoError(t, err)
		servers[i] = s
		go s.Start()
		t.Cleanup(func() {
			s.Shutdown()
			s.WaitForShutdown()
		})
	}
	for i, s := range servers {
		require.True(t, s.ReadyForConnections(10*time.Second))
		urls[i] = s.ClientURL()
	}
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(servers, func(s *server.Server) bool { return s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == 3 })
	}, 20*time.Second, 50*time.Millisecond)
	all := strings.Join(urls, ",")
	cmd, stderr := process(t, slices.Concat([]string{"run", "--nats", all, "--replicas", "3", "--shards", "40", "-o", "out.csv"}, args)...)
	require.NoError(t, cmd.Start())
	e := connected(t, urls[1])
	waitForResults(t, e, 0)
	startWorkers(t, all, 2, "--lost-after", "2s")
	waitForResults(t, e, 10)
	servers[0].Shutdown()
	require.NoError(t, cmd.Wait(), stderr)
	require.Equal(t, want, read(t, "out.csv"))
}
