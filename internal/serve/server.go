package serve

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/serve/gate"
	"github.com/spike-by-spike/sbs/internal/serve/metrics"
	"github.com/spike-by-spike/sbs/internal/serve/models"
	"github.com/spike-by-spike/sbs/internal/serve/rest"
	"github.com/spike-by-spike/sbs/internal/serve/rpc"
)

// server is a server that listens.
type server struct {
	config
	log   *slog.Logger
	gate  *gate.Gate
	certs *certificates // nil without TLS
	http  *http.Server
	conns *connections // of http
	grpc  *rpc.Server  // nil without gRPC
	show  *showcase    // nil without the page

	listeners []net.Listener

	failed  chan error // of Serve
	serving sync.WaitGroup
}

// run serves until ctx is done. The server is live before the models are loaded, and ready after.
func (c *config) run(ctx context.Context, paths []string, stderr io.Writer) error {
	s, err := c.newServer(paths, stderr)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // from the start on, since it would end the process
	defer signal.Stop(hangup)
	if err := s.listen(ctx); err != nil {
		return err
	}
	err = s.models.Load(ctx)
	if err != nil {
		_ = s.stop(0) // the error of the models is the reason
		if ctx.Err() != nil {
			return cli.ErrInterrupted
		}
		return err
	}
	if s.grpc != nil {
		s.grpc.SetReady(true)
	}
	s.log.Info("ready")
	watching, stopWatching := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { s.watch(watching, hangup) })
	select {
	case err = <-s.failed:
	case <-ctx.Done():
		s.log.Info("ending: the server is no longer ready, but answers requests", "seconds", c.drain.Seconds())
		s.gate.Drain()
		if s.grpc != nil {
			s.grpc.SetReady(false)
		}
		time.Sleep(c.drain)
	}
	stopWatching()
	watchers.Wait()
	if stopped := s.stop(c.shutdown); stopped != nil {
		return errors.Join(err, stopped)
	}
	s.log.Info("ended: all requests are answered")
	return err
}

// newServer prepares a server.
func (c *config) newServer(paths []string, stderr io.Writer) (*server, error) {
	options := &slog.HandlerOptions{Level: levels[c.logLevel]}
	var handler slog.Handler = slog.NewTextHandler(stderr, options)
	if c.logFormat == "json" {
		handler = slog.NewJSONHandler(stderr, options)
	}
	s := &server{config: *c, log: slog.New(handler), failed: make(chan error, 2)}
	s.limits.Log = s.log
	m := metrics.New()
	var err error
	var forBrowsers http.Handler
	if !c.noPage {
		if s.show, err = c.newShowcase(s.log); err != nil {
			return nil, err
		}
		s.limits.Loaded, forBrowsers = s.show.loaded, s.show.page
	}
	if s.models, err = models.New(paths, s.limits, func(name string) models.Observer { return m.Model(name) }); err != nil {
		return nil, cli.Usage(err)
	}
	if s.show != nil {
		if err := s.show.check(s.models.Has); err != nil {
			return nil, err
		}
	}
	s.gate, err = gate.New(gate.Config{
		Models: s.models, Metrics: m, Log: s.log, Timeout: c.timeout, TokenFile: c.tokenFile,
		MaxBody: int64(c.maxBody.Or(defaultMaxBody)) << 20, MaxBodies: int64(c.maxMemory.Or(defaultMaxMemory)) << 20,
	})
	if err != nil {
		return nil, err
	}
	var forHTTP, forGRPC *tls.Config
	if c.tlsCert != "" {
		if s.certs, err = newCertificates(c.tlsCert, c.tlsKey); err != nil {
			return nil, err
		}
		forHTTP, forGRPC = s.certs.config(), s.certs.config()
	}
	s.http = &http.Server{
		Handler: rest.New(s.gate, forBrowsers), TLSConfig: forHTTP,
		ReadHeaderTimeout: min(c.readTimeout, 10*time.Second), ReadTimeout: c.readTimeout, IdleTimeout: 2 * time.Minute,
		WriteTimeout: c.readTimeout + c.timeout + time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(handler, slog.LevelDebug), // about clients
	}
	s.conns = newConnections()
	s.http.ConnState = s.conns.changed
	if c.grpcListen != "" {
		s.grpc = rpc.New(s.gate, forGRPC)
	}
	return s, nil
}

