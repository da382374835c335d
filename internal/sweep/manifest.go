package sweep

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/chart"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/noise"
)

// manifest describes a sweep: everything that its rows depend on. It has no paths, so that the
// parts of a sweep can be computed on different machines.
type manifest struct {
	Format    int             `json:"format"`
	Version   string          `json:"version"` // of the program
	Models    []manifestModel `json:"models"`
	Noise     []kindLevels    `json:"noise"`
	Schedule  string          `json:"epsilon_schedule,omitempty"`
	FirstSeed uint64          `json:"first_seed"`
	Seeds     int             `json:"seeds"`
	Shard     string          `json:"shard,omitempty"` // the part of the sweep, such as 2/4
}

// manifestModel describes a model of a sweep and the images that it gets.
type manifestModel struct {
	Name     string    `json:"name"`
	SHA256   string    `json:"sha256"` // of the file, or of the whole model if it has external data
	Images   int       `json:"images"`
	Data     string    `json:"data_sha256"`        // of the images and labels
	Random   bool      `json:"random"`             // it draws random numbers
	Variants []variant `json:"spikes_and_sampler"` // the values of the axes
}

// variant is a number of spikes with a sampler.
type variant struct {
	Spikes  spikes `json:"spikes"`
	Sampler string `json:"sampler"`
	Updates int64  `json:"updates"` // per image, estimated for a model with stages
}

// format is the version of the format of a manifest.
const format = 1

// manifestFile is the name of the file of a manifest.
const manifestFile = "sweep.json"

// maxManifest and maxResults bound the sizes of files that are read, in bytes.
const (
	maxManifest = 64 << 20
	maxResults  = 1 << 30
)

// readManifest reads the manifest of a folder.
func readManifest(folder string) (*manifest, error) {
	path := filepath.Join(folder, manifestFile)
	m := &manifest{}
	err := cli.ReadManifest(path, "sweep", maxManifest, m, &m.Format, format)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not the folder of a sweep: %s does not exist", folder, path)
	}
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
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

// difference says how the sweep in a folder differs from m, or returns "". It ignores the part.
func (m *manifest) difference(in *manifest) string {
	if in.Version != m.Version {
		return fmt.Sprintf("it is of version %s of the program, and this is %s", in.Version, m.Version)
	}
	if len(in.Models) != len(m.Models) {
		return fmt.Sprintf("it has %d models instead of %d", len(in.Models), len(m.Models))
	}
	for i, want := range m.Models {
		switch have := in.Models[i]; {
		case have.Name != want.Name:
			return fmt.Sprintf("its model number %d is %s instead of %s", i+1, have.Name, want.Name)
		case have.SHA256 != want.SHA256:
			return fmt.Sprintf("%s was another file (sha256 %.12s instead of %.12s)", want.Name, have.SHA256, want.SHA256)
		case have.Images != want.Images:
			return fmt.Sprintf("%s was measured with %d images instead of %d", want.Name, have.Images, want.Images)
		case have.Data != want.Data:
			return fmt.Sprintf("%s was measured with other images or labels", want.Name)
		case !slices.Equal(have.Variants, want.Variants):
			return fmt.Sprintf("%s has other spikes or samplers (%s instead of %s)", want.Name, texts(have.Variants, variant.text), texts(want.Variants, variant.text))
		}
	}
	if have, want := texts(in.Noise, kindLevels.String), texts(m.Noise, kindLevels.String); have != want {
		return fmt.Sprintf("its noise is %s instead of %s", cmp.Or(have, noNoise), cmp.Or(want, noNoise))
	}
	if in.Schedule != m.Schedule {
		return fmt.Sprintf("its --epsilon-schedule is %s instead of %s", cmp.Or(in.Schedule, "that of the models"), cmp.Or(m.Schedule, "that of the models"))
	}
	if in.Seeds != m.Seeds || in.FirstSeed != m.FirstSeed {
		return fmt.Sprintf("it has %d seeds from %d instead of %d from %d", in.Seeds, in.FirstSeed, m.Seeds, m.FirstSeed)
	}
	return ""
}

// differenceOfParts says how the sweep in a folder, or the part of it, differs from m, or
// returns "".
func (m *manifest) differenceOfParts(in *manifest) string {
	if d := m.difference(in); d != "" {
		return d
	}
	if in.Shard != m.Shard {
		return fmt.Sprintf("it is %s instead of %s", partName(in.Shard), partName(m.Shard))
	}
	return ""
}

func partName(shard string) string {
	if shard == "" {
		return "the whole sweep"
	}
	return "the part " + shard
}

// text returns the variant in words, such as "25 iid".
func (v variant) text() string { return string(v.Spikes) + " " + v.Sampler }

// String returns the noise in words, such as "gaussian=0.1,0.2".
func (k kindLevels) String() string { return k.Kind + "=" + texts(k.Levels, chart.Number) }

// texts returns the texts of a list, separated by commas.
func texts[T any](list []T, text func(T) string) string {
	var b bytes.Buffer
	for i, v := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(text(v))
	}
	return b.String()
}

