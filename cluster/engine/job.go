package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Limits of what is read from the server.
const (
	MaxSpec   = 1 << 28 // bytes of a specification
	maxResult = 1 << 28
	MaxTasks  = 10000
)

// specName is the name of the object with the specification. All others have their SHA-256.
const specName = "spec"

// Job is a job on a server.
type Job struct {
	ID string // the beginning of the SHA-256 of the specification

	engine  *Engine
	objects jetstream.ObjectStore
	results jetstream.KeyValue
	created time.Time // when the results were created
}

// JobID returns the ID of the job with a specification.
func JobID(spec []byte) string {
	return sumOf(spec)[:32]
}

// Open creates a job, or finds it if it is on the server already. Removing expired jobs is a part of it.
func (e *Engine) Open(ctx context.Context, id string) (j *Job, found bool, err error) {
	if err := e.retry(ctx, e.queue); err != nil {
		return nil, false, err
	}
	if err := e.removeExpired(ctx); err != nil {
		return nil, false, err
	}
	j = &Job{ID: id, engine: e}
	err = e.retry(ctx, func(ctx context.Context) (err error) {
		j.objects, err = e.js.ObjectStore(ctx, bucketName+id)
		if found = err == nil; found {
			return nil
		}
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			j.objects, err = e.js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: bucketName + id, TTL: e.Lifetime, Replicas: e.Replicas})
		}
		return err
	})
	if err != nil {
		return nil, false, err
	}
	err = e.retry(ctx, func(ctx context.Context) (err error) {
		if j.results, err = e.js.KeyValue(ctx, bucketName+id); errors.Is(err, jetstream.ErrBucketNotFound) {
			j.results, err = e.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucketName + id, TTL: e.Lifetime, Replicas: e.Replicas})
		}
		if err != nil {
			return err
		}
		j.created, err = j.creation(ctx)
		return err
	})
	return j, found, err
}

// Lost reports whether the job is not on the server any more.
func (j *Job) Lost(ctx context.Context) (lost bool, err error) {
	err = j.engine.retry(ctx, func(ctx context.Context) error {
		created, err := j.creation(ctx)
		if lost = err == nil && !created.Equal(j.created) || err != nil && gone(err); lost {
			return nil
		}
		return err
	})
	return lost, err
}

// creation returns when the results on the server were created.
func (j *Job) creation(ctx context.Context) (created time.Time, err error) {
	status, err := j.results.Status(ctx)
	if bucket, ok := status.(*jetstream.KeyValueBucketStatus); err == nil && ok {
		created = bucket.StreamInfo().Created
	}
	return created, err
}

// key returns the key of the result of a task. It includes the time at which the job was created: a
// worker may still compute a task of a job that was removed and has come again, and its result is not
// one of the new job.
func (j *Job) key(task int) string { return fmt.Sprintf("%d.%d", j.created.UnixNano(), task) }

// result is the value of a task in the results of a job.
type result struct {
	SHA256  string  `json:"sha256,omitempty"`
	Size    int64   `json:"size,omitempty"`
	Error   string  `json:"error,omitempty"` // why the task cannot be computed
	Worker  string  `json:"worker"`
	Seconds float64 `json:"seconds"`
}

// name returns the name of the object of a result.
func (r *result) name(task int) string { return fmt.Sprintf("result-%d-%s", task, r.SHA256) }

// Failure is the error of a task that a worker cannot compute.
type Failure struct {
	Task   int
	Worker string
	Text   string
}

func (f *Failure) Error() string { return f.Text }

// Run hands out the tasks 1 to n of the job with a specification and calls each with the number and
// the result of every task, in any order. It continues a job that was interrupted. The error is a
// *Failure if a worker could not compute a task.
func (j *Job) Run(ctx context.Context, spec []byte, n int, each func(task int, data []byte) error) error {
	return j.run(ctx, spec, make([]bool, n+1), false, each)
}

// RunAgain is Run for a job of which some tasks, from 1, are done. Tasks that have failed before are tried
// again, and no new ones are begun after one has failed.
func (j *Job) RunAgain(ctx context.Context, spec []byte, done []bool, each func(task int, data []byte) error) error {
	err := j.run(ctx, spec, slices.Clone(done), true, each)
	if errors.As(err, new(*Failure)) {
		err = errors.Join(err, j.engine.retry(ctx, func(ctx context.Context) error {
			return j.engine.tasks.Purge(ctx, jetstream.WithPurgeSubject(tasksOf(j.ID)))
		}))
	}
	return err
}

// run computes the tasks that are not done. retry says whether results that are there and are errors do
// not count.
func (j *Job) run(ctx context.Context, spec []byte, done []bool, retry bool, each func(task int, data []byte) error) error {
	if err := j.putSpec(ctx, spec); err != nil {
		return err
	}
	left := 0
	for _, d := range done[1:] {
		if !d {
			left++
		}
	}
	for left > 0 {
		w, err := j.watch(ctx)
		if err != nil {
			return err
		}
		more, err := j.collect(ctx, w, done, retry, each)
		retry = false
		_ = w.Stop() // the server may be gone
		go func() {  // which lets the watcher end
			for range w.Updates() {
			}
		}()
		if err != nil {
			return err
		}
		left -= more
	}
	return nil
}

// Offer puts the tasks from to to of the job with a specification into the queue, unless they are there,
// and waits for no results.
func (j *Job) Offer(ctx context.Context, spec []byte, from, to int) error {
	if err := j.putSpec(ctx, spec); err != nil {
		return err
	}
	done := make([]bool, min(to, MaxTasks)+1)
	for task := range min(from, len(done)) {
		done[task] = true
	}
	return j.submit(ctx, done)
}

