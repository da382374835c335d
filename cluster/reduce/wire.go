// Package reduce lets any number of members compute the vectors of tasks and add them up in the order of
// the tasks, so that the sum has the same bits whoever computes what. It knows nothing about what a task is.
//
// A Leader works in rounds. In a round, it gives a state and a number of tasks to the members. Each task
// has a vector and a part, which is a few bytes. When all vectors are there, the members add them up, each
// of them some pieces of all vectors: a member asks the others for theirs. Only the sums and the parts go to
// the Leader.
//
// Messages are those of core NATS, which keeps none of them: what is lost is computed again. The first
// result of a task counts. A member may join and leave at any time.
package reduce

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Subjects, after the prefix of a session. ID is that of a member.
const (
	prefix      = "sbs.train."
	toLeader    = ".hello"   // signs of life of members: hello
	stateOf     = ".fetch"   // requests of members: a piece of the state of the round
	toAll       = ".state"   // pieces of the state of a round
	toFetch     = ".ahead"   // a member has the vector of a task, of which others will add up pieces
	toForget    = ".forget"  // the ID of a member that is lost
	toEnd       = ".end"     // the session ends
	toCompute   = ".compute" // .compute.ID: requests to compute a task
	toGive      = ".give"    // .give.ID: requests for a piece of the vector of a task
	toAdd       = ".add"     // .add.ID: requests to add up a piece of all vectors
	headerError = "Error"
	headerKind  = "Kind"
	headerWork  = "Work" // JSON
)

// pieceSize is the largest number of bytes of state or vector in one message. A server takes messages of
// 1 MB unless it is configured otherwise.
const pieceSize = 1 << 18

// hello is the sign of life of a member.
type hello struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Cores   int    `json:"cores"`
	Seat    int    `json:"seat"`
	Round   uint64 `json:"round,omitempty"`   // at work
	Tasks   int64  `json:"tasks,omitempty"`   // that it has to compute in this round
	Refusal string `json:"refusal,omitempty"` // why it cannot compute

	Additions int64 `json:"additions,omitempty"` // that it has to do
}

// Limits in bytes: of a text that is sent, and of a sign of life in JSON.
const (
	maxText  = 4000
	maxHello = 1 << 16
)

// work is what a message is about.
type work struct {
	Round  uint64 `json:"round"`
	Sum    string `json:"sum,omitempty"` // SHA-256 of the state
	Bytes  int    `json:"bytes,omitempty"`
	Offset int    `json:"offset,omitempty"` // of a piece of the state

	Task  int `json:"task,omitempty"`
	Ahead int `json:"ahead,omitempty"` // number of the task in the round, from 0

	From    int      `json:"from,omitempty"` // entries of a piece of the vectors
	To      int      `json:"to,omitempty"`
	Holders []string `json:"holders,omitempty"` // ID of the member that has the vector of each task

	Pieces []share `json:"pieces,omitempty"`

	Seconds float64 `json:"seconds,omitempty"` // that the task took
}

// share is a piece of the vectors and the ID of the member that will add it up.
type share struct {
	From  int    `json:"from"`
	To    int    `json:"to"`
	Owner string `json:"owner"`
}

// Kinds of errors of members.
const (
	kindFailed = "failed" // the task cannot be computed
	kindFatal  = "fatal"  // no member can compute the task
	kindStale  = "stale"  // the round is over, or the member does not have what it is asked for
	kindHolder = "holder" // a holder does not give its vector; the error is its ID
)

// remoteError is the error of a member.
type remoteError struct{ kind, text string }

func (e *remoteError) Error() string { return e.plain() }

// FatalError is the error of a task that ends the training on every member. Computers return it.
type FatalError struct{ Text string }

func (e *FatalError) Error() string { return e.Text }

func message(subject string, w work, data []byte) *nats.Msg {
	text, _ := json.Marshal(w) // numbers and strings
	return &nats.Msg{Subject: subject, Header: nats.Header{headerWork: {string(text)}}, Data: data}
}

func workOf(m *nats.Msg) (w work, err error) {
	if err := json.Unmarshal([]byte(m.Header.Get(headerWork)), &w); err != nil {
		return w, fmt.Errorf("a message is damaged: %w", err)
	}
	if w.From < 0 || w.To < w.From || w.Offset < 0 || w.Ahead < 0 || w.Bytes < 0 || w.Bytes > maxState {
		return w, errors.New("a message is damaged")
	}
	return w, nil
}

// maxState limits the bytes of a state.
const maxState = 1<<31 - 1

// errorOf returns the error in a reply, or nil.
func errorOf(m *nats.Msg) error {
	if text := m.Header.Get(headerError); text != "" || m.Header.Get(headerKind) != "" {
		return &remoteError{m.Header.Get(headerKind), text}
	}
	return nil
}

// respond answers a request. If the answer is lost, the request is repeated.
func respond(m *nats.Msg, w work, data []byte, err error) {
	r := message(m.Reply, w, data)
	if err != nil {
		kind := kindFailed
		text := err.Error()
		if remote, ok := errors.AsType[*remoteError](err); ok {
			kind = remote.kind
		} else if fatal, ok := errors.AsType[*FatalError](err); ok {
			kind, text = kindFatal, fatal.Text
		}
		r.Header.Set(headerKind, kind)
		r.Header.Set(headerError, strconv.QuoteToASCII(shorten(text))) // a header is one line
		r.Data = nil
	}
	_ = m.RespondMsg(r)
}

// shorten returns the beginning of a text that may be too long for a message.
func shorten(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return text
}

// plain returns the text of a remote error.
func (e *remoteError) plain() string {
	if s, err := strconv.Unquote(e.text); err == nil {
		return s
	}
	return e.text
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// encode appends values to b.
func encode(b []byte, values []float32) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// decode sets values to those that encode has written.
func decode(values []float32, b []byte) error {
	if len(b) != 4*len(values) {
		return fmt.Errorf("a vector has %d bytes, want %d", len(b), 4*len(values))
	}
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return nil
}

// add adds the values that encode has written to sum.
func add(sum []float32, b []byte) error {
	if len(b) != 4*len(sum) {
		return fmt.Errorf("a vector has %d bytes, want %d", len(b), 4*len(sum))
	}
	for i := range sum {
		sum[i] += math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return nil
}

// The times of signs of life.
const (
	helloEvery = 300 * time.Millisecond
	leaderGone = 3 * time.Second // without a Leader, after which a member leaves
)