// check returns an error if no sweep has this manifest.
func (m *manifest) check() error {
	for _, k := range m.Noise { // the names of the charts have the names of the kinds
		for _, l := range k.Levels {
			if _, err := noise.Parse(k.text(l)); err != nil {
				return err
			}
		}
	}
	if err := checkSeeds(m.FirstSeed, m.Seeds); err != nil {
		return err
	}
	variants := 0
	for _, model := range m.Models {
		if len(model.Name) > maxName {
			return fmt.Errorf("%.20s...: the name of the model has %d bytes, more than the limit of %d", model.Name, len(model.Name), maxName)
		}
		if model.Images < 1 || len(model.Variants) == 0 {
			return fmt.Errorf("%s has no images or no numbers of spikes", model.Name)
		}
		variants += len(model.Variants)
	}
	if m.Shard != "" {
		if _, err := cli.ParseShard(m.Shard); err != nil {
			return fmt.Errorf("shard %s: %w", m.Shard, err)
		}
	}
	return checkRows(m.Noise, m.Seeds, variants)
}

// checkSeeds returns an error if a sweep cannot have a number of seeds from the first one.
func checkSeeds(first uint64, seeds int) error {
	switch {
	case seeds < 1 || seeds > maxTasks:
		return fmt.Errorf("there are %d seeds, want 1 to %d", seeds, maxTasks)
	case first > math.MaxUint64-uint64(seeds-1):
		return fmt.Errorf("the %d seeds from %d on are too large: the largest seed is %d", seeds, first, uint64(math.MaxUint64))
	}
	return nil
}

// checkRows returns an error if a sweep has too many rows. variants is the number of variants of
// all models.
func checkRows(kinds []kindLevels, seeds, variants int) error {
	levels := 1
	for _, k := range kinds {
		if len(k.Levels) > maxValues {
			return fmt.Errorf("there are %d levels of %s, more than the limit of %d", len(k.Levels), k.Kind, maxValues)
		}
		levels += len(k.Levels)
	}
	if rows := float64(levels) * float64(variants) * float64(seeds); rows > maxTasks {
		return fmt.Errorf("the sweep has %.0f rows, more than the limit of %d: give fewer levels, numbers of spikes or seeds", rows, maxTasks)
	}
	return nil
}

// task is a row that is to be computed.
type task struct {
	id
	images         int
	model, variant int     // indices in the manifest
	cost           float64 // of the computation, in updates
}

// noise returns the noise in the form that noise.Parse reads, or "" for none.
func (t task) noise() string {
	if t.Noise == noNoise {
		return ""
	}
	return noiseText(t.Noise, t.Level)
}

// overhead is the cost of an image apart from its updates, as a number of updates.
const overhead = 20000

// maxName bounds the name of a model, which is as long as a path on Linux, in bytes. The width of
// the charts depends on it.
const maxName = 4096

// maxTasks bounds the number of rows of a sweep.
const maxTasks = 1 << 20

// plan returns all rows of the sweep, in their order in the results.
func (m *manifest) plan() []task {
	levels := []id{{Noise: noNoise}}
	for _, k := range m.Noise {
		for _, l := range k.Levels {
			levels = append(levels, id{Noise: k.Kind, Level: l})
		}
	}
	var tasks []task
	for i, model := range m.Models {
		for _, level := range levels {
			seeds := m.Seeds
			if level.Noise == noNoise && !model.Random {
				seeds = 1
			}
			for j, v := range model.Variants {
				for s := range seeds {
					tasks = append(tasks, task{
						id: id{
							Model: model.Name, SHA256: model.SHA256, Noise: level.Noise, Level: level.Level,
							Spikes: v.Spikes, Sampler: v.Sampler, Seed: m.FirstSeed + uint64(s),
						},
						images: model.Images, model: i, variant: j, cost: float64(model.Images) * (overhead + float64(v.Updates)),
					})
				}
			}
		}
	}
	return tasks
}

// load is the cost of the rows of a part.
type load struct {
	part int // from 0
	cost float64
}

// loads is a heap with the part with the least cost first: see container/heap.
type loads []load

func (l loads) Len() int      { return len(l) }
func (l loads) Swap(i, k int) { l[i], l[k] = l[k], l[i] }
func (l loads) Less(i, k int) bool {
	return cmp.Or(cmp.Compare(l[i].cost, l[k].cost), l[i].part-l[k].part) < 0
}
func (l *loads) Push(x any) { *l = append(*l, x.(load)) }
func (l *loads) Pop() any {
	last := len(*l) - 1
	x := (*l)[last]
	*l = (*l)[:last]
	return x
}

// assign returns the number of the part of each row, from 0 to count-1. The parts have about the
// same cost: the rows, from the most expensive to the cheapest, go to the part with the least cost
// so far.
func assign(tasks []task, count int) []int {
	order := make([]int, len(tasks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(tasks[b].cost, tasks[a].cost) })
	parts := make(loads, count) // a heap, because all costs are 0
	for i := range parts {
		parts[i].part = i
	}
	owners := make([]int, len(tasks))
	for _, i := range order {
		owners[i] = parts[0].part
		parts[0].cost += tasks[i].cost
		heap.Fix(&parts, 0)
	}
	return owners
}

// owned returns the rows of a part, given the parts of all rows.
func owned(tasks []task, owners []int, part int) []task {
	var list []task
	for i, t := range tasks {
		if owners[i] == part {
			list = append(list, t)
		}
	}
	return list
}

// tasks returns the rows that the folder of the manifest has when it is complete.
func (m *manifest) tasks() []task {
	all := m.plan()
	if m.Shard == "" {
		return all
	}
	s, _ := cli.ParseShard(m.Shard) // check has no error
	return owned(all, assign(all, s.Count), s.Index-1)
}
