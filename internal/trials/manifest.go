package trials

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/training"
)

// manifest describes trials: everything that their results depend on. It has no paths of images.
type manifest struct {
	Format  int             `json:"format"`
	Version string          `json:"version"` // of the program
	Axes    []axis          `json:"axes"`    // the network first, and the seed last
	Trials  []manifestTrial `json:"trials"`
}

// manifestTrial describes a trial.
type manifestTrial struct {
	Values      []string          `json:"values"` // of the axes
	Model       bool              `json:"fine_tuning,omitempty"`
	Reconstruct bool              `json:"without_classes,omitempty"`
	Images      int               `json:"images"`              // number of training images
	HeldBack    int               `json:"held_back,omitempty"` // number of images
	TestImages  int               `json:"test_images,omitempty"`
	Training    map[string]string `json:"training"` // what determines the results
}

// format is the version of the format of a manifest.
const format = 1

// manifestFile is the name of the file of a manifest.
const manifestFile = "trials.json"

// maxManifest and maxResults bound the sizes of files that are read, in bytes.
const (
	maxManifest = 256 << 20
	maxResults  = 256 << 20
)

// values returns the values of the axes by their names.
func (t *manifestTrial) values(axes []axis) map[string]string {
	all := map[string]string{}
	for i, a := range axes {
		all[a.Name] = t.Values[i]
	}
	return all
}

// reconstructs reports whether the network of a trial, whose number counts from 1, has no classes.
func (m *manifest) reconstructs(number int) bool { return m.Trials[number-1].Reconstruct }

// describe returns the manifest of a plan.
func (f *Flags) describe(p *Plan) *manifest {
	m := &manifest{Format: format, Version: cli.Release()}
	add := func(s setting) {
		i := slices.IndexFunc(m.Axes, func(a axis) bool { return a.Name == s.name })
		if i < 0 {
			i, m.Axes = len(m.Axes), append(m.Axes, axis{Name: s.name})
		}
		if !slices.Contains(m.Axes[i].Values, s.value) {
			m.Axes[i].Values = append(m.Axes[i].Values, s.value)
		}
	}
	for _, t := range p.Trials {
		for _, s := range t.values {
			if s.name != axisSeed {
				add(s)
			}
		}
	}
	for _, t := range p.Trials {
		add(t.values[slices.IndexFunc(t.values, func(s setting) bool { return s.name == axisSeed })])
	}
	for _, t := range p.Trials {
		one := manifestTrial{
			Model: t.Prepared.Model, Reconstruct: t.Prepared.Reconstruct, Images: t.Prepared.Images, HeldBack: t.Prepared.HeldBack, TestImages: t.Prepared.TestImages,
			Training: t.Prepared.Settings,
		}
		for i, a := range m.Axes {
			value := unset
			for _, s := range t.values {
				if s.name == a.Name {
					value = s.value
				}
			}
			if one.Values = append(one.Values, value); !slices.Contains(a.Values, value) {
				m.Axes[i].Values = append(m.Axes[i].Values, value)
			}
		}
		m.Trials = append(m.Trials, one)
	}
	return m
}

// errNoTrials is wrapped by the error about a folder without a manifest.
var errNoTrials = errors.New("not the folder of trials")

// readManifest reads the manifest of a folder.
func readManifest(folder string) (*manifest, error) {
	path := filepath.Join(folder, manifestFile)
	m := &manifest{}
	err := cli.ReadManifest(path, "folder of trials", maxManifest, m, &m.Format, format)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is %w: %s does not exist", folder, errNoTrials, path)
	}
	if err != nil {
		return nil, err
	}
	if len(m.Trials) == 0 || len(m.Trials) > maxTrials || len(m.Axes) < 2 || m.Axes[0].Name != axisNetwork || m.Axes[len(m.Axes)-1].Name != axisSeed {
		return nil, fmt.Errorf("%s does not describe a folder of trials", path)
	}
	for i, t := range m.Trials {
		if t.Images < 1 {
			return nil, fmt.Errorf("%s does not describe a folder of trials: trial %d has no training images", path, i+1)
		}
		for k, a := range m.Axes {
			if len(t.Values) != len(m.Axes) || !slices.Contains(a.Values, t.Values[k]) {
				return nil, fmt.Errorf("%s does not describe a folder of trials: trial %d has not the values of the axes", path, i+1)
			}
		}
	}
	return m, nil
}

func (m *manifest) write(folder string) error {
	data, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(folder, manifestFile), append(data, '\n'))
}

// difference says how the trials in a folder differ from m, or returns "".
func (m *manifest) difference(in *manifest) string {
	if in.Version != m.Version {
		return fmt.Sprintf("they are of version %s of the program, and this is %s", in.Version, m.Version)
	}
	if have, want := axesText(in.Axes), axesText(m.Axes); have != want {
		return fmt.Sprintf("they have %s instead of %s", have, want)
	}
	if len(in.Trials) != len(m.Trials) {
		return fmt.Sprintf("there are %d trials instead of %d", len(in.Trials), len(m.Trials))
	}
	for i, want := range m.Trials {
		have := in.Trials[i]
		if !slices.Equal(have.Values, want.Values) {
			return fmt.Sprintf("trial %d has the values %v instead of %v", i+1, have.Values, want.Values)
		}
		if name := training.Differs(have.Training, want.Training); name != "" {
			return fmt.Sprintf("trial %d has another value of: %s", i+1, name)
		}
	}
	return ""
}

// axesText returns axes in words.
func axesText(axes []axis) string {
	var words []string
	for _, a := range axes {
		words = append(words, a.Name+"="+strings.Join(a.Values, ","))
	}
	return strings.Join(words, " ")
}
