// Package batch runs requests for one model in batches. Requests that have the same options share
// a batch, and each gets its own rows of the outputs back.
package batch

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/runtime"
)

// Config sets the limits of a Queue.
type Config struct {
	MaxImages  int           // in a batch; a larger request gets a batch of its own
	MaxDelay   time.Duration // for which the first request of a batch waits for others
	MaxWaiting int           // images in the queue
	Observer   Observer
	Log        *slog.Logger
}

// Observer is told what a Queue does. Its methods are called from several goroutines.
type Observer interface {
	Waiting(images int)              // the change of the number of images in the queue
	Waited(d time.Duration)          // the time of one request in the queue
	Ran(images int, d time.Duration) // one run of the model
}

// Request is a request for a run.
type Request struct {
	Inputs map[string]*runtime.Tensor
	Images int // the first dimension of all inputs; 0 if the request cannot share a batch

	// Lane names the options. Requests with the same Lane and with Images may share a batch.
	Lane    string
	Options []runtime.RunOption

	// Seeds and Numbers have the seed and the number of each image. With Images 0, the only
	// element of Seeds is the seed of the run.
	Seeds, Numbers []uint64
}

// Result is the result of a Request.
type Result struct {
	Outputs map[string]*runtime.Tensor
	Effort  runtime.Effort
}

// Runner runs a model, as runtime.Model does.
type Runner interface {
	Run(ctx context.Context, inputs map[string]*runtime.Tensor, opts ...runtime.RunOption) (map[string]*runtime.Tensor, error)
}

// otherRuns is the number of runs at the same time for requests with options. The requests without
// options have a run of their own, so that a few requests with many spikes do not delay all others.
const otherRuns = 3

// Queue collects requests for a model in lanes, one per set of options. Each lane runs one batch
// at a time; while it runs, the requests for the next batch arrive.
type Queue struct {
	model  Runner
	config Config
	slots  chan struct{} // limits the runs of the lanes with options

	mu      sync.Mutex
	lanes   map[string]*lane
	waiting int // images
}

// lane has the requests with the same options. A goroutine serves it as long as it has any.
type lane struct {
	jobs   []*job
	images int           // of jobs
	full   chan struct{} // receives when the jobs fill a batch
}

// job is a request in a lane.
type job struct {
	Request
	ctx    context.Context
	queued time.Time
	done   chan outcome // has room for one, so that nobody waits for a client that has gone away
}

type outcome struct {
	Result
	err error
}

// size is the number of images by which a job counts.
func (j *job) size() int { return max(j.Images, 1) }

// New returns a Queue for a model.
func New(model Runner, c Config) *Queue {
	return &Queue{model: model, config: c, slots: make(chan struct{}, otherRuns), lanes: map[string]*lane{}}
}

// Do runs a request, and waits for its result. When ctx is done, Do returns its error at once; the
// run ends unless it computes for other requests, too.
func (q *Queue) Do(ctx context.Context, r Request) (Result, error) {
	j := &job{Request: r, ctx: ctx, queued: time.Now(), done: make(chan outcome, 1)}
	if err := q.add(j); err != nil {
		return Result{}, err
	}
	select {
	case o := <-j.done:
		return o.Result, o.err
	case <-ctx.Done():
		q.remove(j)
		return Result{}, ctx.Err()
	}
}

