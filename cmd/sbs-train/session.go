package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/tfevents"
	"github.com/spike-by-spike/sbs/internal/trainlog"
	"github.com/spike-by-spike/sbs/train"
)

// session is a training under way.
type session struct {
	*job
	trainer  *train.Trainer
	settings map[string]string
	at       position
	end      int // sub-batches of the whole training

	testSet string // which images are tested, and with how many spikes

	out      *recorder
	progress *trainlog.Progress
	began    time.Time // this session
	seconds  float64   // that the sessions before took
	saved    time.Time // the last checkpoint
}

// saveAfter is the time after which an update is followed by a checkpoint: the
// most that is lost when the computer fails.
const saveAfter = 30 * time.Second

func (f *flags) train(ctx context.Context, stdout, stderr io.Writer, path string) error {
	j, err := f.newJob(ctx, path)
	if err != nil {
		return f.interrupted(ctx, err)
	}
	f.print(stderr, j)
	s, err := f.begin(j)
	if err != nil {
		return err
	}
	shown := stderr
	if f.quiet {
		shown = io.Discard
	}
	total := int64(s.end / s.config.SubBatches)
	s.progress = trainlog.NewProgress(shown, total, s.out.last())
	err = s.run(ctx)
	s.progress.Done()
	if err != nil && ctx.Err() != nil {
		err = errors.Join(s.checkpoint(), s.out.curves(s.title()))
		fmt.Fprintf(stderr, "interrupted after update %d of %d; it goes on with\n  %s\n", s.updates(), total, f.resumeCommand())
		return errors.Join(errors.New("interrupted"), err, s.out.close())
	}
	if err != nil {
		return errors.Join(err, s.out.close())
	}
	if err := errors.Join(s.out.curves(s.title()), s.out.close()); err != nil {
		return err
	}
	return s.result(stdout)
}

func (f *flags) interrupted(ctx context.Context, err error) error {
	switch {
	case ctx.Err() == nil:
		return err
	case f.resume:
		return errors.New("interrupted before training went on: --resume is as good as before")
	}
	return errors.New("interrupted before training began: there is nothing to resume")
}

