package training

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/trainlog"
)

// checkpoint holds everything that is needed to resume a training with the same result
// as without the interruption. It is stored in one file.
type checkpoint struct {
	Settings map[string]string
	Position position
	Trainer  []byte // see train.Trainer.State
}

// position is the progress of a training.
type position struct {
	SubBatches int     // number of sub-batches since the start
	Seconds    float64 // time since the start, without interruptions

	Update, Epoch tally // of the update and the epoch in progress

	// The interruption may come after an update or an epoch, but before it is recorded.
	Record     *trainlog.Record // of the update
	EpochDone  bool
	Unrecorded bool // LastTest is in no record yet

	LastTest *testResult
	Saved    int // SubBatches at the last save of the model
}

// testResult is the result of a test.
type testResult struct {
	Error      float64 // in percent
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
	checkpointMagic = "sbs-train checkpoint 3\n"

	// maxCheckpoint limits the size of a checkpoint in bytes. A larger network would
	// not fit into memory, which holds it several times.
	maxCheckpoint = 4 << 30
)

func writeCheckpoint(path string, c *checkpoint) error {
	var b bytes.Buffer
	b.WriteString(checkpointMagic)
	b.Write(make([]byte, sha256.Size))
	if err := gob.NewEncoder(&b).Encode(c); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	data := b.Bytes()
	sum := sha256.Sum256(data[len(checkpointMagic)+sha256.Size:])
	copy(data[len(checkpointMagic):], sum[:])
	if err := atomicfile.Write(path, data); err != nil {
		return fmt.Errorf("cannot write the checkpoint: %w", err)
	}
	return nil
}

func errDamaged(path string) error {
	return fmt.Errorf("%s is damaged: start again with --force", path)
}

func readCheckpoint(path string) (*checkpoint, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist, so there is no training to resume: give the --output of the training, or start one without --resume "+
			"(with --force if a training ended before its first checkpoint)", path)
	}
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
	if !ok || len(body) < sha256.Size {
		return nil, fmt.Errorf("%s is not a checkpoint of this version of sbs-train: start again with --force", path)
	}
	sum, body := body[:sha256.Size], body[sha256.Size:]
	if now := sha256.Sum256(body); !bytes.Equal(now[:], sum) {
		return nil, errDamaged(path)
	}
	var c checkpoint
	if err := gob.NewDecoder(bytes.NewReader(body)).Decode(&c); err != nil {
		return nil, errDamaged(path)
	}
	return &c, nil
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
	return fmt.Errorf("%s is from a training with other settings; changed: %s. Use the same settings, or start again with --force",
		path, strings.Join(changed, "; "))
}
