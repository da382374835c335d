// Package rest is the HTTP interface of sbs-serve: the REST calls of the Open Inference Protocol,
// with the binary tensor extension.
package rest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/serve/gate"
	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/internal/serve/models"
)

// statuses has the HTTP status of each kind of error.
var statuses = map[inference.Kind]int{
	inference.Internal: http.StatusInternalServerError, inference.Invalid: http.StatusBadRequest, inference.Unauthenticated: http.StatusUnauthorized,
	inference.NotFound: http.StatusNotFound, inference.BadMethod: http.StatusMethodNotAllowed, inference.TooLarge: http.StatusRequestEntityTooLarge,
	inference.BadFormat: http.StatusUnsupportedMediaType, inference.Busy: http.StatusTooManyRequests, inference.Unavailable: http.StatusServiceUnavailable,
	inference.Timeout: http.StatusGatewayTimeout, inference.Canceled: 499, // the status that nginx logs
}

// handler answers requests.
type handler struct{ gate *gate.Gate }

// New returns the handler of all paths: those of the protocol, /metrics, and page for all others, nil
// for none. The paths below /page/, apart from files, use the models and need the token.
func New(g *gate.Gate, page http.Handler) http.Handler {
	h := &handler{g}
	mux := http.NewServeMux()
	open := func(path, method string, f func(w http.ResponseWriter, r *http.Request) error) {
		mux.Handle(path, h.answer(method, f))
	}
	guarded := func(path, method string, f func(w http.ResponseWriter, r *http.Request) error) {
		open(path, method, func(w http.ResponseWriter, r *http.Request) error {
			if err := g.Allow(r.Header.Get("Authorization")); err != nil {
				w.Header().Set("WWW-Authenticate", "Bearer")
				return err
			}
			return f(w, r)
		})
	}
	open("/v2/health/live", http.MethodGet, h.live)
	open("/v2/health/ready", http.MethodGet, h.ready)
	guarded("/v2", http.MethodGet, h.server)
	guarded("/v2/{$}", http.MethodGet, h.server)
	for _, path := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		guarded(path, http.MethodGet, h.model)
		guarded(path+"/ready", http.MethodGet, h.modelReady)
		guarded(path+"/infer", http.MethodPost, h.infer)
	}
	guarded("/v2/", "", func(_ http.ResponseWriter, r *http.Request) error {
		return inference.Errorf(inference.NotFound, "there is no path %q", r.URL.Path)
	})
	serve := func(h http.Handler) func(w http.ResponseWriter, r *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			h.ServeHTTP(w, r)
			return nil
		}
	}
	guarded("/metrics", http.MethodGet, serve(g.Metrics.Handler()))
	if page == nil {
		open("/", "", func(_ http.ResponseWriter, r *http.Request) error {
			return inference.Errorf(inference.NotFound, "there is no path %q: the server has no page (--no-page); /v2 is the Open Inference Protocol", r.URL.Path)
		})
		return mux
	}
	open("/", "", serve(page))
	open("/page/static/", "", serve(page))
	guarded("/page/", "", serve(g.Metrics.Page(page)))
	return mux
}

// answer returns a handler that writes the error of f. method is the only method, "" for any.
func (h *handler) answer(method string, f func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				h.gate.Log.Error("a request has panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				writeError(w, inference.Errorf(inference.Internal, "the request has failed: see the log of the server"))
			}
		}()
		if h.gate.Draining() {
			w.Header().Set("Connection", "close") // so that the client connects to another server
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if method != "" && r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", method)
			writeError(w, inference.Errorf(inference.BadMethod, "the method %s cannot be used for %q: want %s", r.Method, r.URL.Path, method))
			return
		}
		if err := f(w, r); err != nil {
			writeError(w, err)
		}
	})
}

// writeError writes an error as the protocol has it.
func writeError(w http.ResponseWriter, err error) {
	kind := inference.KindOf(err)
	if kind == inference.Busy || kind == inference.Unavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, statuses[kind], map[string]string{"error": gate.Message(err)})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // fails only if the client has gone away
}

func (h *handler) live(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]bool{"live": true})
	return nil
}

func (h *handler) ready(w http.ResponseWriter, _ *http.Request) error {
	if !h.gate.Ready() {
		return inference.Errorf(inference.Unavailable, "the server is not ready: it is loading models, or ending")
	}
	writeJSON(w, http.StatusOK, map[string]bool{"ready": true})
	return nil
}

