package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Objects gives access to the objects of a job.
type Objects interface {
	// Get calls read with a reader of the object with a SHA-256 and a size. It may call it
	// again from the beginning, and checks the contents after read has returned.
	Get(ctx context.Context, sum string, size int64, read func(io.Reader) error) error

	// Read is Get for an object that Write has stored. Delete removes one.
	Read(ctx context.Context, o Object, read func(io.Reader) error) error
	Write(ctx context.Context, o Object, open func() (io.ReadCloser, error)) error
	Delete(ctx context.Context, name string) error

	// State returns what the last SetState has stored for a task, nil for nothing, and its revision.
	State(ctx context.Context, task int) (data []byte, revision uint64, err error)
	// SetState stores the state of a task that is not done, at most some kilobytes, and returns its
	// revision. The error is ErrOvertaken if the state is not of the given revision any more: another
	// worker computes the task.
	SetState(ctx context.Context, task int, data []byte, revision uint64) (uint64, error)
}

// Computer computes the tasks of a job.
type Computer interface {
	// Compute returns the result of a task. An error that is not that of ctx ends the job; see also
	// ErrAbandoned.
	Compute(ctx context.Context, task int) ([]byte, error)
	Close() error
}

// ErrAbandoned is the error of a task whose job nobody needs any more. The worker removes the job.
var ErrAbandoned = errors.New("nobody needs the job any more")

// Worker computes tasks.
type Worker struct {
	Name  string // shown in errors
	Cores int    // shown to clients

	// Open prepares for the tasks of the job with a specification.
	Open func(ctx context.Context, id string, spec []byte, objects Objects) (Computer, error)

	// Log prints a line.
	Log func(format string, args ...any)

	engine   *Engine
	consumer jetstream.Consumer
	lost     time.Duration // after this time, a task is given to another worker
	job      *Job          // that is open, or nil
	computer Computer
	failure  error // of Open
}

// maxDeliveries is the number of times that a task is given out, apart from one for each state that was
// stored. A task that ends its workers must not end all of them.
const maxDeliveries = 10

// idle is the time that a worker waits for a task before it looks whether its job is still there.
const idle = 5 * time.Second

// Work computes tasks until ctx is done, and hands back the task at work then. It waits while the
// server is not there.
func (e *Engine) Work(ctx context.Context, w *Worker) (err error) {
	w.engine = e
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.subscribe(ctx); err != nil {
		return err
	}
	life, end := context.WithCancel(ctx)
	defer end()
	go w.showLife(life)
	for ctx.Err() == nil {
		msg, err := w.next(ctx)
		switch {
		case err == nil:
			err = w.task(ctx, msg)
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout), errors.Is(err, jetstream.ErrNoMessages):
			err = w.forget(ctx)
		default: // the server is restarted, or it has removed the consumer
			if err = w.subscribe(ctx); err == nil {
				pause(ctx, 100*time.Millisecond)
			}
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// next waits for a task.
func (w *Worker) next(ctx context.Context) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	return w.consumer.Next(jetstream.FetchContext(ctx))
}

// pause waits for some time, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// subscribe finds or creates the consumer that all workers of one version share.
func (w *Worker) subscribe(ctx context.Context) error {
	const forgotten = 24 * time.Hour // after which the server removes a consumer without workers
	e := w.engine
	config := jetstream.ConsumerConfig{
		Durable: "workers-" + e.versionToken(), Description: "Workers of sbs-cluster " + e.Version, FilterSubject: taskSubject + "." + e.versionToken() + ".>",
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: e.LostAfter, MaxDeliver: -1, MaxAckPending: MaxTasks, MaxWaiting: MaxTasks, InactiveThreshold: forgotten,
	}
	return e.retry(ctx, func(ctx context.Context) (err error) {
		if err := e.queue(ctx); err != nil {
			return err
		}
		if config.AckWait > 0 {
			w.consumer, err = e.tasks.CreateOrUpdateConsumer(ctx, config)
		} else if w.consumer, err = e.tasks.Consumer(ctx, config.Durable); errors.Is(err, jetstream.ErrConsumerNotFound) {
			config := config
			config.AckWait = DefaultLostAfter
			w.consumer, err = e.tasks.CreateOrUpdateConsumer(ctx, config)
		}
		if err == nil {
			w.lost = w.consumer.CachedInfo().Config.AckWait
		}
		return err
	})
}

// close closes the job.
func (w *Worker) close() error {
	w.job, w.failure = nil, nil
	if w.computer == nil {
		return nil
	}
	c := w.computer
	w.computer = nil
	return c.Close()
}

// forget closes the job if it is not on the server any more.
func (w *Worker) forget(ctx context.Context) error {
	if w.job == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, idle)
	defer cancel()
	if _, err := w.job.results.Status(ctx); err == nil || !gone(err) {
		return nil
	}
	return w.close()
}

