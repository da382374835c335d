package training

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/noise"
	"github.com/spike-by-spike/sbs/train"
)

// Share describes a training to the Helpers that compute gradients for it.
type Share struct {
	Model  []byte       `json:"model"` // the network at the start, which does not crop its images
	Config train.Config `json:"config"`
	Digest string       `json:"digest"` // of the Config

	Reading    dataset.Options      `json:"reading"` // of the training images
	HeldBack   int                  `json:"heldBack"`
	Images     string               `json:"images"` // SHA-256 of the size, labels and pixels of the images, without those held back
	Batch      int                  `json:"batch"`  // images per sub-batch
	Augment    dataset.Augmentation `json:"augment"`
	Noise      []string             `json:"noise"`
	NoiseShare float64              `json:"noiseShare"`
	Unlabeled  bool                 `json:"unlabeled"` // the network reconstructs its input

	Data       []string `json:"-"` // paths of the training images
	Labels     string   `json:"-"` // path of their labels, "" if it is not given
	Parameters int      `json:"-"` // number of trained parameters
	SubBatches int      `json:"-"` // per update
	Sequential bool     `json:"-"` // every sub-batch depends on the one before
}

// Run is a number of sub-batches of one update that do not depend on each other.
type Run struct {
	First, Count int       // sub-batches since the start of the training
	Snapshot     []byte    // of the train.Trainer
	Sum          []float32 // of the gradients of the update before the first sub-batch
}

// Log shows a line to the user. Warnings are shown also with --quiet.
type Log func(text string, warning bool)

// Gradients computes the gradients of a training.
type Gradients interface {
	// Start prepares for a training, before its first update. Start and Compute call log, in the
	// goroutine of the caller.
	Start(ctx context.Context, s *Share, log Log) error

	// Compute returns the parts of the sub-batches of a Run, and the sum of their gradients.
	Compute(ctx context.Context, r Run) ([]train.Part, []float32, error)
}

// Distributed is sbs-train with gradients that others compute.
type Distributed struct {
	Program string // what the user calls
	flags
}

// Register defines the flags of sbs-train.
func (d *Distributed) Register(s *pflag.FlagSet) { d.register(s) }

// Check returns an error about arguments and flags that are invalid.
func (d *Distributed) Check(args []string) error { return d.checkArgs(d.Program, args) }

// Path returns the path of the model or configuration.
func (d *Distributed) Path() string { return d.path }

// Cores returns the value of --workers, 0 without the flag.
func (d *Distributed) Cores() int { return d.workers.Value }

// Train trains.
func (d *Distributed) Train(ctx context.Context, g Gradients, stdout, stderr io.Writer) error {
	d.gradients, d.program = g, d.Program
	return d.train(ctx, stdout, stderr)
}

// share describes the training.
func (s *session) share(f *flags) (*Share, error) {
	digest, err := s.trainer.Digest()
	if err != nil {
		return nil, err
	}
	share := &Share{
		Model: s.initial, Config: s.config, Digest: digest, Reading: s.reading, Images: fingerprint(s.images), Batch: s.batch,
		Augment: s.augment, Noise: f.noise, NoiseShare: s.noise.Share(), Unlabeled: s.reconstructs(),
		Data: f.data, Labels: f.labels, Parameters: s.trainer.Len(), SubBatches: s.subBatches, Sequential: s.trainer.Sequential(),
	}
	share.Reading.Labels = ""
	if h := s.network.Holdout; h != nil {
		share.HeldBack = h.Images
	}
	return share, nil
}

// startShared tells those who compute the gradients, if others do and there is something to train, what
// the training is.
func (f *flags) startShared(ctx context.Context, s *session, stderr io.Writer) error {
	if f.gradients == nil || s.at.SubBatches >= s.end {
		return nil
	}
	share, err := s.share(f)
	if err != nil {
		return err
	}
	s.gradients = f.gradients
	return s.gradients.Start(ctx, share, func(text string, warning bool) {
		switch {
		case warning && (f.quiet || s.progress == nil):
			cli.PrintWarnings(stderr, text)
		case f.quiet:
		case s.progress == nil:
			_, _ = fmt.Fprintln(stderr, text) // progress
		case warning:
			s.progress.Printf("warning: %s", text)
		default:
			s.progress.Printf("%s", text)
		}
	})
}

// Limits of a run, since all of its gradients are in the memory of those who compute them until they are added
// up: the number of sub-batches, and the bytes of the gradients.
const (
	maxRun      = 1000
	maxRunBytes = 4 << 30
)

// nextRun returns the next sub-batches that do not depend on each other.
func (s *session) nextRun() (r Run, err error) {
	r.First = s.at.SubBatches
	most := min(maxRun, max(maxRunBytes/4/s.trainer.Len(), 1))
	r.Count = min(s.trainer.Independent(), s.end-r.First, s.perEpoch()-r.First%s.perEpoch(), most)
	r.Sum = s.trainer.Sum()
	r.Snapshot, err = s.trainer.Snapshot()
	return r, err
}

