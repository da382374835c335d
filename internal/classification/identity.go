package classification

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/onnx"
)

// runIdentity is what the shards of a run have in common: all on which the results depend, and how
// they are printed.
type runIdentity struct {
	Version     string            `json:"version"` // of sbs-run
	Model       jsonText          `json:"model"`   // path
	ModelSHA256 string            `json:"modelSha256"`
	Stages      int               `json:"stages,omitempty"` // of the model
	Paths       []jsonText        `json:"paths"`            // arguments: files and folders of images
	Images      int               `json:"images"`           // of all shards
	Fingerprint string            `json:"fingerprint"`      // of the images of all shards
	Classes     []jsonText        `json:"classes"`
	Top         int               `json:"top"`
	Quiet       bool              `json:"quiet,omitempty"`
	Flags       map[string]string `json:"flags"` // the others that change the output
}

// The names of flags that a runIdentity has.
const (
	flagFormat = "format"
	flagNoise  = "noise"
	flagInvert = "invert"
)

// identityFlags are the flags in runIdentity.Flags.
func identityFlags() []string {
	return append(cli.DynamicsFlagNames(), flagFormat, "limit", "resize", flagInvert, flagNoise, "stage", "seed")
}

// ShardFlags returns the names of the flags on which the parts of a run depend, apart from --labels.
func ShardFlags() []string {
	return append(identityFlags(), "top", "quiet", "ignore-checksum")
}

// identify returns the identity of a run. files are all images.
func (f *Flags) identify(in Inputs, sha256 string, files *classify.Files, classes []string, stages int) *runIdentity {
	r := &runIdentity{
		Version: cli.Release(), Model: in.shown(in.Model), ModelSHA256: sha256, Stages: stages,
		Images: files.Len(), Fingerprint: files.Fingerprint(), Classes: jsonTexts(classes),
		Top: f.top.Or(defaultTop), Quiet: f.quiet, Flags: map[string]string{},
	}
	for _, p := range in.Images {
		r.Paths = append(r.Paths, in.shown(p))
	}
	for _, name := range identityFlags() {
		r.Flags[name] = f.set.Lookup(name).Value.String()
	}
	return r
}

// shown returns the name of a path, as on Linux.
func (in *Inputs) shown(path string) jsonText { return jsonText(filepath.ToSlash(in.Names.Text(path))) }

// difference describes the first difference between two runs, or returns "".
func difference(a, b *runIdentity) string {
	type fact struct{ name, first, second string }
	facts := []fact{
		{"the version of sbs-run", a.Version, b.Version},
		{"the model", string(a.Model), string(b.Model)},
		{"the SHA-256 of the model", a.ModelSHA256, b.ModelSHA256},
		{"the number of stages of the model", strconv.Itoa(a.Stages), strconv.Itoa(b.Stages)},
		{"--top", strconv.Itoa(a.Top), strconv.Itoa(b.Top)},
		{"--quiet", strconv.FormatBool(a.Quiet), strconv.FormatBool(b.Quiet)},
	}
	names := maps.Clone(a.Flags)
	maps.Copy(names, b.Flags)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		facts = append(facts, fact{"--" + name, a.Flags[name], b.Flags[name]})
	}
	facts = append(facts,
		fact{"the list of files and folders", fmt.Sprintf("%q", a.Paths), fmt.Sprintf("%q", b.Paths)},
		fact{"the number of images", strconv.Itoa(a.Images), strconv.Itoa(b.Images)},
		fact{"the list of classes", fmt.Sprintf("%q", a.Classes), fmt.Sprintf("%q", b.Classes)},
		fact{"the fingerprint of the images (their names, labels and pixels)", a.Fingerprint, b.Fingerprint},
	)
	const most = 100 // bytes; longer lists are not shown
	for _, f := range facts {
		switch {
		case f.first == f.second:
		case len(f.first) > most || len(f.second) > most:
			return f.name + " is not the same"
		default:
			return fmt.Sprintf("%s is %s in the first and %s in the second", f.name, shown(f.first), shown(f.second))
		}
	}
	return ""
}

// shown returns a value for an error message.
func shown(value string) string {
	if value == "" {
		return "none"
	}
	return oneLine(value)
}

// modelSHA256 returns the SHA-256 of the model in a file, in hexadecimal. It is that of the file,
// unless the model has external data in other files.
func modelSHA256(ctx context.Context, path string) (string, error) {
	_, data, err := onnx.ReadFile(ctx, path)
	if ctx.Err() != nil {
		return "", cli.ErrInterrupted
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), err
}