// task computes a task.
func (w *Worker) task(ctx context.Context, msg jetstream.Msg) error {
	id, number, ok := parseSubject(msg.Subject())
	if !ok {
		return msg.Term()
	}
	stop := w.keep(msg)
	defer stop()
	switch have, err := w.open(ctx, id, number); {
	case err != nil && gone(err):
		return w.settle(ctx, msg.Term) // the job was removed
	case err != nil:
		return w.handBack(ctx, msg, err)
	case have:
		return w.settle(ctx, func() error { return msg.DoubleAck(ctx) })
	}
	start := time.Now()
	var data []byte
	err := w.failure
	if meta, e := msg.Metadata(); e == nil && meta.NumDelivered > maxDeliveries && meta.NumDelivered > maxDeliveries+w.job.saves(ctx, number) {
		err = fmt.Errorf("task %d was given to %d workers, none of which has finished it: the workers may lack memory", number, maxDeliveries)
	}
	if err == nil {
		data, err = w.computer.Compute(ctx, number)
	}
	if ctx.Err() != nil {
		return w.handBack(ctx, msg, err)
	}
	if errors.Is(err, ErrAbandoned) {
		w.Log("job %s: %v", id, err)
		return w.abandon(ctx, msg, id)
	}
	r := result{Worker: w.Name, Seconds: time.Since(start).Seconds()}
	if err != nil {
		r.Error = err.Error()
		w.Log("job %s: task %d: %v", id, number, err)
	}
	switch err := w.save(ctx, number, r, data); {
	case err != nil && gone(err):
		return w.settle(ctx, msg.Term)
	case err != nil:
		return w.handBack(ctx, msg, err)
	}
	switch same, err := w.sameJob(ctx, id); {
	case err != nil && gone(err):
		return w.settle(ctx, msg.Term)
	case err != nil || !same:
		return w.handBack(ctx, msg, err)
	}
	if w.failure != nil { // perhaps the user has corrected it when the job comes again
		if err := w.close(); err != nil {
			return err
		}
	}
	return w.settle(ctx, func() error { return msg.DoubleAck(ctx) })
}

// sameJob reports whether the job on the server is the one that is open. It may have been removed and have
// come again: then the task at work is one of the new job.
func (w *Worker) sameJob(ctx context.Context, id string) (bool, error) {
	now, err := w.find(ctx, id)
	return err == nil && now.created.Equal(w.job.created), err
}

// abandon removes the job of a task, unless the one on the server is another one.
func (w *Worker) abandon(ctx context.Context, msg jetstream.Msg, id string) error {
	switch same, err := w.sameJob(ctx, id); {
	case err != nil && gone(err):
		return errors.Join(w.close(), w.settle(ctx, msg.Term))
	case err != nil || !same:
		return w.handBack(ctx, msg, err)
	}
	return errors.Join(w.engine.Remove(ctx, id), w.close(), w.settle(ctx, msg.Term))
}

// parseSubject returns the job and the number of a task.
func parseSubject(subject string) (id string, number int, ok bool) {
	parts := strings.Split(strings.TrimPrefix(subject, taskSubject+"."), ".")
	if len(parts) != 3 || !validID.MatchString(parts[1]) {
		return "", 0, false
	}
	number, err := strconv.Atoi(parts[2])
	return parts[1], number, err == nil && number >= 1 && number <= MaxTasks
}

// keep tells the server that the worker is at work, until stop is called.
func (w *Worker) keep(msg jetstream.Msg) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(w.lost / 3):
				_ = msg.InProgress() // if it is lost, another worker computes the task
			}
		}
	}()
	return func() { close(done) }
}

// settle answers a message. If that fails, the server gives the task out again, which finds its result.
func (w *Worker) settle(ctx context.Context, answer func() error) error {
	if err := answer(); err != nil && ctx.Err() == nil && w.engine.conn.IsClosed() {
		return err
	}
	return nil
}

