// Package gate has what REST and gRPC share before and after a request: the state of the server,
// the token, the memory of requests, the time limit, measurements and the log.
package gate

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/internal/serve/metrics"
	"github.com/spike-by-spike/sbs/internal/serve/models"
)

// ServerName is the name of the server in its metadata.
const ServerName = "sbs-serve"

// Platform is the platform of all models in their metadata.
const Platform = "sbs_onnx"

// Extensions are the extensions of the protocol that the server supports.
func Extensions() []string { return []string{"binary_tensor_data"} }

// Config sets up a Gate.
type Config struct {
	Models    *models.Set
	Metrics   *metrics.Metrics
	Log       *slog.Logger
	MaxBody   int64         // bytes of one request, after decompression
	MaxBodies int64         // of memory of all requests in progress
	Timeout   time.Duration // of one request
	TokenFile string        // "" for no token
}

// Gate lets requests in.
type Gate struct {
	Config
	token    atomic.Pointer[[sha256.Size]byte] // its hash; nil if there is none
	bodies   atomic.Int64                      // of memory of the requests in progress
	draining atomic.Bool
}

// New returns a Gate.
func New(c Config) (*Gate, error) {
	g := &Gate{Config: c}
	return g, g.ReadToken()
}

// ReadToken reads the file with the token again.
func (g *Gate) ReadToken() error {
	if g.TokenFile == "" {
		return nil
	}
	content, err := os.ReadFile(g.TokenFile)
	if err != nil {
		return fmt.Errorf("the token cannot be read: %w", err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%s: want one token of printable ASCII characters without spaces", g.TokenFile)
	}
	sum := sha256.Sum256([]byte(token))
	g.token.Store(&sum)
	return nil
}

// Allow returns an error unless authorization, the content of the header or metadata of this name,
// has the token, or none is needed.
func (g *Gate) Allow(authorization string) error {
	want := g.token.Load()
	if want == nil {
		return nil
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(sum[:], want[:]) == 0 {
		return inference.Errorf(inference.Unauthenticated, "the token is missing or wrong: send \"Authorization: Bearer TOKEN\"")
	}
	return nil
}

// Reserve counts bytes of memory of a request, which has reserved others before. It returns an error
// if all requests in progress have too many.
func (g *Gate) Reserve(before, bytes int64) error {
	if all := before + bytes; all > g.MaxBodies {
		return inference.Errorf(inference.TooLarge, "the request takes %d bytes of memory, at most %d are allowed for all requests (--max-memory of the server): send fewer images in a request, or binary tensors", all, g.MaxBodies)
	}
	if used := g.bodies.Add(bytes); used > g.MaxBodies {
		g.bodies.Add(-bytes)
		return inference.Errorf(inference.Busy, "the requests in progress take %d bytes of memory, at most %d are allowed (--max-memory of the server): try again later", used, g.MaxBodies)
	}
	g.Metrics.Bytes(bytes)
	return nil
}

// Release ends the use of bytes of a request.
func (g *Gate) Release(bytes int64) {
	g.bodies.Add(-bytes)
	g.Metrics.Bytes(-bytes)
}

// Drain makes the server no longer ready. It still answers requests.
func (g *Gate) Drain() { g.draining.Store(true) }

// Draining reports whether the server is about to end.
func (g *Gate) Draining() bool { return g.draining.Load() }

// Ready reports whether the server answers requests for all models.
func (g *Gate) Ready() bool { return !g.Draining() && g.Models.Ready() }

// errTimeout is the cause of the end of a request after the time limit.
var errTimeout = errors.New("the time limit of the server")

// Infer answers a request within the time limit.
func (g *Gate) Infer(ctx context.Context, r *inference.Request) (*inference.Response, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, g.Timeout, errTimeout)
	defer cancel()
	response, err := g.Models.Infer(ctx, r)
	if err != nil && ctx.Err() != nil {
		if errors.Is(context.Cause(ctx), errTimeout) {
			return nil, inference.Errorf(inference.Timeout, "the request took longer than %v (--timeout of the server): send fewer images, or ask for fewer spikes", g.Timeout)
		}
		return nil, ctx.Err()
	}
	return response, err
}

// maxMessage is the largest number of bytes of an error message. Names in a request can have any
// length.
const maxMessage = 2000

// Message returns the text of an error for a client.
func Message(err error) string {
	text := strings.ToValidUTF8(cli.Message(err, nil), "\uFFFD")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "..."
	}
	return text
}

// Done measures and logs a request. code is its status in the protocol.
func (g *Gate) Done(ctx context.Context, protocol, model, code string, start time.Time, err error) {
	if !g.Models.Has(model) {
		model = "" // clients must not be able to make new time series
	}
	d := time.Since(start)
	g.Metrics.Request(model, protocol, code, d)
	level := slog.LevelDebug
	if err != nil {
		if kind := inference.KindOf(err); kind == inference.Internal {
			level = slog.LevelError
		}
	}
	if !g.Log.Enabled(ctx, level) {
		return
	}
	attrs := []any{"protocol", protocol, "model", model, "code", code, "seconds", d.Seconds()}
	if err != nil {
		attrs = append(attrs, "error", Message(err))
	}
	g.Log.Log(ctx, level, "request", attrs...)
}
