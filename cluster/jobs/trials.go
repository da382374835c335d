package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/training"
	"github.com/spike-by-spike/sbs/internal/trials"
)

// kindTrials is the kind of jobs whose shards are trainings of sbs-train.
const kindTrials = "trials"

// trialsOf describes trials to a worker.
type trialsOf struct {
	Test       []argument `json:"test,omitempty"` // test images, if they are not those in the folder of the training images
	TestLabels []argument `json:"testLabels,omitempty"`
	List       []trialOf  `json:"list"`
}

// trialOf describes a trial to a worker.
type trialOf struct {
	Network  int               `json:"network"` // index in the models
	Model    bool              `json:"model"`   // the network is a model, and no configuration
	Flags    []string          `json:"flags"`   // of sbs-train, --name=value
	Settings map[string]string `json:"settings"`
}

// resultOfTrial is the result of a task.
type resultOfTrial struct {
	Outcome *training.Outcome `json:"outcome"`
	Worker  string            `json:"worker"`
	Files   []saved           `json:"files"`
}

// progressOf is a message about a trial at work.
type progressOf struct {
	Task  int     `json:"task"`
	Share float64 `json:"share"` // that is done
}

// progressSubject is the subject of messages about the trials of a job, without the ID.
const progressSubject = "sbs.progress."

// specOfTrials returns the specification of trials.
func (c *Client) specOfTrials(ctx context.Context, p *trials.Plan, models []string) (*spec, error) {
	s := &spec{Version: c.Version, Kind: kindTrials, Shards: len(p.Trials), Trials: &trialsOf{}}
	pack := &packer{shared: c.Shared}
	reads := make([][]string, len(models)) // the files of the configurations
	for i := range p.Trials {
		t := &p.Trials[i]
		s.Trials.List = append(s.Trials.List, trialOf{t.Network, t.Prepared.Model, t.Flags, t.Prepared.Settings})
		for _, path := range t.Prepared.Reads {
			if !slices.Contains(reads[t.Network], path) {
				reads[t.Network] = append(reads[t.Network], path)
			}
		}
	}
	add := func(to *[]argument, get func() (argument, error)) error {
		a, err := get()
		*to = append(*to, a)
		return err
	}
	for i, path := range models {
		err := add(&s.Models, func() (argument, error) {
			if reads[i] == nil {
				return pack.model(ctx, path)
			}
			return pack.configuration(ctx, path, reads[i])
		})
		if err != nil {
			return nil, err
		}
	}
	for _, path := range p.Inputs.Data {
		if err := add(&s.Data, func() (argument, error) { return pack.data(ctx, path, true) }); err != nil {
			return nil, err
		}
	}
	for _, one := range []struct {
		path string
		to   *[]argument
		with bool
	}{{p.Inputs.Labels, &s.Labels, false}, {p.Inputs.Test, &s.Trials.Test, true}, {p.Inputs.TestLabels, &s.Trials.TestLabels, false}} {
		if one.path == "" {
			continue
		}
		if err := add(one.to, func() (argument, error) { return pack.data(ctx, one.path, one.with) }); err != nil {
			return nil, err
		}
	}
	s.Packs = pack.packs
	return s, nil
}

