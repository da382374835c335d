package rest

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spike-by-spike/sbs/internal/serve/gate"
	"github.com/spike-by-spike/sbs/internal/serve/inference"
)

// body is the body of a request in memory.
type body struct {
	gate     *gate.Gate
	reserved int64
	bytes    []byte
}

// gzipped is the only content encoding of requests, apart from none.
const gzipped = "gzip"

// firstBytes is the size of the memory for a body at first. It grows with what arrives, since the
// length that a client declares may be wrong.
const firstBytes = 16 << 10

// readBody reads the body of a request. The caller must release it.
func readBody(w http.ResponseWriter, r *http.Request, g *gate.Gate) (*body, error) {
	b := &body{gate: g}
	tooLarge := func() error {
		return inference.Errorf(inference.TooLarge, "the body has more than %d bytes (--max-body of the server): send fewer images in a request, or binary tensors", g.MaxBody)
	}
	if r.ContentLength > g.MaxBody {
		return b, tooLarge()
	}
	var in io.Reader = http.MaxBytesReader(w, r.Body, g.MaxBody)
	encoding := strings.ToLower(r.Header.Get("Content-Encoding"))
	switch encoding {
	case "", "identity":
	case gzipped:
		z, err := gzip.NewReader(in)
		if err != nil {
			return b, bodyError(err, encoding, tooLarge)
		}
		in = z
	default:
		return b, inference.Errorf(inference.BadFormat, "the content encoding %q is not supported: want gzip or none", encoding)
	}
	if err := b.grow(min(max(r.ContentLength, 0), firstBytes) + 1); err != nil {
		return b, err
	}
	for {
		if len(b.bytes) == cap(b.bytes) {
			if err := b.grow(min(int64(cap(b.bytes)), g.MaxBody+1-int64(cap(b.bytes)))); err != nil {
				return b, err
			}
		}
		n, err := in.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		switch {
		case int64(len(b.bytes)) > g.MaxBody:
			return b, tooLarge()
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return b, bodyError(err, encoding, tooLarge)
		}
	}
}

// reserve counts n bytes of memory that decoding the body takes.
func (b *body) reserve(n int64) error {
	if err := b.gate.Reserve(b.reserved, n); err != nil {
		return err
	}
	b.reserved += n
	return nil
}

// grow adds n bytes of memory.
func (b *body) grow(n int64) error {
	if err := b.reserve(n); err != nil {
		return err
	}
	larger := make([]byte, len(b.bytes), int64(cap(b.bytes))+n)
	copy(larger, b.bytes)
	b.bytes = larger
	return nil
}

// release ends the use of the body.
func (b *body) release() { b.gate.Release(b.reserved) }

// bodyError returns an error about reading a body.
func bodyError(err error, encoding string, tooLarge func() error) error {
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return inference.Errorf(inference.Timeout, "the body has not arrived in time (--read-timeout of the server)")
	case encoding == gzipped:
		return inference.Errorf(inference.Invalid, "the body is not complete gzip data, although its content encoding is gzip: %w", err)
	}
	return inference.Errorf(inference.Invalid, "the body cannot be read: %w", err)
}
