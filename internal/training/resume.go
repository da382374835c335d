package training

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/lock"
	"github.com/spike-by-spike/sbs/internal/tfevents"
)

// interruptedEarly returns the error of a command that was interrupted before it
// started or resumed the training.
func (f *flags) interruptedEarly() error {
	if f.resume {
		return fmt.Errorf("%w before training resumed; run the same command again", cli.ErrInterrupted)
	}
	return fmt.Errorf("%w before training started: there is nothing to resume", cli.ErrInterrupted)
}

// interrupted writes the checkpoint and the curves of an interrupted training, and
// prints the command that resumes it.
func (s *session) interrupted(stderr io.Writer, resume string) error {
	if err := s.checkpoint(); err != nil {
		return fmt.Errorf("%w after update %d of %d: %w", cli.ErrInterrupted, s.updates(), s.totalUpdates(), err)
	}
	fmt.Fprintf(stderr, "interrupted after update %d of %d; to resume, run\n  %s\n", s.updates(), s.totalUpdates(), resume)
	if err := s.out.curves(s.title()); err != nil {
		return fmt.Errorf("%w: %w", cli.ErrInterrupted, err)
	}
	return cli.ErrInterrupted
}

// resumeCommand returns the command line that resumes the training.
func (f *flags) resumeCommand() string {
	return cli.ResumeCommand(cmp.Or(f.program, programName), []string{f.path}, f.set)
}

// open locks the folder of the log, restores the checkpoint or makes room for the files of a
// new training, and opens the log.
func (f *flags) open(ctx context.Context, s *session, stderr io.Writer) (err error) {
	if s.lock, err = f.lockFolder(s.job, stderr); err != nil {
		return err
	}
	found := false
	if f.resume {
		if found, err = f.restore(s, stderr); err != nil {
			return err
		}
	}
	last := newTraining
	if found {
		last = s.updates()
	} else if err := f.startNew(s.job, stderr); err != nil {
		return err
	}
	if err := f.startShared(ctx, s, stderr); err != nil { // before there is something to resume
		return err
	}
	if s.out, err = newRecorder(s.job, last); err != nil {
		return err
	}
	cli.PrintWarnings(stderr, s.out.repairs...)
	if found {
		return nil
	}
	// A training that is killed before its first update can be resumed, too.
	if err := s.checkpoint(); err != nil {
		return errors.Join(err, s.out.close())
	}
	return nil
}

// lockFolder locks the folder of the log: two trainings that write to the same files would
// damage them.
func (f *flags) lockFolder(j *job, stderr io.Writer) (*lock.Lock, error) {
	if _, err := os.Stat(j.places.log); errors.Is(err, fs.ErrNotExist) {
		// An error about existing files must not leave an empty folder.
		if _, err := f.replaceable(j); err != nil {
			return nil, err
		}
	}
	l, err := lock.Folder(j.places.log)
	switch {
	case errors.Is(err, lock.ErrUnsupported):
		cli.PrintWarnings(stderr, err.Error()+": make sure that no other training writes to the same folder")
		return nil, nil
	case errors.Is(err, lock.ErrLocked):
		return nil, fmt.Errorf("%w, or give another --output", err)
	}
	return l, err
}

// restore resumes from the checkpoint. It reports whether there is one.
func (f *flags) restore(s *session, stderr io.Writer) (bool, error) {
	c, warning, err := s.checkpoints.read()
	if err != nil || c == nil {
		return false, err
	}
	path := s.checkpoints.path
	if err := c.fits(path, s.settings); err != nil {
		return false, err
	}
	if c.Position.SubBatches > s.end {
		return false, fmt.Errorf("%s: the training is already at epoch %.4g, after its end: give a larger --epochs, or start again with --force",
			path, float64(c.Position.SubBatches)/float64(s.perEpoch()))
	}
	if err := s.trainer.Restore(c.Trainer); err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	s.at, s.seconds = c.Position, c.Position.Seconds
	if t := s.at.LastTest; t != nil && t.Set != s.testSet {
		s.at.LastTest, s.at.Unrecorded = nil, false
	}
	if t := s.at.Before; t != nil && t.Set != s.testSet {
		s.at.Before = nil
	}
	if b := s.at.Best; b != nil && (b.Test == nil) != (s.test == nil) || b != nil && b.Test != nil && b.Test.Set != s.testSet {
		s.at.Best = nil
	}
	if warning != "" {
		cli.PrintWarnings(stderr, fmt.Sprintf("%s, after update %d of %d", warning, s.updates(), s.totalUpdates()))
	}
	switch text, changes := c.moved(cli.Release(), cli.Platform()); {
	case changes:
		cli.PrintWarnings(stderr, text)
	case text != "" && !f.quiet:
		_, _ = fmt.Fprintln(stderr, text) // progress
	}
	return true, nil
}

