package jobs

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/cluster/reduce"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/training"
	"github.com/spike-by-spike/sbs/train"
)

// kindTrain is the kind of the jobs of sbs-train. Its tasks are seats: a worker that has one computes
// gradients until the training ends.
const kindTrain = "train"

// trainingOf describes a training to a worker.
type trainingOf struct {
	Session string          `json:"session"`
	Share   *training.Share `json:"share"`
}

const (
	freeSeats = 4               // that wait for workers
	lostAfter = 3 * time.Second // without a sign of life
	settle    = 2 * time.Second // that a training waits for more workers after the first one
	lifeShown = 1200 * time.Millisecond

	// The times between two looks whether the job is on the server, within which the server must answer,
	// and until the next look after an error.
	lookEvery  = time.Second
	lookWithin = 5 * time.Second
	lookAgain  = 30 * time.Second
)

// Train runs sbs-train with gradients that the workers of c compute.
func (c *Client) Train(ctx context.Context, d *training.Distributed, stdout io.Writer) error {
	ctx, cancel := c.watched(ctx)
	defer cancel()
	g := &gradients{client: c}
	err := d.Train(ctx, g, stdout, c.Stderr)
	if cause := context.Cause(ctx); errors.As(cause, new(*WorkersError)) {
		err = cause
	}
	if e := g.end(context.WithoutCancel(ctx)); e != nil {
		cli.PrintWarnings(c.Stderr, e.Error())
	}
	return err
}

// gradients are the gradients that workers compute.
type gradients struct {
	client *Client
	leader reduce.Leader
	log    training.Log

	watch   *engine.Watch
	job     *engine.Job
	text    *spec
	spec    []byte // text in JSON
	seats   int    // that were offered
	taken   int    // the highest of those that workers have
	started bool
	refusal error     // of the first worker that has refused before the start
	look    time.Time // the next time to look whether the job is on the server
}

// Start implements training.Gradients.
func (g *gradients) Start(ctx context.Context, s *training.Share, log training.Log) error {
	c := g.client
	g.log = log
	g.leader = reduce.Leader{Lost: lostAfter, Joined: g.joined, Left: g.left, Refused: g.refused, Alone: g.again}
	if err := g.leader.Lead(c.Engine.Conn(), s.Parameters); err != nil {
		return err
	}
	var err error
	if g.watch, err = c.Engine.Watch(); err != nil {
		return err
	}
	if err := g.offer(ctx, s); err != nil {
		return err
	}
	if err := g.wait(ctx); err != nil {
		return err
	}
	g.started = true
	members, cores := g.leader.Look()
	log(fmt.Sprintf("workers: %d, cores: %d", members, cores), false)
	switch {
	case s.Sequential && members > 1:
		log("the network has an on/off split whose mean is trained, so that every sub-batch depends on the one before: only one worker computes at a time", true)
	case members > s.SubBatches:
		log(fmt.Sprintf("hint: an update has %d sub-batches, so that %d of the %d workers have nothing to do; more and smaller sub-batches (--batches-per-update and --batch) would use them, and give other weights", s.SubBatches, members-s.SubBatches, members), false)
	}
	return nil
}

// offer puts the job and its first seats on the server.
func (g *gradients) offer(ctx context.Context, s *training.Share) (err error) {
	c := g.client
	text := &spec{Version: c.Version, Kind: kindTrain, Shards: engine.MaxTasks, Training: &trainingOf{g.leader.Session, s}}
	p := &packer{shared: c.Shared}
	for _, path := range s.Data {
		a, err := p.data(ctx, path, true)
		if err != nil {
			return err
		}
		text.Data = append(text.Data, a)
	}
	if s.Labels != "" {
		a, err := p.data(ctx, s.Labels, false)
		if err != nil {
			return err
		}
		text.Labels = []argument{a}
	}
	text.Packs = p.packs
	if g.spec, err = json.Marshal(text); err != nil {
		return err
	}
	if len(g.spec) > engine.MaxSpec {
		return fmt.Errorf("the network and the list of the files have %d bytes, more than the limit of %d: put the images into fewer files, such as .npy, or let the workers read them with --shared", len(g.spec), engine.MaxSpec)
	}
	g.text = text
	return g.again(ctx)
}

// again puts the job on the server, also after workers have removed it because they could not reach
// this client.
func (g *gradients) again(ctx context.Context) error {
	job, found, err := g.client.Engine.Open(ctx, engine.JobID(g.spec))
	if err != nil {
		return err
	}
	if !found {
		g.job, g.seats, g.taken = job, 0, 0
		if err := g.client.send(ctx, job, g.text); err != nil {
			return err
		}
	}
	return g.moreSeats(ctx)
}

// moreSeats offers seats until some are free, and all workers can have one.
func (g *gradients) moreSeats(ctx context.Context) error {
	alive, _, _ := g.watch.Workers()
	want := min(max(g.taken+freeSeats, alive), engine.MaxTasks)
	if want <= g.seats {
		return nil
	}
	if err := g.job.Offer(ctx, g.spec, g.seats+1, want); err != nil {
		return err
	}
	g.seats = want
	return nil
}

// keep makes sure that the server has the job and free seats for workers that come. If that fails, the
// training continues with the workers that are there.
func (g *gradients) keep(ctx context.Context) error {
	if time.Now().Before(g.look) {
		return nil
	}
	err := g.present(ctx)
	g.look = time.Now().Add(lookEvery)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		g.look = time.Now().Add(lookAgain)
		g.log(fmt.Sprintf("no more workers can join the training at the moment: %v", err), true)
	}
	return nil
}

