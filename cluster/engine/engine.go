// Package engine divides jobs into tasks and lets workers on any number of machines compute them, by
// means of NATS JetStream. It knows nothing about what a task is.
//
// A job has a specification, which workers get, and a number of tasks. Tasks wait in a work queue that
// all jobs share. A task whose worker is lost is given to another one. The first result of a task
// counts. Objects, such as files that the tasks need, are found by the SHA-256 of their contents.
package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/natscontext"
)

// Options say which NATS server to use, and how. All fields are optional apart from URL or Context.
type Options struct {
	URL     string // of the server or servers, separated by commas
	Context string // name of a context of the nats command, or the path of its file

	Creds, NKey            string // paths of a credentials file or of the seed of an NKey
	TLSCert, TLSKey, TLSCA string // paths of PEM files
	Token                  string

	Version string // of the program: workers compute only the tasks of their own version

	Replicas int               // copies of the data in a cluster of servers, 1 if it is 0
	Lifetime time.Duration     // after which the server deletes what is left of a job, a week if it is 0
	Warn     func(text string) `json:"-"` // called if the server does not answer for some time

	LostAfter time.Duration // time without a sign of life after which a task is given to another worker; 0 for what is set, or else 30 s
}

// The defaults of Options.
const (
	DefaultLifetime  = 7 * 24 * time.Hour
	DefaultLostAfter = 30 * time.Second
)

// Engine is a connection to a NATS server.
type Engine struct {
	Options

	conn        *nats.Conn
	js          jetstream.JetStream
	tasks       jetstream.Stream
	reconnected chan struct{} // receives a value after a lost connection is back
}

// Names on the server.
const (
	queueStream = "SBS-TASKS"
	taskSubject = "sbs.task"   // sbs.task.VERSION.JOB.NUMBER
	lifeSubject = "sbs.worker" // signs of life
	bucketName  = "sbs-"       // sbs-JOB: the objects, and the results by the time of creation and the number of the task
)

// Connect connects to the server and prepares the queue. Errors say what to do.
func Connect(ctx context.Context, o Options) (*Engine, error) {
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Lifetime == 0 {
		o.Lifetime = DefaultLifetime
	}
	e := &Engine{Options: o, reconnected: make(chan struct{}, 1)}
	domain, prefix, err := e.connect()
	if err != nil {
		return nil, e.explain(err)
	}
	switch {
	case prefix != "":
		e.js, err = jetstream.NewWithAPIPrefix(e.conn, prefix)
	case domain != "":
		e.js, err = jetstream.NewWithDomain(e.conn, domain)
	default:
		e.js, err = jetstream.New(e.conn)
	}
	if err == nil {
		err = e.prepare(ctx)
	}
	if err != nil {
		e.Close()
		return nil, e.explain(err)
	}
	return e, nil
}

func (e *Engine) connect() (domain, prefix string, err error) {
	opts := []nats.Option{
		nats.Name("sbs-cluster"), nats.MaxReconnects(-1), nats.ReconnectWait(500 * time.Millisecond), nats.Timeout(5 * time.Second),
		nats.ReconnectHandler(func(*nats.Conn) {
			select {
			case e.reconnected <- struct{}{}:
			default:
			}
		}),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // the calls report their errors
	}
	for _, path := range []string{e.Creds, e.NKey, e.TLSCert, e.TLSKey, e.TLSCA} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return "", "", err
		}
	}
	if e.Creds != "" {
		opts = append(opts, nats.UserCredentials(e.Creds))
	}
	if e.NKey != "" {
		key, err := nats.NkeyOptionFromSeed(e.NKey)
		if err != nil {
			return "", "", fmt.Errorf("%s is not the seed of an NKey: %w", e.NKey, err)
		}
		opts = append(opts, key)
	}
	if e.TLSCert != "" || e.TLSKey != "" {
		opts = append(opts, nats.ClientCert(e.TLSCert, e.TLSKey))
	}
	if e.TLSCA != "" {
		opts = append(opts, nats.RootCAs(e.TLSCA))
	}
	if e.Token != "" {
		opts = append(opts, nats.Token(e.Token))
	}
	if e.Context == "" {
		e.conn, err = nats.Connect(e.URL, opts...)
		return "", "", err
	}
	name := e.Context
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
		if name, err = filepath.Abs(name); err != nil {
			return "", "", err
		}
	}
	conn, settings, err := natscontext.Connect(name, opts...)
	e.conn, e.URL = conn, settings.URL
	return settings.JSDomain, settings.JSAPIPrefix, err
}

