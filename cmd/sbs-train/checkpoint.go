package main

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

// checkpoint is all that a training needs to go on as if it had not been
// interrupted, in one file.
type checkpoint struct {
	Settings map[string]string
	Position position
	Tuner    []byte // its State
}

// position is how far a training has come.
type position struct {
	SubBatches int     // of the whole training, learnt from
	Seconds    float64 // that took

	Update, Epoch tally // under way

	// What is still to be recorded, since the interruption came first.
	Record    *trainlog.Record // of an update that is made
	EpochDone bool
	Untold    bool // LastTest is not in a record yet

	LastTest *testResult
	Saved    int // sub-batches that the model behind the last save had learnt from
}

// testResult is what a test showed.
type testResult struct {
	Error      float64 // in percent
	SubBatches int     // that the model had learnt from
	Set        string  // of images, and the spikes
}

// tally counts over images.
type tally struct {
	Loss            float64 // sum
	Images, Correct int
}

func (t tally) loss() float64  { return t.Loss / float64(t.Images) }
func (t tally) error() float64 { return 100 - 100*float64(t.Correct)/float64(t.Images) }

const (
	checkpointMagic = "sbs-train checkpoint 2\n"

	// maxCheckpoint bounds the bytes of a checkpoint: networks have to be in memory
	// several times anyway.
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
		return fmt.Errorf("the checkpoint could not be written: %w", err)
	}
	return nil
}

func readCheckpoint(path string) (*checkpoint, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no training to go on with: leave out --resume to begin one "+
			"(with --force after one that ended before its first checkpoint), or name its --output", path)
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxCheckpoint {
		return nil, fmt.Errorf("%s is no checkpoint", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	body, ok := bytes.CutPrefix(data, []byte(checkpointMagic))
	if !ok || len(body) < sha256.Size {
		return nil, fmt.Errorf("%s is no checkpoint of this version of sbs-train: start anew with --force", path)
	}
	sum, body := body[:sha256.Size], body[sha256.Size:]
	if now := sha256.Sum256(body); !bytes.Equal(now[:], sum) {
		return nil, fmt.Errorf("%s is damaged: start anew with --force", path)
	}
	var c checkpoint
	if err := gob.NewDecoder(bytes.NewReader(body)).Decode(&c); err != nil {
		return nil, fmt.Errorf("%s: %w: start anew with --force", path, err)
	}
	return &c, nil
}

// fits reports whether a training with these settings can go on from the
// checkpoint.
func (c *checkpoint) fits(path string, settings map[string]string) error {
	var differ []string
	for name, now := range settings {
		then := c.Settings[name]
		switch {
		case then == now || name == settingRest:
		case strings.HasPrefix(name, "--") && len(then)+len(now) < 40:
			differ = append(differ, fmt.Sprintf("%s was %q and is %q", name, then, now))
		default:
			differ = append(differ, name)
		}
	}
	if len(differ) == 0 && c.Settings[settingRest] != settings[settingRest] {
		differ = append(differ, settingRest)
	}
	if len(differ) == 0 {
		return nil
	}
	slices.Sort(differ)
	return fmt.Errorf("%s is of a training that began otherwise; what changed: %s. Give the same again, or start anew with --force",
		path, strings.Join(differ, "; "))
}