// runShared trains to the end with gradients that others compute.
func (s *session) runShared(ctx context.Context) error {
	for s.at.SubBatches < s.end {
		r, err := s.nextRun()
		if err != nil {
			return err
		}
		parts, sum, err := s.gradients.Compute(ctx, r)
		switch {
		case errors.Is(err, train.ErrDiverged):
			return s.diverged()
		case errors.Is(err, context.Canceled):
			return err
		case err != nil:
			return errors.Join(fmt.Errorf("%w (--resume continues the training)", err), s.checkpoint())
		}
		if err := s.checkParts(r, parts); err != nil {
			return err
		}
		rateW, rateEpsilonXY := s.trainer.Rates()
		results, err := s.trainer.Add(parts, sum)
		if err != nil {
			return err
		}
		for _, result := range results {
			if err := s.account(result, rateW, rateEpsilonXY); err != nil {
				return err
			}
		}
		if err := s.conclude(ctx); err != nil {
			return err
		}
	}
	return s.complete(ctx)
}

// checkParts returns an error if parts are not those of the sub-batches of a run.
func (s *session) checkParts(r Run, parts []train.Part) error {
	if len(parts) != r.Count {
		return fmt.Errorf("there are %d parts of %d sub-batches", len(parts), r.Count)
	}
	for i, p := range parts {
		n := r.First + i
		want := int(s.imagesBefore(n+1) - s.imagesBefore(n))
		if got := p.Result; got.Images != want || got.Correct < 0 || got.Correct > want || got.Update != nil {
			return fmt.Errorf("the part of sub-batch %d has %d images, of which %d are correct, instead of %d images: it is damaged", n, got.Images, got.Correct, want)
		}
	}
	return nil
}

// Helper computes gradients for a training.
type Helper struct {
	job       *job
	trainer   *train.Trainer
	unlabeled bool
	batch     subBatch
	order     epochOrder
}

// Open prepares for the training. It reads the training images at the paths data, with the labels at a
// path or "", and checks that they are those of the training. workers is the number of CPU cores to use.
func (s *Share) Open(ctx context.Context, data []string, labels string, workers int) (*Helper, error) {
	reading := s.Reading
	reading.Labels = labels
	images, err := dataset.LoadPaths(ctx, data, reading, workers)
	if err != nil {
		return nil, err
	}
	if s.HeldBack < 0 || s.HeldBack >= images.Len() || s.Batch < 1 {
		return nil, fmt.Errorf("the %d training images cannot be divided as the training demands", images.Len())
	}
	if s.HeldBack > 0 {
		kept, _ := dataset.Holdout(images.Len(), s.HeldBack)
		images = images.Subset(kept)
	}
	if got := fingerprint(images); got != s.Images {
		return nil, fmt.Errorf("the training images are other ones here than where the training was started: their SHA-256 is %.16s..., not %.16s...", got, s.Images)
	}
	j := &job{plan: plan{batch: s.Batch}, config: s.Config, augment: s.Augment, images: images}
	if j.noise, err = noise.ParseMix(s.Noise, s.NoiseShare); err != nil {
		return nil, err
	}
	if _, err := j.augment.Output(images.Size()); err != nil {
		return nil, err
	}
	config := s.Config
	config.Workers = workers
	h := &Helper{job: j, unlabeled: s.Unlabeled}
	if h.trainer, err = train.New(s.Model, config); err != nil {
		return nil, err
	}
	if digest, err := h.trainer.Digest(); err != nil || digest != s.Digest {
		return nil, errors.Join(errors.New("the settings of the training do not have the same meaning here"), err, h.Close())
	}
	return h, nil
}

// Len returns the length of a vector of gradients.
func (h *Helper) Len() int { return h.trainer.Len() }

// Follow sets the state to a snapshot of the training.
func (h *Helper) Follow(snapshot []byte) error { return h.trainer.Follow(snapshot) }

// Gradient computes the gradient of a sub-batch of the training, ahead sub-batches after the one that
// comes next in the snapshot, and stores it in dst.
func (h *Helper) Gradient(ctx context.Context, subBatch, ahead int, dst []float32) (train.Part, error) {
	j, b := h.job, &h.batch
	j.prepare(b, subBatch, &h.order)
	images, err := j.tensor(b.pixels, len(b.labels))
	if err != nil {
		return train.Part{}, err
	}
	batch := train.Batch{Images: images, Labels: b.labels}
	if h.unlabeled {
		batch.Labels = nil
	}
	return h.trainer.Gradient(ctx, batch, ahead, uint64(j.imagesBefore(subBatch)), dst)
}

// Close ends the goroutines of the Helper.
func (h *Helper) Close() error { return h.trainer.Close() }