func (h *handler) server(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]any{"name": gate.ServerName, "version": cli.Release(), "extensions": gate.Extensions()})
	return nil
}

func (h *handler) modelReady(w http.ResponseWriter, r *http.Request) error {
	if err := h.gate.Models.ModelReady(r.PathValue("model"), r.PathValue("version")); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"name": r.PathValue("model"), "ready": true})
	return nil
}

func (h *handler) model(w http.ResponseWriter, r *http.Request) error {
	d, err := h.gate.Models.Describe(r.PathValue("model"), r.PathValue("version"))
	if err != nil {
		return err
	}
	type tensor struct {
		Name     string  `json:"name"`
		Datatype string  `json:"datatype"`
		Shape    []int64 `json:"shape"`
	}
	list := func(tensors []models.Tensor) []tensor {
		out := make([]tensor, len(tensors))
		for i, t := range tensors {
			out[i] = tensor(t)
		}
		return out
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"name": d.Name, "versions": models.Versions(), "platform": gate.Platform,
		"inputs": list(d.Inputs), "outputs": list(d.Outputs), "properties": d.Properties,
	})
	return nil
}

// protocol is the name of the protocol in measurements and logs.
const protocol = "rest"

func (h *handler) infer(w http.ResponseWriter, r *http.Request) error {
	start, status := time.Now(), http.StatusOK
	err := h.answerInfer(w, r)
	if err != nil {
		status = statuses[inference.KindOf(err)]
	}
	h.gate.Done(r.Context(), protocol, r.PathValue("model"), strconv.Itoa(status), start, err)
	return err
}

func (h *handler) answerInfer(w http.ResponseWriter, r *http.Request) error {
	model, version := r.PathValue("model"), r.PathValue("version")
	if err := h.gate.Models.ModelReady(model, version); err != nil {
		return err // before the body is read
	}
	body, err := readBody(w, r, h.gate)
	defer body.release()
	if err != nil {
		return err
	}
	// The time limit for reading would end the context of the request, although all of it is there.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a writer of a test has none
	if err := body.reserve(memoryOf(r.Header, body.bytes)); err != nil {
		return err
	}
	request, err := read(r.Header, r.URL.RawQuery, body.bytes, func() ([]rawInput, error) { return h.rawInputs(model, version) })
	if err != nil {
		return err
	}
	request.Model, request.Version = model, version
	response, err := h.gate.Infer(r.Context(), &request.Request)
	if err != nil {
		return err
	}
	content, header, err := encode(response, request.isBinary)
	if err != nil {
		return err
	}
	return writeInfer(w, r, content, header)
}

// rawInputs describes the inputs of a model.
func (h *handler) rawInputs(model, version string) ([]rawInput, error) {
	d, err := h.gate.Models.Describe(model, version)
	if err != nil {
		return nil, err
	}
	list := make([]rawInput, len(d.Inputs))
	for i, in := range d.Inputs {
		list[i] = rawInput{in.Name, in.Datatype, in.Shape, 0}
		if t, err := inference.ElementType(in.Name, in.Datatype); err == nil {
			list[i].size = t.Size()
		}
	}
	return list, nil
}

// compressAbove is the size of a JSON response above which it is compressed if the client accepts
// that.
const compressAbove = 8 << 10

// writeInfer writes a response. header is the number of bytes of the JSON object if binary tensors
// follow it. These are not compressed: floating-point numbers hardly become smaller.
func writeInfer(w http.ResponseWriter, r *http.Request, content []byte, header int) error {
	if header > 0 {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set(headerLength, strconv.Itoa(header))
	} else {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Vary", "Accept-Encoding")
		if len(content) > compressAbove && acceptsGzip(r.Header) {
			w.Header().Set("Content-Encoding", "gzip")
			z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
			if err != nil {
				return err
			}
			_, _ = z.Write(content) // fails only if the client has gone away
			_ = z.Close()
			return nil
		}
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content)
	return nil
}

// acceptsGzip reports whether a client accepts responses that are compressed with gzip.
func acceptsGzip(h http.Header) bool {
	for part := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" || name == "*" {
			value, found := strings.CutPrefix(strings.TrimSpace(weight), "q=")
			q, err := strconv.ParseFloat(value, 64)
			return !found || err == nil && q > 0
		}
	}
	return false
}
