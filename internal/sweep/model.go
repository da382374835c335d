package sweep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/dataset"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// model is a model of the sweep with its images.
type model struct {
	manifestModel
	path     string
	data     []byte             // the model, with its external data
	options  [][]runtime.Option // of each variant
	axis     bool               // its spikes can change
	samples  *dataset.Samples
	warnings []string
}

// open reads the models and checks that all combinations can be computed.
func (f *Flags) open(ctx context.Context, a *axes) ([]*model, error) {
	var models []*model
	shown := make([]string, len(f.Models))
	for i, path := range f.Models {
		shown[i] = f.Names.Text(path)
	}
	names := shortNames(shown)
	variants := 0
	for i, path := range f.Models {
		m := &model{path: path, manifestModel: manifestModel{Name: names[i]}}
		pb, data, err := onnx.ReadFile(ctx, path)
		if err != nil {
			return nil, err
		}
		m.data = data
		if err := m.load(ctx, f, a, pb); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, o := range models {
			if o.SHA256 == m.SHA256 {
				return nil, cli.Usage(fmt.Errorf("%s and %s are the same model: name it once", o.path, path))
			}
		}
		models = append(models, m)
		if m.axis {
			variants += len(a.dynamics)
		} else {
			variants++
		}
	}
	if !slices.ContainsFunc(models, func(m *model) bool { return m.axis }) {
		for _, flag := range []struct{ name, value string }{{flagSpikes, f.spikes}, {flagSampler, f.sampler}, {flagSchedule, f.schedule}} {
			if flag.value != "" {
				return nil, cli.Usage(fmt.Errorf("--%s has no effect, because %s no SbS operators whose spikes can change: leave it out, or name a model with SbS layers and without stages",
					flag.name, subject(names)))
			}
		}
	}
	if err := checkRows(a.noise, f.seeds.Or(defaultSeeds), variants); err != nil {
		return nil, cli.Usage(err)
	}
	for _, m := range models {
		if err := m.vary(ctx, f, a); err != nil {
			return nil, fmt.Errorf("%s: %w", m.path, err)
		}
	}
	return models, nil
}

// subject returns the beginning of a sentence about models.
func subject(names []string) string {
	if len(names) == 1 {
		return names[0] + " has"
	}
	return strings.Join(names, ", ") + " have"
}

// load opens the model as it is, checks that its images can have the noise, and finds out whether
// its spikes can change. If not, it adds the only variant.
func (m *model) load(ctx context.Context, f *Flags, a *axes, pb *onnxpb.ModelProto) error {
	sum := sha256.Sum256(m.data)
	m.SHA256 = hex.EncodeToString(sum[:])
	m.Random = onnx.AnyNode(pb, func(n *onnxpb.NodeProto) bool {
		name := n.GetOpType()
		return strings.HasPrefix(name, "Random") || name == "Bernoulli" || name == "Multinomial" ||
			n.GetDomain() == sbs.Domain && sbs.Random(name)
	})
	own, c, err := m.classifier(ctx, f, f.options())
	if err != nil {
		return err
	}
	defer own.Close()
	m.warnings = c.Warnings()
	for _, k := range a.noise {
		for _, level := range k.Levels {
			fits, err := classify.New(own, classify.Noise(k.text(level)))
			if err != nil {
				return fmt.Errorf("%w: leave out this level of --noise", err)
			}
			fits.Close()
		}
	}
	m.axis = own.Stages() == nil && len(own.SbSLayers()) > 0
	if !m.axis {
		m.addFixed(own, f.options())
	}
	return nil
}

// options returns the options of all models.
func (f *Flags) options() []runtime.Option {
	if f.ignoreChecksum {
		return []runtime.Option{runtime.IgnoreChecksum()}
	}
	return nil
}

// vary opens a model whose spikes can change once for each number of spikes and sampler, and adds
// these variants.
func (m *model) vary(ctx context.Context, f *Flags, a *axes) error {
	if !m.axis {
		return nil
	}
	for _, d := range a.dynamics {
		options := f.options()
		if d != (sbs.Dynamics{}) {
			options = append(options, runtime.AllLayers(d))
		}
		changed, _, err := m.classifier(ctx, f, options)
		if err != nil {
			return err
		}
		if err := m.add(changed, options); err != nil {
			return errors.Join(err, changed.Close())
		}
		m.warn(changed.Warnings(), d)
		if err := changed.Close(); err != nil {
			return err
		}
	}
	return nil
}

// classifier opens the model with options.
func (m *model) classifier(ctx context.Context, f *Flags, options []runtime.Option) (*runtime.Model, *classify.Classifier, error) {
	opened, err := m.run(ctx, f, options)
	if err != nil {
		return nil, nil, err
	}
	c, err := classify.New(opened)
	if err != nil {
		return nil, nil, errors.Join(err, opened.Close())
	}
	return opened, c, c.Close()
}

func (m *model) run(ctx context.Context, f *Flags, options []runtime.Option) (*runtime.Model, error) {
	return runtime.New(m.data, append(options[:len(options):len(options)], runtime.Workers(f.Workers.Value), runtime.LoadContext(ctx))...)
}

// addFixed adds the only variant of a model whose spikes cannot change.
func (m *model) addFixed(own *runtime.Model, options []runtime.Option) {
	v := variant{}
	for i, s := range own.Stages() {
		v.Spikes = stages
		if i == 0 {
			v.Updates = s.Updates
		} else {
			v.Updates += s.Updates / 10 // most images leave earlier
		}
	}
	if v.Spikes == "" && m.Random {
		m.warnings = append(m.warnings, "the model draws random numbers, but has no SbS operators whose spikes can change (a model of sbs-convert --decompose has none): it is measured as it is")
	}
	m.Variants, m.options = []variant{v}, [][]runtime.Option{options}
}

