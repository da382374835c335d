// Package page serves a web page that shows how a Spike-By-Spike network decides about one
// picture: its spikes, the activities h of its layers, and its belief in each class over the
// number of spikes. The page has no build step: the folder static is all of it.
//
// The page asks a small API, with JSON in both directions, below page/:
//
//	GET  page/models             the models and the kinds of noise: overview
//	GET  page/pictures?model=M   the test pictures of a model: []Picture
//	POST page/picture?model=M    a picture file; answers with its pixels as the model takes them
//	POST page/run                Request; answers with Response
//	GET  page/weights            the weights of a neuron as a picture: Weights
//
// Errors have the status of HTTP and a body {"error": "..."}.
package page

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spike-by-spike/sbs/internal/cli"
)

//go:embed static
var static embed.FS

// Limits bounds the work that the page may ask for. A field that is 0 selects the default.
type Limits struct {
	// Spikes is the largest number of spikes per output position. The default is 10000.
	Spikes int

	// Time is the longest time for a request, without its time in the queue. The default is
	// 10 seconds.
	Time time.Duration

	// Concurrent is the number of requests that are computed at the same time, each on one
	// CPU core. The default is 1.
	Concurrent int

	// Waiting is the number of requests that wait for their turn. Further requests are
	// refused. The default is 16.
	Waiting int
}

const (
	defaultSpikes     = 10_000
	defaultTime       = 10 * time.Second
	defaultConcurrent = 1
	defaultWaiting    = 16
)

// Handler serves the page and its API. Use New to make one. It is safe for concurrent use.
type Handler struct {
	limits  Limits
	models  atomic.Pointer[[]*Model]
	running chan struct{} // has an element per request that is computed
	waiting chan struct{} // has an element per request that is read, waits, is computed or is answered
	closed  context.Context
	close   context.CancelCauseFunc
	mux     *http.ServeMux
	guard   http.Handler // mux, without requests from other sites
}

// New returns a Handler without models: see SetModels.
func New(l Limits) *Handler {
	if l.Spikes == 0 {
		l.Spikes = defaultSpikes
	}
	if l.Time == 0 {
		l.Time = defaultTime
	}
	if l.Concurrent == 0 {
		l.Concurrent = defaultConcurrent
	}
	if l.Waiting == 0 {
		l.Waiting = defaultWaiting
	}
	h := &Handler{
		limits: l, mux: http.NewServeMux(),
		running: make(chan struct{}, l.Concurrent), waiting: make(chan struct{}, l.Concurrent+l.Waiting),
	}
	h.closed, h.close = context.WithCancelCause(context.Background())
	h.models.Store(new([]*Model))
	h.mux.HandleFunc("GET /{$}", h.index)
	h.mux.Handle("GET /page/static/", http.StripPrefix("/page/", files()))
	h.mux.HandleFunc("GET /page/models", answer(h.overview))
	h.mux.HandleFunc("GET /page/pictures", answer(h.pictures))
	h.mux.HandleFunc("POST /page/picture", h.limit(answer(h.upload)))
	h.mux.HandleFunc("POST /page/run", h.limit(answer(h.run)))
	h.mux.HandleFunc("GET /page/weights", h.limit(answer(h.weights)))
	h.guard = http.NewCrossOriginProtection().Handler(h.mux)
	return h
}

// SetModels replaces the models that the page offers. Requests that are being computed end with
// the models that they have begun with.
func (h *Handler) SetModels(models []*Model) { h.models.Store(&models) }

// Close ends the requests that are being computed, and refuses further ones. The page itself and the
// descriptions of the models are still served.
func (h *Handler) Close() { h.close(errClosed) }

// policy is the Content-Security-Policy of the page: everything comes from the server itself, and
// no script or style is inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP answers a request for the page, its files or its API.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	h.guard.ServeHTTP(w, r)
}

func (h *Handler) index(w http.ResponseWriter, r *http.Request) {
	r.URL.Path = "static/index.html"
	files().ServeHTTP(w, r)
}