// resumeCommand is the command line that goes on with this training.
func (f *flags) resumeCommand() string {
	words := []string{"sbs-train"}
	for _, a := range f.args {
		switch {
		case a == "--force" || a == "--resume":
			continue
		case a == "" || strings.ContainsFunc(a, func(r rune) bool { return strings.ContainsRune(" \t\n'\"\\$&|;<>()*?[]{}~#!`", r) }):
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(append(words, "--resume"), " ")
}

// begin prepares everything, or goes on with what the checkpoint holds.
func (f *flags) begin(j *job) (*session, error) {
	whole, err := convert.ToONNX(j.network, convert.Options{})
	if err != nil {
		return nil, err
	}
	// Images come cropped, at random places: the network that learns has no crop.
	cropped := *j.network
	if cropped.Input, err = croppedSize(j.network); err != nil {
		return nil, err
	}
	cropped.Preprocessing.Crop = 0
	data, err := convert.ToONNX(&cropped, convert.Options{})
	if err != nil {
		return nil, err
	}
	s := &session{job: j, end: j.subBatches(), began: time.Now(), saved: time.Now()}
	config := j.config
	config.Workers = j.workers // no part of the settings: it does not change the result
	if s.trainer, err = train.New(data, config); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(whole)
	if s.settings, err = j.settings(hex.EncodeToString(sum[:8])); err != nil {
		return nil, err
	}
	if j.test != nil { // before hours of training
		if _, err := j.tester(data); err != nil {
			return nil, fmt.Errorf("for testing: %w", err)
		}
		s.testSet = fmt.Sprint(fingerprint(j.test), j.testSpikes)
	}
	last := newTraining
	if f.resume {
		err = s.restore()
		last = s.updates()
	} else {
		err = f.clear(j)
	}
	if err != nil {
		return nil, err
	}
	s.out, err = newRecorder(j, last)
	return s, err
}

// croppedSize returns the size of an image after the crop.
func croppedSize(n *convert.Network) (convert.Size, error) {
	return convert.Preprocessing{Crop: n.Preprocessing.Crop}.Output(n.Input)
}

// clear makes sure that no other training is in the way, and that no save will fail
// because of what is there: before hours of training.
func (f *flags) clear(j *job) error {
	old, err := j.oldLog()
	if err == nil && !f.force {
		err = j.vacant(old)
	}
	if err != nil {
		return err
	}
	if j.places.weights != "" {
		first := *j.network
		first.Step = j.start() + min(j.saveEvery, j.steps)
		later := func(step int) bool {
			n := step - j.start()
			return n == j.steps || n > 0 && n < j.steps && n%j.saveEvery == 0
		}
		if err := pytorch.CheckSave(j.places.weights, &first, j.saveOptions(), later); err != nil {
			return err
		}
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return os.MkdirAll(j.places.log, 0o755)
}

// oldLog returns the files that another training left for --resume and for
// TensorBoard, which would show both as one.
func (j *job) oldLog() ([]string, error) {
	entries, err := os.ReadDir(j.places.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var old []string
	for _, e := range entries {
		path := filepath.Join(j.places.log, e.Name())
		if path == j.places.checkpoint() || path == j.places.metrics() || strings.HasPrefix(e.Name(), tfevents.Prefix) {
			old = append(old, path)
		}
	}
	return old, nil
}

// vacant reports whether a training can begin where these files are.
func (j *job) vacant(oldLog []string) error {
	if len(oldLog) > 0 {
		return fmt.Errorf("%s: there is a training already; go on with it with --resume, start anew with --force, or give another --output", oldLog[0])
	}
	if j.places.weights != "" {
		// Weights of two trainings would be mixed.
		path, err := j.laterWeights(j.network.Step)
		if err == nil && path != "" {
			err = fmt.Errorf("%s is of another training: give another --output, or start anew with --force, which replaces what gets the same name", path)
		}
		return err
	}
	if _, err := os.Stat(j.places.model); err == nil {
		return fmt.Errorf("%s is there already: give another --output, or replace it with --force", j.places.model)
	}
	return nil
}

func (s *session) restore() error {
	path := s.places.checkpoint()
	c, err := readCheckpoint(path)
	if err != nil {
		return err
	}
	if err := c.fits(path, s.settings); err != nil {
		return err
	}
	if c.Position.SubBatches < 0 || c.Position.Update.Images < 0 {
		return fmt.Errorf("%s is damaged: start anew with --force", path)
	}
	if c.Position.SubBatches > s.end {
		return fmt.Errorf("%s is of a training that has gone through the images %.4g times already: give more --epochs, or start anew with --force",
			path, float64(c.Position.SubBatches)/float64(s.perEpoch()))
	}
	if err := s.trainer.Restore(c.Tuner); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.at, s.seconds = c.Position, c.Position.Seconds
	if t := s.at.LastTest; t != nil && t.Set != s.testSet {
		s.at.LastTest, s.at.Untold = nil, false
	}
	return nil
}

// updates returns the number of updates that were made and recorded.
func (s *session) updates() int {
	n := s.at.SubBatches / s.config.SubBatches
	if s.at.Record != nil {
		n--
	}
	return n
}

// step returns the number of updates or epochs that are behind the weights, the
// epoch under way too.
func (s *session) step() int {
	if s.byUpdates {
		return s.at.SubBatches / s.config.SubBatches
	}
	return (s.at.SubBatches + s.perEpoch() - 1) / s.perEpoch()
}

// epochs returns the number of epochs that are done and recorded.
func (s *session) epochs() int {
	n := s.at.SubBatches / s.perEpoch()
	if s.at.EpochDone {
		n--
	}
	return n
}

// run trains to the end.
func (s *session) run(ctx context.Context) error {
	if err := s.conclude(ctx); err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	batches, used := s.feed(inner, s.at.SubBatches, s.end)
	defer func() {
		cancel()
		for range batches { // until no image is prepared any more
		}
	}()
	for s.at.SubBatches < s.end {
		b, ok := <-batches
		if !ok {
			return ctx.Err()
		}
		if err := s.learn(ctx, b); err != nil {
			return err
		}
		used <- b
		if err := s.conclude(ctx); err != nil {
			return err
		}
	}
	return s.complete(ctx)
}

// complete tests and saves what has come to the end without it: by another number
// of epochs, or with other test images than before.
func (s *session) complete(ctx context.Context) error {
	test := s.test != nil && (s.at.LastTest == nil || s.at.LastTest.SubBatches < s.at.SubBatches)
	save := s.at.Saved < s.at.SubBatches
	if test {
		if err := s.testNetwork(ctx); err != nil {
			return err
		}
	}
	if save {
		if err := s.save(); err != nil {
			return err
		}
	}
	if test || save {
		return s.checkpoint()
	}
	return nil
}

// learn lets the network learn from a sub-batch.
func (s *session) learn(ctx context.Context, b *subBatch) error {
	images, err := s.tensor(b.pixels, len(b.labels))
	if err != nil {
		return err
	}
	rateW, rateEpsilonXY := s.trainer.Rates()
	r, err := s.trainer.Step(ctx, train.Batch{Images: images, Labels: b.labels})
	if errors.Is(err, train.ErrTrain) {
		return fmt.Errorf("sub-batch %d: %w; a smaller --lr may help", s.at.SubBatches, err)
	}
	if err != nil {
		return err
	}
	loss := r.LossPerImage * float64(r.Images)
	for _, t := range []*tally{&s.at.Update, &s.at.Epoch} {
		t.Loss, t.Images, t.Correct = t.Loss+loss, t.Images+r.Images, t.Correct+r.Correct
	}
	epoch := s.at.SubBatches / s.perEpoch()
	s.at.SubBatches++
	if s.at.SubBatches%s.perEpoch() == 0 {
		s.at.EpochDone = true
		s.trainer.EndEpoch()
	}
	if r.Update == nil {
		return nil
	}
	s.at.Record = &trainlog.Record{
		Update: int64(s.at.SubBatches / s.config.SubBatches), Epoch: int64(epoch), Images: s.imagesSeen(),
		Seconds: s.elapsed(), Loss: s.at.Update.loss(), TrainError: s.at.Update.error(),
	}
	if s.trainsW() {
		s.at.Record.LearningRateW = &rateW
	}
	if s.trainsEpsilonXY() {
		s.at.Record.LearningRateEpsilonXY = &rateEpsilonXY
	}
	s.at.Update = tally{}
	return nil
}

func (s *session) elapsed() float64 { return s.seconds + time.Since(s.began).Seconds() }

func (s *session) imagesSeen() int64 {
	epochs, rest := s.at.SubBatches/s.perEpoch(), s.at.SubBatches%s.perEpoch()
	return int64(epochs)*int64(s.images.Len()) + int64(rest)*int64(s.batch)
}

// conclude records an update and an epoch that are done: it tests, saves and
// writes the logs. When it is interrupted it has done nothing but test.
func (s *session) conclude(ctx context.Context) error {
	if s.at.Record == nil && !s.at.EpochDone {
		return nil
	}
	last, step := s.at.SubBatches >= s.end, s.step()
	due := s.at.EpochDone
	if s.byUpdates {
		due = s.at.Record != nil
	}
	if s.test != nil && (last || due && step%s.testEvery == 0) {
		if err := s.testNetwork(ctx); err != nil {
			return err
		}
		s.at.Untold = true
	}
	save := last || due && step%s.saveEvery == 0
	if r := s.at.Record; r != nil {
		if s.at.Untold {
			e := s.at.LastTest.Error
			r.TestError, s.at.Untold = &e, false
		}
		if err := s.out.update(*r); err != nil {
			return err
		}
		s.progress.Update(*r)
	}
	if save {
		if err := s.save(); err != nil {
			return err
		}
	}
	if s.at.EpochDone || last {
		s.summarize()
		s.at.Epoch = tally{}
	}
	checkpoint := s.at.EpochDone || last || time.Since(s.saved) > saveAfter
	s.at.Record, s.at.EpochDone = nil, false
	if checkpoint {
		return s.checkpoint()
	}
	return nil
}

// summarize prints the line of an epoch.
func (s *session) summarize() {
	e := s.at.Epoch
	line := fmt.Sprintf("epoch %d: loss %.4g  accuracy %.2f %%", s.epochs(), e.loss(), 100-e.error())
	if s.at.LastTest != nil {
		line += fmt.Sprintf("  test %.2f %%", 100-s.at.LastTest.Error)
	}
	s.progress.Printf("%s  %s", line, time.Duration(s.elapsed()*float64(time.Second)).Round(time.Second))
}

func (s *session) checkpoint() error {
	state, err := s.trainer.State()
	if err != nil {
		return err
	}
	s.at.Seconds = s.elapsed()
	s.saved = time.Now()
	if err := s.out.sync(); err != nil {
		return err
	}
	return writeCheckpoint(s.places.checkpoint(), &checkpoint{s.settings, s.at, state})
}

// result says what came of it.
func (s *session) result(stdout io.Writer) error {
	if s.at.LastTest != nil {
		fmt.Fprintf(stdout, "test accuracy %.2f %% (%d images)\n", 100-s.at.LastTest.Error, s.test.Len())
	}
	if s.places.weights != "" {
		fmt.Fprintf(stdout, "wrote %s\n", s.places.weights)
	}
	fmt.Fprintf(stdout, "wrote %s\n", s.places.model)
	_, err := fmt.Fprintf(stdout, "wrote %s\n", s.places.log)
	return err
}