// listen starts to answer requests.
func (s *server) listen(ctx context.Context) error {
	var l net.ListenConfig
	l.SetMultipathTCP(false) // it has no socket filters: see closeListener
	web, err := l.Listen(ctx, "tcp", s.config.listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", s.config.listen, err)
	}
	s.listeners = append(s.listeners, web)
	s.serving.Go(func() {
		var err error
		if s.certs != nil {
			err = s.http.ServeTLS(web, "", "")
		} else {
			err = s.http.Serve(web)
		}
		if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.failed <- err
		}
	})
	s.log.Info("listening", "protocol", "http", "address", web.Addr().String(), "tls", s.certs != nil, "token", s.tokenFile != "")
	s.warn(web.Addr())
	if s.grpc == nil {
		return nil
	}
	calls, err := l.Listen(ctx, "tcp", s.grpcListen)
	if err != nil {
		_ = s.stop(0) // no request is lost: the server was never ready
		return fmt.Errorf("--grpc-listen %s: %w (--grpc-listen \"\" turns gRPC off)", s.grpcListen, err)
	}
	s.listeners = append(s.listeners, calls)
	s.serving.Go(func() {
		if err := s.grpc.Serve(calls); err != nil && !errors.Is(err, net.ErrClosed) {
			s.failed <- err
		}
	})
	s.log.Info("listening", "protocol", "grpc", "address", calls.Addr().String(), "tls", s.certs != nil, "token", s.tokenFile != "")
	s.warn(calls.Addr())
	return nil
}

// warn warns about an address that others reach without a token.
func (s *server) warn(a net.Addr) {
	if tcp, ok := a.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && s.tokenFile == "" {
		s.log.Warn("everyone who reaches this address can use the models: --token-file and --tls-cert restrict that", "address", a.String())
	}
}

// watch reads the files of the models, the certificate and the token again when they change, and
// after every signal in hangup.
func (s *server) watch(ctx context.Context, hangup <-chan os.Signal) {
	var tick <-chan time.Time
	if s.reload > 0 {
		ticker := time.NewTicker(s.reload)
		defer ticker.Stop()
		tick = ticker.C
	}
	var failure string // of the certificate or the token
	for {
		all := false
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			all, failure = true, ""
			s.log.Info("SIGHUP: reading all files again")
		case <-tick:
		}
		err := s.gate.ReadToken()
		if s.certs != nil {
			err = errors.Join(err, s.certs.read())
		}
		switch {
		case err == nil:
			failure = ""
		case err.Error() != failure:
			failure = err.Error()
			s.log.Error("the certificate or the token cannot be read: the server keeps the old one", "error", err)
		}
		s.models.Reload(ctx, all)
	}
}

// stop ends the server after the requests in progress, or after the given time. The models are closed.
func (s *server) stop(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if s.show != nil {
		s.show.page.Close()
	}
	var ended sync.WaitGroup
	for _, l := range s.listeners {
		ended.Go(func() { closeListener(l) })
	}
	ended.Wait()
	s.serving.Wait()
	var calls error
	if s.grpc != nil {
		ended.Go(func() { calls = s.grpc.Shutdown(ctx) })
	}
	err := s.conns.shutdown(ctx, s.http)
	ended.Wait()
	if err = cmp.Or(err, calls); err != nil {
		err = fmt.Errorf("requests have not ended within --shutdown-timeout %v: %w", s.shutdown, err)
	}
	s.models.Close()
	return err
}