func (j *Job) putSpec(ctx context.Context, spec []byte) error {
	return j.put(ctx, specName, sumOf(spec), int64(len(spec)), bytesOf(spec))
}

// spec reads the specification.
func (j *Job) spec(ctx context.Context) (spec []byte, err error) {
	var info *jetstream.ObjectInfo
	for try := 1; ; try++ {
		err = j.engine.retry(ctx, func(ctx context.Context) (err error) {
			info, err = j.objects.GetInfo(ctx, specName)
			return err
		})
		if !errors.Is(err, jetstream.ErrObjectNotFound) || try == maxTries {
			break
		}
		pause(ctx, retryPause(try))
	}
	switch {
	case err != nil:
		return nil, missing(specName, err)
	case info.Size > MaxSpec:
		return nil, fmt.Errorf("its specification has %d bytes", info.Size)
	}
	err = j.read(ctx, specName, int64(info.Size), func(r io.Reader) (err error) {
		spec, err = io.ReadAll(r)
		return err
	})
	if err == nil && JobID(spec) != j.ID {
		err = errors.New("its specification is damaged")
	}
	return spec, err
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func bytesOf(data []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

// watch returns a watcher of the results: first those that are there, then nil, then new ones.
func (j *Job) watch(ctx context.Context) (w jetstream.KeyWatcher, err error) {
	err = j.engine.retry(ctx, func(context.Context) error {
		w, err = j.results.Watch(ctx, fmt.Sprintf("%d.*", j.created.UnixNano())) // its context ends the watcher
		return err
	})
	return w, err
}

const (
	checkEvery    = 2 * time.Second  // time between two looks whether the job is still on the server
	resubmitAfter = 30 * time.Second // time without a result after which tasks that are not in the queue are put there again
)

// collect reads results. It returns how many, after all are there or the connection was lost in
// between. It submits the tasks that have no result.
func (j *Job) collect(ctx context.Context, w jetstream.KeyWatcher, done []bool, retry bool, each func(int, []byte) error) (more int, err error) {
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	last := time.Now()
	left := 0
	for _, d := range done[1:] {
		if !d {
			left++
		}
	}
	for left > 0 {
		select {
		case <-ctx.Done():
			return more, ctx.Err()
		case <-j.engine.reconnected:
			return more, nil
		case <-check.C:
			if created, err := j.creation(ctx); err == nil && !created.Equal(j.created) || err != nil && gone(err) {
				return more, fmt.Errorf("the job %s is not on the server any more: another client has removed it, or it has expired", j.ID)
			}
			if time.Since(last) > resubmitAfter {
				last = time.Now()
				if err := j.submit(ctx, done); err != nil {
					return more, err
				}
			}
		case entry, ok := <-w.Updates():
			if !ok {
				return more, nil
			}
			if entry == nil { // all results that were there
				retry = false
				if err := j.submit(ctx, done); err != nil {
					return more, err
				}
				continue
			}
			_, number, _ := strings.Cut(entry.Key(), ".")
			task, err := strconv.Atoi(number)
			if err != nil || task < 1 || task >= len(done) || done[task] || entry.Operation() != jetstream.KeyValuePut {
				continue
			}
			data, err := j.result(ctx, task, entry.Value())
			if errors.As(err, new(*Failure)) && retry {
				err := j.engine.retry(ctx, func(ctx context.Context) error { return j.results.Delete(ctx, entry.Key()) })
				if err != nil {
					return more, err
				}
				continue
			}
			if err != nil {
				return more, err
			}
			if err := each(task, data); err != nil {
				return more, err
			}
			done[task], last = true, time.Now()
			more++
			left--
		}
	}
	return more, nil
}

// result reads the result of a task.
func (j *Job) result(ctx context.Context, task int, value []byte) (data []byte, err error) {
	var r result
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, fmt.Errorf("the result of task %d on the server is damaged: remove the job %s with sbs-cluster jobs --remove, and run the command again (%w)", task, j.ID, err)
	}
	if r.Error != "" {
		return nil, &Failure{task, r.Worker, r.Error}
	}
	if r.Size < 0 || r.Size > maxResult {
		return nil, fmt.Errorf("the result of task %d has %d bytes, more than the limit of %d", task, r.Size, maxResult)
	}
	err = j.get(ctx, r.name(task), r.SHA256, r.Size, func(in io.Reader) (err error) {
		data, err = io.ReadAll(in)
		return err
	})
	return data, err
}

// submit puts the tasks that are not done into the queue, unless they are there already.
func (j *Job) submit(ctx context.Context, done []bool) error {
	return j.engine.retry(ctx, func(ctx context.Context) error {
		const most = 1000 // tasks on their way
		var futures []jetstream.PubAckFuture
		for task := 1; task < len(done); task++ {
			if !done[task] {
				f, err := j.engine.js.PublishMsgAsync(&nats.Msg{
					Subject: fmt.Sprintf("%s.%s.%s.%d", taskSubject, j.engine.versionToken(), j.ID, task),
					Header:  nats.Header{jetstream.ExpectedLastSubjSeqHeader: {"0"}}, // not in the queue
				})
				if err != nil {
					return err
				}
				futures = append(futures, f)
			}
			if len(futures) < most && task < len(done)-1 {
				continue
			}
			for _, f := range futures {
				select {
				case <-f.Ok():
				case err := <-f.Err():
					if !isQueued(err) {
						return err
					}
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			futures = futures[:0]
		}
		return nil
	})
}

// isQueued reports whether an error says that a task is in the queue already.
func isQueued(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// Remove removes the job from the server.
func (j *Job) Remove(ctx context.Context) error { return j.engine.Remove(ctx, j.ID) }