// files serves the files of the page. Browsers ask each time whether their copy is up to date.
func files() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := fs.ReadFile(static, r.URL.Path)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		sum := sha256.Sum256(data)
		tag := `"` + hex.EncodeToString(sum[:8]) + `"`
		header := w.Header()
		header.Set("ETag", tag)
		header.Set("Cache-Control", "no-cache")
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		header.Set("Content-Type", contentTypes[path.Ext(r.URL.Path)])
		write(w, r, http.StatusOK, data)
	})
}

// contentTypes has the types of the files of the page. Those of package mime depend on the
// machine.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// write writes a body, compressed if the client accepts that.
func write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Add("Vary", "Accept-Encoding")
	if len(body) < 1024 || !acceptsGzip(r) {
		w.WriteHeader(status)
		_, _ = w.Write(body) // the client has gone away
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is valid
	_, _ = z.Write(body)
	_ = z.Close()
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err == nil && coding == "gzip" && params["q"] != "0" {
			return true
		}
	}
	return false
}

// statusError is an error with a status of HTTP.
type statusError struct {
	status int
	error
}

func (e statusError) Unwrap() error { return e.error }

// refused returns an error about a request that cannot be answered as it is.
func refused(format string, args ...any) error {
	return statusError{http.StatusBadRequest, fmt.Errorf(format, args...)}
}

// answer makes a handler of a function that returns a value for JSON.
func answer[T any](f func(r *http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := f(r)
		reply(w, r, v, err)
	}
}

// limit answers requests that have something to compute, unless too many are at work. A request
// counts until its answer is written, so that slow clients cannot fill the memory.
func (h *Handler) limit(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case h.waiting <- struct{}{}:
			defer func() { <-h.waiting }()
			f(w, r)
		default:
			reply(w, r, nil, statusError{http.StatusServiceUnavailable, errors.New("the server is busy with other pictures: try again in a moment")})
		}
	}
}

// reply answers a request with a value or an error.
func reply(w http.ResponseWriter, r *http.Request, v any, err error) {
	var body []byte
	if err == nil {
		body, err = json.Marshal(v)
	}
	status := http.StatusOK
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = statusError{http.StatusRequestEntityTooLarge, fmt.Errorf("the file or the request is too large: at most %d bytes are possible", tooLarge.Limit)}
	}
	if err != nil {
		status = statusOf(err)
		body, _ = json.Marshal(map[string]string{"error": cli.Message(err, nil)}) // cannot fail
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	write(w, r, status, body)
}

func statusOf(err error) int {
	if s, ok := errors.AsType[statusError](err); ok {
		return s.status
	}
	return http.StatusInternalServerError
}

// compute calls f when it is the turn of a request. The context of f ends when the
// client goes away, when f has taken too long and when the Handler is closed.
func (h *Handler) compute(r *http.Request, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(h.closed, func() { cancel(errClosed) })()
	select {
	case h.running <- struct{}{}:
		defer func() { <-h.running }()
	case <-ctx.Done():
		return statusError{http.StatusServiceUnavailable, context.Cause(ctx)}
	}
	ctx, stop := context.WithTimeoutCause(ctx, h.limits.Time, errTime)
	defer stop()
	err := f(ctx)
	if err != nil && ctx.Err() != nil {
		return statusError{http.StatusServiceUnavailable, context.Cause(ctx)}
	}
	return err
}

var (
	errTime   = errors.New("the computation took too long and was stopped: choose fewer spikes")
	errClosed = errors.New("the server is about to end")
)

// model returns the model with a name. The empty name selects the first one.
func (h *Handler) model(name string) (*Model, error) {
	models := *h.models.Load()
	for _, m := range models {
		if m.name == name || name == "" {
			return m, nil
		}
	}
	return nil, statusError{http.StatusNotFound, fmt.Errorf("there is no model %q: reload the page to see the models of this server", name)}
}
