//go:build linux

package reduce

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// roleVariable tells a process of this program that it is the server or a member, and how.
const roleVariable = "SBS_NETWORK_ROLE"

func TestMain(m *testing.M) {
	text := os.Getenv(roleVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var role struct {
		Server string
		Member *memberRole
	}
	err := json.Unmarshal([]byte(text), &role)
	switch {
	case err != nil:
	case role.Member != nil:
		err = role.Member.play()
	default:
		err = serve(role.Server)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serverUse is what a server has used since its start.
type serverUse struct {
	In, Out int64 // bytes of messages
	CPU     time.Duration
}

// serve is a server that tells what it has used for every line that it reads.
func serve(host string) error {
	s, err := server.NewServer(&server.Options{Host: host, Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		return err
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("there is no server at %s", host)
	}
	fmt.Println(s.ClientURL())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		v, err := s.Varz(nil)
		if err != nil {
			return err
		}
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			return err
		}
		use := serverUse{v.InBytes, v.OutBytes, time.Duration(u.Utime.Nano() + u.Stime.Nano())}
		if err := json.NewEncoder(os.Stdout).Encode(use); err != nil {
			return err
		}
	}
	return nil
}

// memberRole is a member that waits instead of computing.
type memberRole struct {
	Address, Session string
	Length           int
	Compute, Delay   time.Duration
}

// play is the member, until its standard input ends.
func (r *memberRole) play() error {
	address := r.Address
	if r.Delay > 0 {
		p := &proxy{delay: r.Delay}
		l, err := p.listen(r.Address)
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		address = "nats://" + l.Addr().String()
	}
	conn, err := nats.Connect(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	m := &Member{Session: r.Session, Name: strconv.Itoa(os.Getpid()), Cores: 1, Computer: asleep{waiting{r.Length, r.Compute}}}
	if err := m.Serve(ctx, conn); ctx.Err() == nil {
		return err
	}
	return nil
}

// asleep is a Computer that waits for exactly its time, which time.Sleep exceeds by up to 1 ms.
type asleep struct{ waiting }

func (c asleep) Compute(context.Context, int, int, []float32) ([]byte, error) {
	left := syscall.NsecToTimespec(c.time.Nanoseconds())
	for syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
	return nil, nil
}

// child is a process of this program.
type child struct {
	address string // of the server
	in      io.WriteCloser
	out     *bufio.Reader
}

// startChild starts a process with a role, in a network namespace if it is not "". The end of the benchmark ends it.
func startChild(b *testing.B, namespace string, role map[string]any) *child {
	b.Helper()
	text, err := json.Marshal(role)
	require.NoError(b, err)
	program, err := os.Executable()
	require.NoError(b, err)
	cmd := exec.Command(program)
	if namespace != "" {
		cmd = exec.Command("ip", "netns", "exec", namespace, program)
	}
	cmd.Env, cmd.Stderr = append(os.Environ(), roleVariable+"="+string(text)), os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = in.Close()
		require.NoError(b, cmd.Wait())
	})
	return &child{in: in, out: bufio.NewReader(out)}
}

// ask returns what the server has used.
func (c *child) ask(b *testing.B) (u serverUse) {
	b.Helper()
	_, err := fmt.Fprintln(c.in)
	require.NoError(b, err)
	line, err := c.out.ReadString('\n')
	require.NoError(b, err)
	require.NoError(b, json.Unmarshal([]byte(line), &u))
	return u
}

func dialServer(b *testing.B, address string) *nats.Conn {
	b.Helper()
	c, err := nats.Connect(address)
	require.NoError(b, err)
	b.Cleanup(c.Close)
	return c
}

// machines are network namespaces, a server in the namespace of this process, and a switch between them.
type machines struct {
	server *child
	names  []string
}

// Names of the namespaces and of the link to the server, and the addresses of the link.
const (
	switchName  = "sbs-switch"
	machineName = "sbs-machine"
	serverLink  = "sbs-server"
	subnet      = "198.18.77." // of the addresses for benchmarks (RFC 2544)
)

// newMachines makes n machines, whose links have a number of bits per second in each direction.
func newMachines(b *testing.B, n int, bits float64) *machines {
	b.Helper()
	removeMachines()
	b.Cleanup(removeMachines)
	ip(b, "netns add "+switchName)
	in := "-n " + switchName + " "
	ip(b, in+"link add bridge type bridge")
	ip(b, in+"link set bridge up")
	link := func(namespace, name, address string) {
		port := "port-" + address[len(subnet):]
		at := ""
		if namespace != "" {
			at = "-n " + namespace + " "
		}
		ip(b, at+"link add "+name+" type veth peer name "+port+" netns "+switchName)
		ip(b, in+"link set "+port+" master bridge up")
		ip(b, at+"address add "+address+"/24 dev "+name)
		ip(b, at+"link set "+name+" up")
		shape(b, at, name, bits)
		shape(b, in, port, bits)
	}
	link("", serverLink, subnet+"1")
	m := &machines{}
	for i := range n {
		name := fmt.Sprint(machineName, i+1)
		ip(b, "netns add "+name)
		ip(b, "-n "+name+" link set lo up")
		link(name, "eth0", fmt.Sprint(subnet, i+2))
		m.names = append(m.names, name)
	}
	m.server = startChild(b, "", map[string]any{"Server": subnet + "1"})
	line, err := m.server.out.ReadString('\n')
	require.NoError(b, err)
	m.server.address = strings.TrimSpace(line)
	return m
}

// removeMachines removes what newMachines has made, also in a process that was killed.
func removeMachines() {
	out, _ := exec.Command("ip", "netns", "list").Output()
	for line := range strings.Lines(string(out)) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); name == switchName || strings.HasPrefix(name, machineName) {
			_ = exec.Command("ip", "netns", "delete", name).Run()
		}
	}
	_ = exec.Command("ip", "link", "delete", serverLink).Run() // it may be gone with its peer
}

// shape limits what leaves through one end of a link. Packets have at most 16 kB before they are cut to those of
// the link, so that a burst is short.
func shape(b *testing.B, at, device string, bits float64) {
	b.Helper()
	ip(b, at+"link set "+device+" gso_max_size 16384")
	run(b, "tc", fmt.Sprintf("%sqdisc add dev %s root tbf rate %.0fbit burst 32k limit 4m", at, device, bits))
}

func ip(b *testing.B, args string) { b.Helper(); run(b, "ip", args) }

func run(b *testing.B, program, args string) {
	b.Helper()
	out, err := exec.Command(program, strings.Fields(args)...).CombinedOutput()
	require.NoError(b, err, "%s %s: %s", program, args, out)
}

// join lets a member run on every machine.
func (m *machines) join(b *testing.B, r memberRole) {
	b.Helper()
	for _, name := range m.names {
		startChild(b, name, map[string]any{"Member": r})
	}
}
