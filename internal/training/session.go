package training

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/lock"
	"github.com/spike-by-spike/sbs/internal/trainlog"
	"github.com/spike-by-spike/sbs/train"
)

// session is a training in progress.
type session struct {
	*job
	trainer  *train.Trainer
	initial  []byte // the network at the start, as the trainer trains it
	settings map[string]string
	at       position
	end      int // sub-batches of the whole training

	gradients Gradients // nil if the trainer computes them

	testSet string // identifies the test images and the number of spikes for tests

	lock        *lock.Lock
	checkpoints *checkpoints

	out      *recorder
	progress *trainlog.Progress
	written  func()    // called after every checkpoint, may be nil
	began    time.Time // start of this session
	seconds  float64   // duration of the sessions before
	saved    time.Time // time of the last checkpoint
}

// saveAfter is the time after which an update is followed by a checkpoint. It limits
// the work that is lost if the computer fails.
const saveAfter = 30 * time.Second

// train runs the command.
func (f *flags) train(ctx context.Context, stdout, stderr io.Writer) error {
	defer cli.IgnoreBrokenPipes()()
	j, err := f.newJob(ctx)
	if errors.Is(err, context.Canceled) {
		return f.interruptedEarly()
	}
	if err != nil {
		return err
	}
	f.print(stderr, j)
	s, err := f.begin(ctx, j, stderr)
	if errors.Is(err, context.Canceled) {
		return f.interruptedEarly()
	}
	if err != nil {
		return err
	}
	shown := stderr
	if f.quiet {
		shown = io.Discard
	}
	s.progress = trainlog.NewProgress(shown, s.totalUpdates(), s.out.last())
	err = s.run(ctx)
	s.progress.Done()
	if errors.Is(err, context.Canceled) {
		err = s.interrupted(stderr, f.resumeCommand())
		return errors.Join(err, s.close())
	}
	if err == nil {
		err = s.out.curves(s.title())
	} else {
		err = s.failed(err)
	}
	if err := errors.Join(err, s.close()); err != nil {
		return err
	}
	return s.result(stdout)
}

func (s *session) close() error {
	return errors.Join(s.out.close(), s.trainer.Close(), s.lock.Release())
}

// begin prepares the trainer and the files, and restores the checkpoint if the training
// resumes. It prints warnings and, if the training does not resume as usual, the reason.
func (f *flags) begin(ctx context.Context, j *job, stderr io.Writer) (*session, error) {
	s, err := f.newSession(j)
	if err != nil {
		return nil, err
	}
	if err := f.open(ctx, s, stderr); err != nil {
		return nil, errors.Join(err, s.trainer.Close(), s.lock.Release())
	}
	return s, nil
}

// newSession prepares the trainer. It writes no files.
func (f *flags) newSession(j *job) (*session, error) {
	whole, err := convert.ToONNX(j.network, convert.Options{})
	if err != nil {
		return nil, err
	}
	// The training images are already cropped, at random positions, so the network that
	// is trained does not crop them.
	cropped := *j.network
	if cropped.Input, err = croppedSize(j.network); err != nil {
		return nil, err
	}
	cropped.Preprocessing.Crop = 0
	data, err := convert.ToONNX(&cropped, convert.Options{})
	if err != nil {
		return nil, err
	}
	s := &session{job: j, initial: data, end: j.totalSubBatches(), checkpoints: j.places.checkpoints(), began: time.Now(), saved: time.Now()}
	config := j.config
	config.Workers = j.workers // not part of the settings, since it does not change the result
	if s.trainer, err = train.New(data, config); err != nil {
		return nil, err
	}
	if err := s.describe(whole); err != nil {
		return nil, errors.Join(err, s.trainer.Close())
	}
	return s, nil
}

// describe sets what identifies the training and its tests. whole is the model at the start.
func (s *session) describe(whole []byte) (err error) {
	sum := sha256.Sum256(whole)
	if s.settings, err = s.job.settings(hex.EncodeToString(sum[:8])); err != nil || s.test == nil {
		return err
	}
	m, err := s.tester() // report an error before hours of training, not after them
	if err != nil {
		return fmt.Errorf("for the tests (--test-spikes): %w", err)
	}
	s.testSet = s.testName()
	return m.Close()
}

// croppedSize returns the size of an image after the crop.
func croppedSize(n *convert.Network) (convert.Size, error) {
	return convert.Preprocessing{Crop: n.Preprocessing.Crop}.Output(n.Input)
}

// totalUpdates returns the number of updates of the whole training.
func (s *session) totalUpdates() int64 { return int64(s.end / s.subBatches) }

// updates returns the number of updates that are made and recorded.
func (s *session) updates() int {
	n := s.at.SubBatches / s.subBatches
	if s.at.Record != nil {
		n--
	}
	return n
}

// step returns the number of updates or epochs that the weights have been trained for,
// including an epoch in progress.
func (s *session) step() int {
	if s.kind == byUpdates {
		return s.at.SubBatches / s.subBatches
	}
	return (s.at.SubBatches + s.perEpoch() - 1) / s.perEpoch()
}

// epochs returns the number of epochs that are complete and recorded.
func (s *session) epochs() int {
	n := s.at.SubBatches / s.perEpoch()
	if s.at.EpochDone {
		n--
	}
	return n
}