// startNew makes room for the files of a new training, which --resume starts, too, if there is
// no checkpoint.
func (f *flags) startNew(j *job, stderr io.Writer) error {
	j.force = f.force
	old, err := f.replaceable(j)
	if err != nil {
		return err
	}
	switch {
	case f.resume && len(old) > 0:
		cli.PrintWarnings(stderr, fmt.Sprintf("%s has the log of a training without a checkpoint: the training starts from the beginning", j.places.log))
	case f.resume && !f.quiet:
		_, _ = fmt.Fprintf(stderr, "%s has no checkpoint: the training starts from the beginning\n", j.places.log) // progress
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// replaceable returns the files of an earlier training that a new training removes. It returns
// an error if the new training must not replace files, or if a later save would fail because of
// existing files: such errors must not come after hours of training.
func (f *flags) replaceable(j *job) ([]string, error) {
	old, err := j.oldLog()
	if err == nil && !f.force {
		err = f.vacant(j, old)
	}
	if err == nil && j.places.weights != "" {
		err = j.checkSaves()
	}
	return old, err
}

// checkSaves returns an error if a save of the training would fail because of existing
// files.
func (j *job) checkSaves() error {
	first := *j.network
	first.Step = j.start() + min(j.saveEvery, j.steps)
	later := func(step int) bool {
		n := step - j.start()
		return n == j.steps || n > 0 && n < j.steps && n%j.saveEvery == 0
	}
	err := pytorch.CheckSave(j.places.weights, &first, j.saveOptions(), later)
	if err != nil && j.places.order != "" && j.places.configuration {
		err = fmt.Errorf("%w (the configuration has the number of spikes of one --order: give another --output for each)", err)
	}
	return err
}

// oldLog returns the files of another training that a new training must remove: the
// files that --resume reads, the best model, and event files, since TensorBoard shows all event files
// of a folder as one training.
func (j *job) oldLog() ([]string, error) {
	entries, err := os.ReadDir(j.places.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var old []string
	files := j.places.checkpoints()
	for _, e := range entries {
		path := filepath.Join(j.places.log, e.Name())
		known := slices.Contains([]string{files.path, files.previous, j.places.metrics(), j.places.best()}, path)
		if known || strings.HasPrefix(path, j.places.best()+".") || strings.HasPrefix(e.Name(), tfevents.Prefix) { // best.onnx can have a data file
			old = append(old, path)
		}
	}
	return old, nil
}

// vacant returns an error if there are files of another training. With --resume, there may be
// the log of a training without a checkpoint, but no model.
func (f *flags) vacant(j *job, oldLog []string) error {
	if len(oldLog) > 0 && !f.resume {
		return fmt.Errorf("%s already exists: resume its training with --resume, start again with --force, or give another --output", oldLog[0])
	}
	if j.places.weights != "" {
		// A folder must not contain weights of two trainings.
		path, err := j.laterWeights(j.network.Step)
		if err == nil && path != "" {
			err = fmt.Errorf("%s is from another training%s: give another --output, or start again with --force, which replaces files of the same name", path, f.noCheckpoint(j))
		}
		// A training that continues from saved weights replaces their model.
		if err != nil || len(oldLog) == 0 && j.start() > 0 {
			return err
		}
	}
	if _, err := os.Stat(j.places.model); err == nil {
		return fmt.Errorf("%s already exists%s: give another --output, or replace it with --force", j.places.model, f.noCheckpoint(j))
	}
	return nil
}

// noCheckpoint says, in the error about a file that a training has left, why the training does
// not resume.
func (f *flags) noCheckpoint(j *job) string {
	if !f.resume {
		return ""
	}
	return fmt.Sprintf(", but there is no checkpoint in %s to resume from", j.places.log)
}
