package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// connection holds the flags that say which NATS server to use.
type connection struct {
	engine.Options

	set *pflag.FlagSet
}

// The names of flags that errors mention.
const (
	flagNATS    = "nats"
	flagContext = "context"
)

// The flags of a connection, and those of them that set how the server keeps the data of jobs.
var (
	accessFlags  = []string{"creds", "nkey", "tlscert", "tlskey", "tlsca"}
	storageFlags = []string{"replicas", "lifetime"}
)

// register defines the flags. withStorage adds those that set how the server keeps the data of jobs.
func (c *connection) register(s *pflag.FlagSet, withStorage bool) {
	c.set = s
	s.Var((*urls)(&c.URL), flagNATS, "`URL` of the NATS server, such as nats://head:4222, or several of them, separated by commas")
	s.StringVar(&c.Context, flagContext, "", "`name` of a context of the nats command, or the path of its file, with the server and the credentials; instead of --nats")
	s.StringVar(&c.Creds, "creds", "", "`file` with the credentials of the user (.creds)")
	s.StringVar(&c.NKey, "nkey", "", "`file` with the seed of the NKey of the user")
	s.StringVar(&c.TLSCert, "tlscert", "", "PEM `file` with the certificate of this client")
	s.StringVar(&c.TLSKey, "tlskey", "", "PEM `file` with its private key")
	s.StringVar(&c.TLSCA, "tlsca", "", "PEM `file` with the certificates of the authorities that sign the certificate of the server (default: those of the system)")
	names := append([]string{flagNATS, flagContext}, accessFlags...)
	if withStorage {
		s.IntVar(&c.Replicas, "replicas", 1, "`number` of servers of a cluster that keep the data of the job (default: 1)")
		s.DurationVar(&c.Lifetime, "lifetime", engine.DefaultLifetime, "`time` after which the server deletes the data of a job whose results nobody has fetched (default: a week)")
		for _, name := range storageFlags {
			s.Lookup(name).DefValue = "0" // pflag would print another one without the colon
		}
		names = append(names, storageFlags...)
	}
	cli.Group(s, "NATS", names...)
}

// urls is the value of --nats.
type urls string

// String implements pflag.Value.
func (u *urls) String() string { return string(*u) }

// Set implements pflag.Value.
func (u *urls) Set(text string) error {
	*u = urls(text)
	return nil
}

// Type implements pflag.Value.
func (u *urls) Type() string { return "string" }

// WithoutSecret implements cli.Secret.
func (u *urls) WithoutSecret() string {
	list := strings.Split(string(*u), ",")
	for i, one := range list {
		scheme, rest, found := strings.Cut(one, "://")
		if !found {
			scheme, rest = "", one
		} else {
			scheme += "://"
		}
		at := strings.LastIndex(rest, "@")
		if at < 0 {
			continue
		}
		access := "TOKEN"
		if user, _, ok := strings.Cut(rest[:at], ":"); ok {
			access = user + ":PASSWORD"
		}
		list[i] = scheme + access + rest[at:]
	}
	return strings.Join(list, ",")
}

// remote reports whether a server is given.
func (c *connection) remote() bool { return c.URL != "" || c.Context != "" }

// check returns an error about flags that contradict each other.
func (c *connection) check() error {
	switch {
	case c.URL != "" && c.Context != "":
		return errors.New("--nats and --context cannot be combined: the context has the URL of the server")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("--tlscert and --tlskey need each other: give both files")
	case c.set.Changed("replicas") && (c.Replicas < 1 || c.Replicas > 5):
		return fmt.Errorf("--replicas %d: want 1 to 5, and at most the number of servers", c.Replicas)
	case c.set.Changed("lifetime") && c.Lifetime < time.Minute:
		return fmt.Errorf("--lifetime %v: want at least a minute, such as 72h", c.Lifetime)
	case c.remote():
		return nil
	}
	for _, name := range append(accessFlags, storageFlags...) {
		if c.set.Changed(name) {
			return fmt.Errorf("--%s is about a NATS server: give it with --%s or --%s", name, flagNATS, flagContext)
		}
	}
	return nil
}

// connect connects to the server. It prints warnings to stderr.
func (c *connection) connect(ctx context.Context, stderr io.Writer) (*engine.Engine, error) {
	c.Version = cli.Release()
	c.Warn = func(text string) { cli.PrintWarnings(stderr, text) }
	return engine.Connect(ctx, c.Options)
}
