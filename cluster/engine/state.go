package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/nats-io/nats.go/jetstream"
)

// Object is an object of a job with a name of its own.
type Object struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Read calls read with a reader of an object. It may call it again from the beginning, and checks the
// contents after read has returned.
func (j *Job) Read(ctx context.Context, o Object, read func(io.Reader) error) error {
	return j.get(ctx, o.Name, o.SHA256, o.Size, read)
}

// Write stores an object, and checks its contents. It replaces another one with the same name.
func (j *Job) Write(ctx context.Context, o Object, open func() (io.ReadCloser, error)) error {
	return j.sendAgain(ctx, o.Name, o.SHA256, o.Size, open)
}

// Delete removes an object. It is no error if the object is not there.
func (j *Job) Delete(ctx context.Context, name string) error {
	return j.engine.retry(ctx, func(ctx context.Context) error {
		err := j.objects.Delete(ctx, name)
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			return nil
		}
		return err
	})
}

// IsGone reports whether an error says that the job is not on the server any more.
func IsGone(err error) bool { return gone(err) }

// ErrOvertaken is the error about the state of a task that another worker has changed.
var ErrOvertaken = errors.New("another worker computes the task")

// state is the state of a task that is not done.
type state struct {
	Saves uint64 `json:"saves"` // number of states that were stored
	Data  []byte `json:"data"`
}

// stateKey returns the key of the state of a task. The watcher of the results does not see it.
func (j *Job) stateKey(task int) string { return j.key(task) + ".state" }

// State returns the last state of a task, nil for none, and its revision.
func (j *Job) State(ctx context.Context, task int) (data []byte, revision uint64, err error) {
	s, revision, err := j.state(ctx, task)
	return s.Data, revision, err
}

func (j *Job) state(ctx context.Context, task int) (s state, revision uint64, err error) {
	err = j.engine.retry(ctx, func(ctx context.Context) error {
		entry, err := j.results.Get(ctx, j.stateKey(task))
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return j.orGone(ctx, err)
		}
		revision = entry.Revision()
		if err := json.Unmarshal(entry.Value(), &s); err != nil {
			return fmt.Errorf("the state of task %d on the server is damaged: %w", task, err)
		}
		return nil
	})
	return s, revision, err
}

// SetState stores the state of a task, unless its revision has changed.
func (j *Job) SetState(ctx context.Context, task int, data []byte, revision uint64) (uint64, error) {
	old, at, err := j.state(ctx, task)
	if err != nil {
		return 0, err
	}
	if at != revision {
		return 0, ErrOvertaken
	}
	value, err := json.Marshal(state{old.Saves + 1, data})
	if err != nil {
		return 0, err
	}
	var next uint64
	err = j.engine.retry(ctx, func(ctx context.Context) (err error) {
		if revision == 0 {
			next, err = j.results.Create(ctx, j.stateKey(task), value)
		} else {
			next, err = j.results.Update(ctx, j.stateKey(task), value, revision)
		}
		if errors.Is(err, jetstream.ErrKeyExists) || isQueued(err) { // also if the answer to a first try was lost
			return ErrOvertaken
		}
		return j.orGone(ctx, err)
	})
	return next, err
}

// saves returns how many states of a task were stored.
func (j *Job) saves(ctx context.Context, task int) uint64 {
	s, _, _ := j.state(ctx, task) // without an answer, the task has failed too often
	return s.Saves
}