// add adds the variant of an opened model. It returns an error if another one has the same name.
func (m *model) add(opened *runtime.Model, options []runtime.Option) error {
	var numbers, samplers []string
	v := variant{}
	for _, l := range opened.SbSLayers() {
		numbers = append(numbers, fmt.Sprint(l.Spikes))
		samplers = append(samplers, samplerName(l.Sampler))
		v.Updates += int64(l.Updates)
	}
	v.Spikes, v.Sampler = spikes(strings.Join(alike(numbers), ",")), strings.Join(alike(samplers), ",")
	if slices.ContainsFunc(m.Variants, func(o variant) bool { return o.text() == v.text() }) {
		return fmt.Errorf("the model has %s spikes with two of the given values: its spikes cannot change as --%s and --%s ask for", v.text(), flagSpikes, flagSampler)
	}
	m.Variants, m.options = append(m.Variants, v), append(m.options, options)
	return nil
}

// alike returns only one element of a list whose elements are all equal.
func alike(list []string) []string {
	if len(slices.Compact(slices.Clone(list))) == 1 {
		return list[:1]
	}
	return list
}

// samplerName returns the name of a sampler as the flag --sampler takes it.
func samplerName(s sbs.Sampler) string { return strings.ReplaceAll(string(s), "_", "-") }

// warn adds the warnings about a variant that the model itself does not have.
func (m *model) warn(warnings []string, d sbs.Dynamics) {
	for _, w := range warnings {
		if !slices.Contains(m.warnings, w) && !slices.ContainsFunc(m.warnings, func(o string) bool { return strings.HasPrefix(o, fewSpikes) }) {
			m.warnings = append(m.warnings, fmt.Sprintf("%s%d spikes: %s", fewSpikes, d.Spikes, w))
		}
	}
}

// fewSpikes begins the warning about the smallest number of spikes. Those about the other ones
// say the same.
const fewSpikes = "with "

// shortNames returns the names of the files of models, with as many folders as it takes to tell
// them apart. The name model.onnx says nothing, so that it has a folder too. Bytes that are not
// UTF-8, which JSON cannot represent, and characters that a terminal would obey become U+FFFD.
func shortNames(paths []string) []string {
	split := make([][]string, len(paths))
	longest := 0
	for i, p := range paths {
		split[i] = strings.Split(strings.Map(printable, filepath.ToSlash(filepath.Clean(p))), "/")
		longest = max(longest, len(split[i]))
	}
	names := make([]string, len(paths))
	for parts := 1; parts <= longest; parts++ {
		seen := map[string]bool{}
		for i, s := range split {
			own := parts
			if s[len(s)-1] == "model.onnx" {
				own = max(parts, 2)
			}
			names[i] = strings.Join(s[max(len(s)-own, 0):], "/")
			seen[names[i]] = true
		}
		if len(seen) == len(paths) {
			break
		}
	}
	return names
}

// printable returns a character, or U+FFFD if it cannot be printed.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return unicode.ReplacementChar
}

// loadData reads the labeled images for each model. Models that take the same images share them.
func (f *Flags) loadData(ctx context.Context, models []*model, warn func(...string)) error {
	type loaded struct {
		samples *dataset.Samples
		sum     string
	}
	known := map[string]loaded{}
	for _, m := range models {
		opt, err := m.reading(ctx, f)
		if err != nil {
			return fmt.Errorf("%s: %w", m.path, err)
		}
		text, err := json.Marshal([]any{opt.Size, opt.Classes, opt.NumClasses, opt.Borders})
		if err != nil {
			return err
		}
		l, ok := known[string(text)]
		if !ok {
			if l.samples, err = f.read(ctx, opt, warn); err != nil {
				return fmt.Errorf("%s: %w", m.path, err)
			}
			sum := l.samples.Sum()
			l.sum = hex.EncodeToString(sum[:])
			known[string(text)] = l
		}
		m.samples, m.Data, m.Images = l.samples, l.sum, l.samples.Len()
	}
	return nil
}

// reading returns the options for reading the images of the model.
func (m *model) reading(ctx context.Context, f *Flags) (dataset.Options, error) {
	opened, c, err := m.classifier(ctx, f, m.options[0])
	if err != nil {
		return dataset.Options{}, err
	}
	opt := dataset.Options{
		Size: dataset.Size(c.Size()), Resize: f.resize, Invert: dataset.Invert(f.invert), NumClasses: len(c.Classes()), Labels: f.Labels,
	}
	if names, err := metadata.ClassNames(opened.Metadata()); err == nil && len(names) == opt.NumClasses {
		opt.Classes = names
	}
	// The classifier has a warning about borders that are damaged.
	if text := opened.Metadata()[metadata.Border]; text != "" {
		opt.Borders, _ = metadata.ParseBorders(text)
	}
	return opt, opened.Close()
}

// read reads the labeled images.
func (f *Flags) read(ctx context.Context, opt dataset.Options, warn func(...string)) (s *dataset.Samples, err error) {
	source, err := dataset.Open(f.Data, opt)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	warn(source.Warnings()...)
	if f.limit.Set {
		source, _ = dataset.Limit(source, f.limit.Value)
	}
	if source.Len() == 0 {
		return nil, fmt.Errorf("no images in %s", strings.Join(f.Data, ", "))
	}
	if s, err = dataset.Load(ctx, source, opt.NumClasses, f.Workers.Value); err != nil {
		return nil, err
	}
	warn(cli.PictureWarnings(f.invert, s.Inverted(), s.Len(), s.Blank())...)
	return s, nil
}