// add adds a job to its lane.
func (q *Queue) add(j *job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting > 0 && q.waiting+j.size() > q.config.MaxWaiting {
		return inference.Errorf(inference.Busy, "the queue of the model is full: %d images are waiting, at most %d may: try again later", q.waiting, q.config.MaxWaiting)
	}
	l := q.lanes[j.Lane]
	if l == nil {
		l = &lane{full: make(chan struct{}, 1)}
		q.lanes[j.Lane] = l
		go q.serve(j.Lane, l)
	}
	l.jobs = append(l.jobs, j)
	q.count(l, j.size())
	if l.images >= q.config.MaxImages {
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
	return nil
}

// count changes the number of waiting images of a lane.
func (q *Queue) count(l *lane, images int) {
	l.images += images
	q.waiting += images
	q.config.Observer.Waiting(images)
}

// remove removes a job from the queue if it has not started.
func (q *Queue) remove(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[j.Lane]
	if l == nil {
		return
	}
	for i, other := range l.jobs {
		if other == j {
			l.jobs = append(l.jobs[:i:i], l.jobs[i+1:]...)
			q.count(l, -j.size())
			return
		}
	}
}

// serve runs the jobs of a lane until it has none.
func (q *Queue) serve(name string, l *lane) {
	for {
		q.fill(l)
		if name != "" {
			q.slots <- struct{}{}
		}
		jobs := q.take(name, l)
		q.run(jobs)
		if name != "" {
			<-q.slots
		}
		if jobs == nil {
			return
		}
	}
}

// fill waits until the jobs of a lane fill a batch, or the first of them has waited long enough.
func (q *Queue) fill(l *lane) {
	q.mu.Lock()
	var wait time.Duration
	if len(l.jobs) > 0 && l.jobs[0].Images > 0 && l.images < q.config.MaxImages {
		wait = q.config.MaxDelay - time.Since(l.jobs[0].queued)
	}
	select {
	case <-l.full: // from jobs of an earlier batch
	default:
	}
	q.mu.Unlock()
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.full:
	}
}

// take removes the jobs of the next batch from a lane. It removes a lane without jobs, and returns
// nil then.
func (q *Queue) take(name string, l *lane) []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(l.jobs) == 0 {
		delete(q.lanes, name)
		return nil
	}
	n, images := 1, l.jobs[0].size()
	for n < len(l.jobs) && l.jobs[0].Images > 0 && l.jobs[n].Images > 0 && images+l.jobs[n].Images <= q.config.MaxImages {
		images += l.jobs[n].Images
		n++
	}
	jobs := make([]*job, n)
	copy(jobs, l.jobs)
	l.jobs = append([]*job(nil), l.jobs[n:]...)
	q.count(l, -images)
	for _, j := range jobs {
		q.config.Observer.Waited(time.Since(j.queued))
	}
	return jobs
}

// run runs the jobs of a batch, and sends the results.
func (q *Queue) run(jobs []*job) {
	results, err := q.runBatch(jobs)
	if err != nil && len(jobs) > 1 {
		// One of the requests may be the reason. The others must not fail with it.
		for _, j := range jobs {
			if j.ctx.Err() == nil {
				q.run([]*job{j})
			}
		}
		return
	}
	for i, j := range jobs {
		if err != nil {
			j.done <- outcome{err: err}
		} else {
			j.done <- outcome{Result: results[i]}
		}
	}
}

// runBatch runs jobs as one batch. It ends when no client waits for a result anymore.
func (q *Queue) runBatch(jobs []*job) (results []Result, err error) {
	if len(jobs) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	clients := &counter{left: len(jobs), zero: cancel}
	for _, j := range jobs {
		defer context.AfterFunc(j.ctx, clients.leave)()
	}
	defer func() {
		if p := recover(); p != nil {
			q.config.Log.Error("a run has panicked", "panic", p, "stack", string(debug.Stack()))
			err = inference.Errorf(inference.Internal, "the run of the model has failed: see the log of the server")
		}
	}()
	b, err := join(jobs)
	if err != nil {
		return nil, err
	}
	var effort runtime.Effort
	opts := append(b.Options[:len(b.Options):len(b.Options)], runtime.ReportEffort(func(e runtime.Effort) { effort = e }))
	if b.Images > 0 {
		opts = append(opts, runtime.Seeds(b.Seeds), runtime.ImageNumbers(b.Numbers))
	} else {
		opts = append(opts, runtime.Seed(b.Seeds[0]))
	}
	start := time.Now()
	out, err := q.model.Run(ctx, b.Inputs, opts...)
	if err != nil {
		return nil, err
	}
	q.config.Observer.Ran((&job{Request: b}).size(), time.Since(start))
	return split(jobs, Result{out, effort})
}

// counter calls zero when all clients have left.
type counter struct {
	mu   sync.Mutex
	left int
	zero func()
}

func (c *counter) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		c.zero()
	}
}