// run trains to the end.
func (s *session) run(ctx context.Context) error {
	if err := s.testBefore(ctx); err != nil {
		return err
	}
	if err := s.conclude(ctx); err != nil {
		return err
	}
	if s.gradients != nil {
		return s.runShared(ctx)
	}
	inner, cancel := context.WithCancel(ctx)
	batches, used := s.feed(inner, s.at.SubBatches, s.end)
	defer func() {
		cancel()
		for range batches { // wait until no image is being prepared
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

// complete makes the final test and save if they are missing. They are missing if the
// training resumes with another number of epochs, with other test images, or without the model
// that it has saved.
func (s *session) complete(ctx context.Context) error {
	test := s.test != nil && (s.at.LastTest == nil || s.at.LastTest.SubBatches < s.at.SubBatches)
	_, err := os.Stat(s.places.model)
	save := s.at.Saved < s.at.SubBatches || errors.Is(err, fs.ErrNotExist)
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

// learn makes a step of the trainer with a sub-batch.
func (s *session) learn(ctx context.Context, b *subBatch) error {
	images, err := s.tensor(b.pixels, len(b.labels))
	if err != nil {
		return err
	}
	rateW, rateEpsilonXY := s.trainer.Rates()
	batch := train.Batch{Images: images, Labels: b.labels}
	if s.reconstructs() {
		batch.Labels = nil
	}
	r, err := s.trainer.Step(ctx, batch)
	if errors.Is(err, train.ErrDiverged) {
		return s.diverged()
	}
	if err != nil {
		return err
	}
	return s.account(r, rateW, rateEpsilonXY)
}

// account counts a sub-batch that the trainer has learned with some rates.
func (s *session) account(r train.Result, rateW, rateEpsilonXY float64) error {
	loss := float64(r.LossPerImage * float64(r.Images))
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
		Update: int64(s.at.SubBatches / s.subBatches), Epoch: int64(epoch), Images: s.imagesBefore(s.at.SubBatches),
		Seconds: s.elapsed(), Loss: s.at.Update.loss(),
	}
	if e := s.at.Update.error(); !s.reconstructs() {
		s.at.Record.TrainError = &e
	}
	if s.trainsW() {
		s.at.Record.LearningRateW = &rateW
	}
	if s.trainsEpsilonXY() {
		s.at.Record.LearningRateEpsilonXY = &rateEpsilonXY
	}
	s.at.Update = tally{}
	if err := s.guarded(r.Update); err != nil {
		last := *s.at.Record
		s.at.Record = nil
		return errors.Join(err, s.out.update(last))
	}
	return nil
}

func (s *session) elapsed() float64 { return s.seconds + time.Since(s.began).Seconds() }

// conclude tests, saves and writes the logs after an update or epoch. If ctx is
// canceled, conclude has changed nothing but the result of the last test, so that a
// resumed training can call it again.
func (s *session) conclude(ctx context.Context) error {
	if s.at.Record == nil && !s.at.EpochDone {
		return nil
	}
	last, step := s.at.SubBatches >= s.end, s.step()
	stepDone := s.at.EpochDone
	if s.kind == byUpdates {
		stepDone = s.at.Record != nil
	}
	if s.test != nil && (last || stepDone && step%s.testEvery == 0) {
		if err := s.testNetwork(ctx); err != nil {
			return err
		}
		s.at.Unrecorded = true
	}
	save := last || stepDone && step%s.saveEvery == 0
	if r := s.at.Record; r != nil {
		if s.at.Unrecorded {
			e := s.at.LastTest.Error
			if s.at.Unrecorded = false; s.reconstructs() {
				r.TestLoss = &e
			} else {
				r.TestError = &e
			}
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
	if s.at.EpochDone {
		if err := s.keepBestEpoch(); err != nil {
			return err
		}
	}
	if s.at.EpochDone || last {
		s.summarize()
		s.at.LastEpoch, s.at.Epoch = s.at.Epoch, tally{}
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
	line := fmt.Sprintf("epoch %d: loss %.4g", s.epochs(), e.loss())
	if !s.reconstructs() {
		line += fmt.Sprintf("  accuracy %.2f%%", 100-e.error())
	}
	if s.at.LastTest != nil {
		line += "  test " + s.measured(s.at.LastTest)
	}
	s.progress.Printf("%s  %s", line, time.Duration(s.elapsed()*float64(time.Second)).Round(time.Second))
}

// checkpoint writes the checkpoint, after the metrics that belong to it.
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
	err = s.checkpoints.write(&checkpoint{
		Settings: s.settings, Position: s.at, Trainer: state, Release: cli.Release(), Platform: cli.Platform(),
	})
	if err == nil && s.written != nil {
		s.written()
	}
	return err
}

// result prints the accuracy and the paths of the files. It returns an error if the model got
// worse.
func (s *session) result(stdout io.Writer) error {
	worse := false
	if s.at.LastTest != nil {
		what := "accuracy "
		if s.reconstructs() {
			what = ""
		}
		var comparison string
		comparison, worse = s.verdict()
		fmt.Fprintf(stdout, "test %s%s (%d images)%s\n", what, s.measured(s.at.LastTest), s.test.Len(), comparison)
	}
	if s.places.weights != "" {
		fmt.Fprintf(stdout, "wrote %s\n", s.places.weights)
	}
	fmt.Fprintf(stdout, "wrote %s\n", s.places.model)
	if _, err := fmt.Fprintf(stdout, "wrote %s\n", s.places.log); err != nil {
		return err
	}
	if worse {
		return s.errWorse()
	}
	return nil
}
