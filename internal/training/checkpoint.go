package training

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/trainlog"
)

// checkpoint holds everything that is needed to resume a training with the same result
// as without the interruption. It is stored in one file.
type checkpoint struct {
	Settings map[string]string
	Position position
	Trainer  []byte // see train.Trainer.State

	Release, Platform string // of the program that wrote the checkpoint: see cli.Release and cli.Platform
}

// position is the progress of a training.
type position struct {
	SubBatches int     // number of sub-batches since the start
	Seconds    float64 // time since the start, without interruptions

	Update, Epoch tally // of the update and the epoch in progress
	LastEpoch     tally // of the epoch that was completed last, or with which the training ended

	// The interruption may come after an update or an epoch, but before it is recorded.
	Record     *trainlog.Record // of the update
	EpochDone  bool
	Unrecorded bool // LastTest is in no record yet

	LastTest *testResult
	Saved    int // SubBatches at the last save of the model

	Before *testResult // of the network at the start of a fine-tuning; nil if it is not known
	Best   *bestModel  // nil if there is none yet
	Guard  guard
}

// testResult is the result of a test.
type testResult struct {
	Error      float64 // in percent, or the loss per image if the network reconstructs
	SubBatches int     // since the start of the training
	Set        string  // identifies the images and the number of spikes
}

// tally sums over training images.
type tally struct {
	Loss            float64
	Images, Correct int
}

func (t tally) loss() float64  { return t.Loss / float64(t.Images) }
func (t tally) error() float64 { return 100 - 100*float64(t.Correct)/float64(t.Images) }

const (
	// checkpointMagic begins a checkpoint. The number of the format follows, and a line break.
	checkpointMagic  = "sbs-train checkpoint "
	checkpointFormat = "4"

	// maxCheckpoint limits the size of a checkpoint in bytes. A larger network would
	// not fit into memory, which holds it several times.
	maxCheckpoint = 4 << 30
)

// errStartAgain is wrapped by errors about checkpoints from which no training can resume.
var errStartAgain = errors.New("start again with --force")

// errDamaged is wrapped by errors about files that are no complete checkpoints.
var errDamaged = fmt.Errorf("damaged: %w", errStartAgain)

// checkpoints are the files of the last two checkpoints of a training. If the last one is
// damaged, the training resumes from the one before.
type checkpoints struct {
	path, previous string
	lost           bool // the file at path is missing or damaged, so that the one before must be kept
}

func (p places) checkpoints() *checkpoints {
	return &checkpoints{path: filepath.Join(p.log, "checkpoint"), previous: filepath.Join(p.log, "checkpoint-previous")}
}

// write writes a checkpoint. At every time, one of the files has a complete checkpoint.
func (k *checkpoints) write(c *checkpoint) error {
	if info, err := os.Stat(k.path); err == nil && info.Mode().IsRegular() && !k.lost {
		if err := atomicfile.Rename(k.path, k.previous); err != nil {
			return fmt.Errorf("cannot keep the checkpoint before: %w", err)
		}
	}
	k.lost = false
	return writeCheckpoint(k.path, c)
}

// read returns the last checkpoint, or the one before, with a warning. It returns nil if there
// is none.
func (k *checkpoints) read() (c *checkpoint, warning string, err error) {
	c, err = readCheckpoint(k.path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err == nil || !missing && !errors.Is(err, errDamaged) {
		return c, "", err
	}
	before, errBefore := readCheckpoint(k.previous)
	switch {
	case errBefore == nil && missing:
		warning = fmt.Sprintf("%s is missing: the training resumes from the checkpoint before it", k.path)
	case errBefore == nil:
		warning = fmt.Sprintf("%s is damaged: the training resumes from the checkpoint before it", k.path)
	case missing && errors.Is(errBefore, fs.ErrNotExist):
		return nil, "", nil
	case missing:
		return nil, "", errBefore
	default:
		return nil, "", err
	}
	k.lost = true
	return before, warning, nil
}

func writeCheckpoint(path string, c *checkpoint) error {
	var b bytes.Buffer
	b.WriteString(checkpointMagic + checkpointFormat + "\n")
	head := b.Len()
	b.Write(make([]byte, sha256.Size))
	if err := gob.NewEncoder(&b).Encode(c); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	data := b.Bytes()
	sum := sha256.Sum256(data[head+sha256.Size:])
	copy(data[head:], sum[:])
	if err := atomicfile.Write(path, data); err != nil {
		return fmt.Errorf("cannot write the checkpoint: %w", err)
	}
	return nil
}

func readCheckpoint(path string) (*checkpoint, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxCheckpoint {
		return nil, fmt.Errorf("%s is not a checkpoint", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	body, ok := bytes.CutPrefix(data, []byte(checkpointMagic))
	format, body, complete := bytes.Cut(body, []byte("\n"))
	if !ok || !complete || !isNumber(format) {
		return nil, fmt.Errorf("%s is %w", path, errDamaged)
	}
	if string(format) != checkpointFormat {
		return nil, fmt.Errorf("%s has the checkpoint format %s, but this is sbs-train %s with format %s: resume with the version that wrote it, or %w",
			path, format, cli.Release(), checkpointFormat, errStartAgain)
	}
	if len(body) < sha256.Size {
		return nil, fmt.Errorf("%s is %w", path, errDamaged)
	}
	sum, body := body[:sha256.Size], body[sha256.Size:]
	if now := sha256.Sum256(body); !bytes.Equal(now[:], sum) {
		return nil, fmt.Errorf("%s is %w", path, errDamaged)
	}
	var c checkpoint
	if err := gob.NewDecoder(bytes.NewReader(body)).Decode(&c); err != nil || c.Position.SubBatches < 0 || c.Position.Update.Images < 0 {
		return nil, fmt.Errorf("%s is %w", path, errDamaged)
	}
	return &c, nil
}

// isNumber reports whether text is a decimal number of a few digits.
func isNumber(text []byte) bool {
	n, err := strconv.ParseUint(string(text), 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == string(text)
}

// moved says in which way this program differs from the one that wrote the checkpoint, and
// whether that can change the result of the training. It returns "" if nothing differs.
func (c *checkpoint) moved(release, platform string) (text string, changes bool) {
	switch {
	case c.Release != release:
		return fmt.Sprintf("the checkpoint was written by sbs-train %s, and this is %s: the result may differ from that of an uninterrupted training", c.Release, release), true
	case c.Platform != platform:
		return fmt.Sprintf("the training moves from %s to %s, which does not change its result", c.Platform, platform), false
	}
	return "", false
}

// fits returns an error if a training with these settings cannot resume from the
// checkpoint.
func (c *checkpoint) fits(path string, settings map[string]string) error {
	var changed []string
	for name, now := range settings {
		then := c.Settings[name]
		switch {
		case then == now || name == settingConfig:
		case strings.HasPrefix(name, "--") && len(then)+len(now) < 40:
			changed = append(changed, fmt.Sprintf("%s (was %q, now %q)", name, then, now))
		default:
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 && c.Settings[settingConfig] != settings[settingConfig] {
		changed = append(changed, settingConfig)
	}
	if len(changed) == 0 {
		return nil
	}
	slices.Sort(changed)
	return fmt.Errorf("%s is from a training with other settings; changed: %s: use the same settings, or %w",
		path, strings.Join(changed, "; "), errStartAgain)
}
