package training

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spike-by-spike/sbs/importers/pytorch"
	"github.com/spike-by-spike/sbs/internal/cli"
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
	return cli.ResumeCommand("sbs-train", []string{f.path}, f.set)
}

// restore resumes from the checkpoint.
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
		return errDamaged(path)
	}
	if c.Position.SubBatches > s.end {
		return fmt.Errorf("%s: the training is already at epoch %.4g, after its end: give a larger --epochs, or start again with --force",
			path, float64(c.Position.SubBatches)/float64(s.perEpoch()))
	}
	if err := s.trainer.Restore(c.Trainer); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.at, s.seconds = c.Position, c.Position.Seconds
	if t := s.at.LastTest; t != nil && t.Set != s.testSet {
		s.at.LastTest, s.at.Unrecorded = nil, false
	}
	return nil
}

// clear makes room for the files of a new training. It returns an error if files of
// another training exist, or if a later save would fail because of existing files: such
// errors must not come after hours of training.
func (f *flags) clear(j *job) error {
	old, err := j.oldLog()
	if err == nil && !f.force {
		err = j.vacant(old)
	}
	if err == nil && j.places.weights != "" {
		err = j.checkSaves()
	}
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return os.MkdirAll(j.places.log, 0o755)
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
	return pytorch.CheckSave(j.places.weights, &first, j.saveOptions(), later)
}

// oldLog returns the files of another training that a new training must remove: the
// files that --resume reads, and event files, since TensorBoard shows all event files
// of a folder as one training.
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

// vacant returns an error if files of another training exist.
func (j *job) vacant(oldLog []string) error {
	if len(oldLog) > 0 {
		return fmt.Errorf("%s already exists: resume its training with --resume, start again with --force, or give another --output", oldLog[0])
	}
	if j.places.weights != "" {
		// A folder must not contain weights of two trainings.
		path, err := j.laterWeights(j.network.Step)
		if err == nil && path != "" {
			err = fmt.Errorf("%s is from another training: give another --output, or start again with --force, which replaces files of the same name", path)
		}
		return err
	}
	if _, err := os.Stat(j.places.model); err == nil {
		return fmt.Errorf("%s already exists: give another --output, or replace it with --force", j.places.model)
	}
	return nil
}