// handBack gives a task back, because of err, so that another worker gets it at once.
func (w *Worker) handBack(ctx context.Context, msg jetstream.Msg, err error) error {
	_ = msg.Nak() // if it is lost, another worker gets the task later
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// open opens a job, unless it is open, and reports whether it has a result of a task. w.failure is the
// error of a job that cannot be opened here.
func (w *Worker) open(ctx context.Context, id string, task int) (have bool, err error) {
	job, err := w.find(ctx, id)
	if err != nil {
		return false, err
	}
	// A job that was removed and comes again is a new one: files that it shares with the client may
	// have changed.
	if w.job == nil || w.job.ID != id || !job.created.Equal(w.job.created) {
		if err := w.close(); err != nil {
			return false, err
		}
		if err := w.start(ctx, job); err != nil {
			return false, err
		}
		w.job = job
	}
	err = w.engine.retry(ctx, func(ctx context.Context) error {
		_, err := w.job.results.Get(ctx, w.job.key(task))
		have = err == nil
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil
		}
		return err
	})
	return have, err
}

// find finds the objects and the results of a job, and when it was created.
func (w *Worker) find(ctx context.Context, id string) (*Job, error) {
	job := &Job{ID: id, engine: w.engine}
	if w.job != nil && w.job.ID == id {
		*job = *w.job
	}
	err := w.engine.retry(ctx, func(ctx context.Context) (err error) {
		if job.objects == nil {
			if job.objects, err = w.engine.js.ObjectStore(ctx, bucketName+id); err != nil {
				return err
			}
		}
		if job.results == nil {
			if job.results, err = w.engine.js.KeyValue(ctx, bucketName+id); err != nil {
				return err
			}
		}
		job.created, err = job.creation(ctx)
		return err
	})
	return job, err
}

// start reads the specification of a job and prepares for its tasks.
func (w *Worker) start(ctx context.Context, job *Job) error {
	spec, err := job.spec(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && gone(err):
		return err
	case err != nil:
		w.failure = fmt.Errorf("job %s cannot be computed: %w", job.ID, err)
		return nil
	}
	w.Log("job %s", job.ID)
	w.computer, err = w.Open(ctx, job.ID, spec, job)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && gone(err) {
		return err
	}
	w.failure = err
	return nil
}

// save saves the result of a task, unless there is one already: the first result counts.
func (w *Worker) save(ctx context.Context, task int, r result, data []byte) error {
	if len(data) > maxResult {
		r.Error = fmt.Sprintf("the result of task %d has %d bytes, more than the limit of %d: divide the job into more tasks", task, len(data), maxResult)
	}
	if r.Error == "" {
		r.SHA256, r.Size = sumOf(data), int64(len(data))
		if err := w.job.sendAgain(ctx, r.name(task), r.SHA256, r.Size, bytesOf(data)); err != nil {
			return err
		}
	}
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	created := false
	err = w.engine.retry(ctx, func(ctx context.Context) error {
		_, err := w.job.results.Create(ctx, w.job.key(task), value)
		if errors.Is(err, jetstream.ErrKeyExists) {
			return nil
		}
		created = err == nil
		return w.job.orGone(ctx, err)
	})
	if err == nil && !created && r.Error == "" {
		w.discard(ctx, task, r)
	}
	return err
}

// discard deletes the object of a result that does not count. The result may be this one, if the answer
// of the server was lost.
func (w *Worker) discard(ctx context.Context, task int, r result) {
	entry, err := w.job.results.Get(ctx, w.job.key(task))
	if err != nil {
		return // the object remains until the job is removed
	}
	var first result
	if json.Unmarshal(entry.Value(), &first) == nil && first.SHA256 != r.SHA256 {
		_ = w.job.objects.Delete(ctx, r.name(task))
	}
}

// Life is the sign of life of a worker.
type Life struct {
	Version string `json:"version"`
	Name    string `json:"name"`
	Cores   int    `json:"cores"`
}

// The times of signs of life.
const (
	lifeEvery = time.Second
	lifeEnds  = 5 * time.Second // after the last sign
)

// showLife tells clients, as long as ctx is not done, that the worker is there.
func (w *Worker) showLife(ctx context.Context) {
	text, err := json.Marshal(Life{w.engine.Version, w.Name, w.Cores})
	if err != nil {
		return
	}
	for ctx.Err() == nil {
		_ = w.engine.conn.Publish(lifeSubject, text) // for information only
		pause(ctx, lifeEvery)
	}
}