// prepare checks the server and makes sure that the queue is there.
func (e *Engine) prepare(ctx context.Context) error {
	if v := e.conn.ConnectedServerVersion(); olderThan(v, 2, 10) {
		return fmt.Errorf("the NATS server %s has version %s: version 2.10 or later is needed", e.conn.ConnectedUrlRedacted(), v)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := e.js.AccountInfo(ctx); err != nil {
		return err
	}
	return e.queue(ctx)
}

// queue makes sure that the queue is on the server, which may have lost it.
func (e *Engine) queue(ctx context.Context) error {
	config := jetstream.StreamConfig{
		Name: queueStream, Description: "Tasks of sbs-cluster", Subjects: []string{taskSubject + ".>"},
		Retention: jetstream.WorkQueuePolicy, Replicas: e.Replicas,
	}
	var err error
	if e.tasks, err = e.js.Stream(ctx, queueStream); errors.Is(err, jetstream.ErrStreamNotFound) {
		e.tasks, err = e.js.CreateStream(ctx, config)
	}
	// Workers may have created the queue with less.
	if err == nil && e.tasks.CachedInfo().Config.Replicas < e.Replicas {
		e.tasks, err = e.js.UpdateStream(ctx, config)
	}
	return err
}

// olderThan reports whether a version of the server is older than major.minor. Versions that are not
// understood are not.
func olderThan(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, err1 := strconv.Atoi(parts[0])
	b, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (a < major || a == major && b < minor)
}

// Conn returns the connection to the server, for messages that need no JetStream.
func (e *Engine) Conn() *nats.Conn { return e.conn }

// Close closes the connection. Messages that were sent before arrive.
func (e *Engine) Close() {
	if e.conn != nil {
		_ = e.conn.FlushTimeout(time.Second) // the server may be gone
		e.conn.Close()
	}
}

// versionToken returns the version as a part of a subject.
func (e *Engine) versionToken() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", protocol, e.Version))
	return hex.EncodeToString(sum[:6])
}

// protocol is the version of what clients and workers send each other.
const protocol = 1

// callTimeout is the time within which a server answers.
const callTimeout = 10 * time.Second

// retry calls f again and again while the server is not there. Errors say what to do.
func (e *Engine) retry(ctx context.Context, f func(context.Context) error) error {
	wait, warn := 50*time.Millisecond, e.warner()
	for {
		inner, cancel := context.WithTimeout(ctx, callTimeout)
		err := f(inner)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !transient(err):
			return e.explain(err)
		}
		warn(err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 2*time.Second)
	}
}

// warner returns a function for the errors of tries that are repeated. It calls Warn once, if the tries
// take long.
func (e *Engine) warner() func(error) {
	start, told := time.Now(), e.Warn == nil
	return func(err error) {
		if !told && time.Since(start) > callTimeout {
			told = true
			text := fmt.Sprintf("waiting for the NATS server %s (%v)", redacted(e.URL), err)
			if full(err) {
				text += ": it has no space left; remove jobs that are not needed (sbs-cluster jobs), or raise its limits"
			}
			e.Warn(text)
		}
	}
}

// full reports whether an error says that the server has no space left.
func full(err error) bool {
	const noResources, noStorage = 10023, 10047 // JetStream's codes
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == noResources || api.ErrorCode == noStorage)
}

// transient reports whether an error is one of a server that is restarted or out of reach.
func transient(err error) bool {
	var api *jetstream.APIError
	for _, e := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrDisconnected, nats.ErrConnectionReconnecting, nats.ErrReconnectBufExceeded,
		nats.ErrStaleConnection, jetstream.ErrNoStreamResponse, jetstream.ErrJetStreamNotEnabled, jetstream.ErrServerShutdown, jetstream.ErrAsyncPublishTimeout,
		jetstream.ErrTooManyStalledMsgs, // tasks that were submitted while the server was not there
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.As(err, &api) && (api.Code == 503 || api.Code == 500)
}

// explain returns an error that says what to do.
func (e *Engine) explain(err error) error {
	at := e.URL
	if e.conn != nil && e.conn.ConnectedUrlRedacted() != "" {
		at = e.conn.ConnectedUrlRedacted()
	}
	at = redacted(at)
	text := err.Error()
	switch {
	case errors.Is(err, nats.ErrNoServers), strings.Contains(text, "no such host"), strings.Contains(text, "i/o timeout"):
		return fmt.Errorf("cannot reach the NATS server %s: start it with nats-server -js, or correct the address", at)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return fmt.Errorf("the NATS server %s refuses the credentials: give those of a user of the server, with --creds, --nkey, --context, or nats://USER:PASSWORD@HOST (%w)", at, err)
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted), strings.Contains(text, "x509: "), strings.Contains(text, "tls: "):
		return fmt.Errorf("no secure connection to the NATS server %s: check --tlsca, --tlscert, --tlskey and the address (%w)", at, err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		return fmt.Errorf("the NATS server %s has no JetStream: start it with nats-server -js, or put jetstream {} into its configuration", at)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("JetStream is not enabled for this account of the NATS server %s: enable it, or give the credentials of another account", at)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrPermissionViolation):
		return fmt.Errorf("JetStream of the NATS server %s does not answer: see docs/clusters.md for the permissions that the user needs; a cluster of servers needs a leader (%w)", at, err)
	}
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return fmt.Errorf("the NATS server %s: %w", at, err)
	}
	return err
}

// redacted returns the URLs of servers without passwords.
func redacted(urls string) string {
	list := strings.Split(urls, ",")
	for i, u := range list {
		scheme, rest, ok := strings.Cut(u, "://")
		if !ok {
			scheme, rest = "", u
		} else {
			scheme += "://"
		}
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			rest = rest[at+1:]
		}
		list[i] = scheme + rest
	}
	return strings.Join(list, ",")
}