// Trials lets the workers of c make the trials of a plan that are not done, and adds them to the results.
// models are the paths of the networks. resume is the command line that continues.
func (c *Client) Trials(ctx context.Context, p *trials.Plan, r *trials.Results, models []string, resume string) error {
	ctx, cancel := c.watched(ctx)
	defer cancel()
	s, err := c.specOfTrials(ctx, p, models)
	if err != nil {
		return interrupted(ctx, err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if len(text) > engine.MaxSpec {
		return errTooLong(len(text))
	}
	on, found, err := c.Engine.Open(ctx, engine.JobID(text))
	if err != nil {
		return interrupted(ctx, err)
	}
	if found && !c.Quiet {
		fmt.Fprintf(c.Stderr, "job %s is on the server: it continues\n", on.ID)
	}
	err = c.send(ctx, on, s)
	if err == nil {
		err = c.runTrials(ctx, on, text, p, r)
	}
	var failure *engine.Failure
	switch {
	case err == nil:
		return on.Remove(ctx)
	case errors.As(err, &failure):
		return fmt.Errorf("trial %d: worker %s: %s\nno more trials are begun; to continue, run\n  %s", failure.Task, failure.Worker, failure.Text, resume)
	case ctx.Err() != nil:
		if c.LocalWorkers == 0 && !errors.As(context.Cause(ctx), new(*WorkersError)) {
			fmt.Fprintf(c.Stderr, "the workers continue; end the job with\n  sbs-cluster jobs --remove %s\n", on.ID)
		}
		fmt.Fprintf(c.Stderr, "to resume, run\n  %s\n", resume)
		return interrupted(ctx, err)
	}
	return err
}

// runTrials waits for the trials that are not done.
func (c *Client) runTrials(ctx context.Context, on *engine.Job, text []byte, p *trials.Plan, r *trials.Results) error {
	done := r.Done()
	atWork, err := followTrials(c.Engine.Conn(), on.ID, done)
	if err != nil {
		return err
	}
	defer atWork.stop()
	show := &progress{client: c, unit: "trials", units: len(p.Trials), shards: len(p.Trials), partial: atWork.share}
	for _, d := range done[1:] {
		if d {
			show.done.Add(1)
		}
	}
	if err := show.start(); err != nil {
		return err
	}
	defer show.end()
	again := fmt.Sprintf("remove the job with sbs-cluster jobs --remove %s, and run the command again with --resume", on.ID)
	return on.RunAgain(ctx, text, done, func(task int, data []byte) error {
		var one resultOfTrial
		if err := json.Unmarshal(data, &one); err != nil || one.Outcome == nil {
			return fmt.Errorf("the result of trial %d %w: %s", task, trials.ErrDamaged, again)
		}
		folder, err := r.Stage(task)
		if err != nil {
			return err
		}
		if err := receive(ctx, one.Files, folder, on.Read); err != nil {
			return err
		}
		if err := r.Add(task, one.Outcome, one.Worker); errors.Is(err, trials.ErrDamaged) {
			return fmt.Errorf("%w: %s", err, again)
		} else if err != nil {
			return err
		}
		atWork.done(task)
		show.done.Add(1)
		return nil
	})
}

// atWork follows the trials that workers make.
type atWork struct {
	sub *nats.Subscription

	mu     sync.Mutex
	ended  []bool
	shares map[int]shareOfTrial
}

type shareOfTrial struct {
	share float64
	at    time.Time
}

// forgetAfter is the time without a message after which a trial is not at work any more.
const forgetAfter = 10 * time.Second

func followTrials(conn *nats.Conn, id string, done []bool) (a *atWork, err error) {
	a = &atWork{ended: slices.Clone(done), shares: map[int]shareOfTrial{}}
	a.sub, err = conn.Subscribe(progressSubject+id, func(m *nats.Msg) {
		var p progressOf
		if json.Unmarshal(m.Data, &p) != nil || p.Task < 1 || p.Task >= len(done) || !(p.Share >= 0 && p.Share <= 1) {
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.shares[p.Task] = shareOfTrial{p.Share, time.Now()}
	})
	return a, err
}

// share returns the sum of the shares of the trials at work that are done.
func (a *atWork) share() (sum float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for task, s := range a.shares {
		if time.Since(s.at) < forgetAfter && !a.ended[task] {
			sum += s.share
		}
	}
	return sum
}

func (a *atWork) done(task int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended[task] = true
}

func (a *atWork) stop() { _ = a.sub.Unsubscribe() } // fails only after the connection was closed

// trialing makes trials on a worker.
type trialing struct {
	id, name string
	cores    int
	trials   *trialsOf
	files    *fetched
	objects  engine.Objects
	conn     *nats.Conn
	log      func(format string, args ...any)
	images   training.Images // of all trials
}

// openTrials prepares a worker for trials.
func openTrials(ctx context.Context, id string, s *spec, w *Work, objects engine.Objects) (engine.Computer, error) {
	if s.Trials == nil {
		return nil, fmt.Errorf("the specification of job %s is damaged", id)
	}
	at, err := w.Folder.fetch(ctx, id, s, objects)
	if err != nil {
		return nil, err
	}
	return &trialing{id: id, name: w.Name, cores: w.Cores, trials: s.Trials, files: at, objects: objects, conn: w.Engine.Conn(), log: w.Log}, nil
}

// Close implements engine.Computer.
func (c *trialing) Close() error { return c.files.remove() }

// saveWithin is the time that a worker that ends has for its last state.
const saveWithin = 5 * time.Second

// Compute makes a trial. It continues from the last state on the server.
func (c *trialing) Compute(ctx context.Context, task int) (_ []byte, err error) {
	if task > len(c.trials.List) || c.trials.List[task-1].Network < 0 || c.trials.List[task-1].Network >= len(c.files.in.models) {
		return nil, fmt.Errorf("there is no trial %d", task)
	}
	folder, err := c.files.output(task)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	files := newSnapshots(task, folder, c.objects)
	found, err := files.restore(ctx)
	if err != nil {
		return nil, err
	}
	if found {
		c.log("job %s: trial %d continues", c.id, task)
	}
	var share atomic.Pointer[progressOf]
	share.Store(&progressOf{Task: task})
	stop := c.show(&share)
	defer stop()
	outcome, err := c.train(ctx, task, folder, files, &share)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, engine.ErrAbandoned) {
			return nil, err
		}
		return nil, errors.New(cli.Message(c.files.in.names.Error(err), nil))
	}
	r := resultOfTrial{Outcome: outcome, Worker: c.name}
	if r.Files, err = files.result(ctx); err != nil {
		return nil, err
	}
	return json.Marshal(&r)
}

// train trains in a folder.
func (c *trialing) train(ctx context.Context, task int, folder string, files *snapshots, share *atomic.Pointer[progressOf]) (*training.Outcome, error) {
	one, in := &c.trials.List[task-1], &c.files.in
	trial, err := trials.Parse(one.Flags)
	if err != nil {
		return nil, err
	}
	outer, abandoned := ctx, false
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	outcome, err := trial.Run(ctx, &training.TrialRun{
		Inputs: training.Inputs{Path: in.models[one.Network], Data: in.data, Labels: in.labels, Test: in.test, TestLabels: in.testLabels},
		Output: trials.Output(folder, one.Model), Workers: c.cores, Settings: one.Settings, Images: &c.images,
		Saved: func() {
			saving := ctx
			if outer.Err() != nil {
				var cancel context.CancelFunc
				saving, cancel = context.WithTimeout(context.WithoutCancel(ctx), saveWithin)
				defer cancel()
			} else if abandoned || !files.due() {
				return
			}
			switch err := files.save(saving); {
			case err == nil:
			case engine.IsGone(err):
				abandoned = true
				cancel()
			default: // the training does not need it
				c.log("job %s: the checkpoint of trial %d is not on the server: %v", c.id, task, err)
			}
		},
		Progress: func(done, total int64) {
			share.Store(&progressOf{task, float64(done) / float64(max(total, 1))})
		},
	})
	if abandoned && outer.Err() == nil {
		return nil, fmt.Errorf("%w: the job is not on the server any more", engine.ErrAbandoned)
	}
	return outcome, err
}

// show tells clients how far a trial is, until stop is called.
func (c *trialing) show(share *atomic.Pointer[progressOf]) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			if text, err := json.Marshal(share.Load()); err == nil {
				_ = c.conn.Publish(progressSubject+c.id, text) // for information only
			}
			select {
			case <-done:
				return
			case <-time.After(time.Second):
			}
		}
	}()
	return func() { close(done) }
}

// output returns a new folder for the files of a task.
func (a *fetched) output(task int) (string, error) {
	root, err := filepath.Abs(a.folder.root.Name())
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, a.path, fmt.Sprintf("output-%d", task))
	return path, errors.Join(os.RemoveAll(path), os.MkdirAll(path, 0o755))
}