func (g *gradients) present(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, lookWithin)
	lost, err := g.job.Lost(short)
	cancel()
	switch {
	case err != nil:
		return err
	case lost:
		g.log("the server has lost the files of the training: they are sent again", true)
		return g.again(ctx)
	}
	return g.moreSeats(ctx)
}

// wait waits for workers.
func (g *gradients) wait(ctx context.Context) error {
	start, told := time.Now(), false
	var first time.Time // when the first worker joined
	var failed error
	err := g.leader.Wait(ctx, func(members int) bool {
		alive, _, other := g.watch.Workers()
		if failed = g.moreSeats(ctx); failed != nil || g.refusal != nil {
			return true
		}
		if members == 0 {
			if time.Since(start) > patience && !told {
				told = true
				if alive == 0 {
					g.log(noWorkers(g.client.Version, other), true)
				} else {
					g.log(fmt.Sprintf("waiting for one of %d workers, which compute other jobs or read the training images", alive), true)
				}
			}
			return false
		}
		if first.IsZero() {
			first = time.Now()
		}
		if n := g.client.LocalWorkers; n > 0 {
			return members >= n || time.Since(first) > settle
		}
		return time.Since(first) > settle || time.Since(start) > lifeShown && members >= alive
	})
	return errors.Join(err, failed, g.refusal)
}

func (g *gradients) joined(m reduce.Info) {
	g.taken = max(g.taken, m.Seat)
	if g.started {
		g.log(fmt.Sprintf("worker %s helps; workers: %d, cores: %d", m.Name, m.Members, m.AllCores), false)
	}
}

func (g *gradients) left(m reduce.Info) {
	if g.started {
		g.log(fmt.Sprintf("worker %s has left; workers: %d, cores: %d", m.Name, m.Members, m.AllCores), m.Members == 0)
	}
}

func (g *gradients) refused(m reduce.Info, reason string) {
	g.taken = max(g.taken, m.Seat)
	err := fmt.Errorf("worker %s cannot compute gradients: %s", m.Name, reason)
	if !g.started {
		g.refusal = err
		return
	}
	g.log(err.Error(), true)
}

// Compute implements training.Gradients.
func (g *gradients) Compute(ctx context.Context, r training.Run) ([]train.Part, []float32, error) {
	if err := g.keep(ctx); err != nil {
		return nil, nil, err
	}
	data, sum, err := g.leader.Compute(ctx, r.Snapshot, r.First, r.Count, r.Sum)
	if fatal, ok := errors.AsType[*reduce.FatalError](err); ok {
		return nil, nil, fmt.Errorf("%w: %s", train.ErrDiverged, fatal.Text)
	}
	if err != nil {
		return nil, nil, err
	}
	parts := make([]train.Part, len(data))
	for i, d := range data {
		if err := gob.NewDecoder(bytes.NewReader(d)).Decode(&parts[i]); err != nil {
			return nil, nil, fmt.Errorf("the part of a sub-batch is damaged: %w", err)
		}
	}
	return parts, sum, nil
}

// end ends the job.
func (g *gradients) end(ctx context.Context) error {
	if g.watch != nil {
		g.watch.Stop()
	}
	if g.leader.Session == "" {
		return nil
	}
	_ = g.leader.End() // workers that miss it find out that nobody leads them
	if g.job == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := g.job.Remove(ctx); err != nil {
		return fmt.Errorf("the files of the training remain on the server, until they expire or until you run sbs-cluster jobs --remove %s (%w)", g.job.ID, err)
	}
	return nil
}

// seat computes gradients on a worker.
type seat struct {
	name    string
	cores   int
	session string
	engine  *engine.Engine

	helper  *training.Helper
	refusal string // instead of helper
	files   *fetched
}

// openTraining prepares a worker for a training. A worker that cannot help says why to the client.
func openTraining(ctx context.Context, id string, s *spec, w *Work, objects engine.Objects) (engine.Computer, error) {
	if s.Training == nil || s.Training.Share == nil {
		return nil, fmt.Errorf("the specification of job %s is damaged", id)
	}
	c := &seat{name: w.Name, cores: w.Cores, session: s.Training.Session, engine: w.Engine}
	var err error
	if c.files, err = w.Folder.fetch(ctx, id, s, objects); err == nil {
		c.helper, err = s.Training.Share.Open(ctx, c.files.in.data, c.files.in.labels, w.Cores)
	}
	if ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), c.Close())
	}
	if err != nil {
		c.refusal = err.Error()
	}
	return c, nil
}

// Compute computes gradients until the training ends.
func (c *seat) Compute(ctx context.Context, task int) ([]byte, error) {
	m := &reduce.Member{Session: c.session, Name: c.name, Cores: c.cores, Seat: task, Refusal: c.refusal}
	if c.refusal == "" {
		m.Computer = computing{c.helper}
	}
	err := m.Serve(ctx, c.engine.Conn())
	if errors.Is(err, reduce.ErrNoLeader) {
		return nil, fmt.Errorf("%w: %w", engine.ErrAbandoned, err)
	}
	return nil, err
}

// Close implements engine.Computer.
func (c *seat) Close() error {
	var err error
	if c.helper != nil {
		err = c.helper.Close()
	}
	if c.files != nil {
		err = errors.Join(err, c.files.remove())
	}
	return err
}

// computing computes the gradients of sub-batches.
type computing struct{ *training.Helper }

// Compute implements reduce.Computer.
func (c computing) Compute(ctx context.Context, task, ahead int, dst []float32) ([]byte, error) {
	part, err := c.Gradient(ctx, task, ahead, dst)
	if errors.Is(err, train.ErrDiverged) {
		return nil, &reduce.FatalError{Text: err.Error()}
	}
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = gob.NewEncoder(&b).Encode(part)
	return b.Bytes(), err
}
