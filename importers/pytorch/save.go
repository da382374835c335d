package pytorch

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/ops"
)

// SaveOptions says how to save. The zero value is the default.
type SaveOptions struct {
	Force      bool // replace files that hold something else
	ArraysOnly bool // leave the configuration alone

	// Check has nothing written: Save finds out whether it could, and whether it could
	// at the later steps for which Check is true.
	Check func(step int) bool

	// EpsilonXYFolder is the folder of the EpsXY files; "" means EpsXY beside the
	// weights, or the folder there that they were read from.
	EpsilonXYFolder string
}

// SaveReport is what Save did.
type SaveReport struct {
	Step     int
	Files    []SavedFile // the arrays, layer by layer, and then the configuration
	Warnings []string    // what PyTorch-SbS will do differently, and what was lost
}

// SavedFile is a file that is there now.
type SavedFile struct {
	Path     string
	Kept     bool // it was there before, byte for byte
	AsSource bool // its bytes are those of the file that the network was read from
}

// Save writes a network as a folder that PyTorch-SbS and Load read: the arrays
// Weight_L{i}_S{step}.npy, Bias_L.. and Mean_L.. into the folder weights, EpsXY_L..
// into the folder EpsXY beside it, or whatever folder they were read from, and the
// configuration into the folder above it: network.json, dataset.json and def.json
// for dialect 2, one file for dialect 1. If the network's own configuration lay
// beside its weights, it is written there. The step is Network.Step, 0 if that is
// negative. Folders are made.
//
// An array has the type, float32 or float64, and the shape of the file that it
// was read from, else float32; one that was not changed gives the same bytes as
// numpy.save. Exceptions: values of a float64 file that float32 cannot hold come
// back rounded, with a warning; columns that Load had to normalise come back
// normalised. A file that was compressed comes back as plain .npy, because the
// original reads no others. Pooling weights are written if there was a file.
//
// Every file is written all or nothing, arrays first. Before that, an error
// names the files that hold something else already, unless Force is set, and any
// that would make the folder ambiguous: a compressed array of the same name, an array
// that the network has not and Load looks for, or another configuration. Errors that
// wrap ErrUnsupported are about networks that PyTorch-SbS cannot describe.
func Save(weights string, n *convert.Network, opt SaveOptions) (*SaveReport, error) {
	s := saver{weights: weights, options: opt, step: max(n.Step, 0)}
	if err := s.save(n); err != nil {
		return nil, fmt.Errorf("pytorch: %w", err)
	}
	return &SaveReport{Step: s.step, Files: s.done, Warnings: s.warnings}, nil
}

type saver struct {
	weights  string
	options  SaveOptions
	step     int
	sources  map[fileID]convert.Source // of the arrays, with step 0
	files    []outFile
	done     []SavedFile
	warnings []string
}

// outFile is a file to be written.
type outFile struct {
	path   string
	data   []byte
	source string // SHA-256 of the file it was read from, if known
}

func (s *saver) save(n *convert.Network) error {
	if s.weights == "" {
		return errors.New("no weights folder was given")
	}
	if s.step > maxStep {
		return fmt.Errorf("step %d is more than %d", s.step, maxStep)
	}
	e, err := newExporter(n)
	if err != nil {
		return err
	}
	s.warnings = e.warnings
	where := s.places(n)
	where.epsilonXY = cmp.Or(s.options.EpsilonXYFolder, where.epsilonXY)
	if err := s.arrays(e, where); err != nil {
		return err
	}
	if !s.options.ArraysOnly {
		base, err := seenFrom(where.config, s.weights)
		if err != nil {
			return err
		}
		epsilonXY, err := seenFrom(where.config, where.epsilonXY)
		if err != nil {
			return err
		}
		e.paths(s.step, base, epsilonXY)
		documents, err := e.documents(where.name)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(documents)) {
			s.files = append(s.files, outFile{path: filepath.Join(where.config, name), data: documents[name]})
		}
		if err := s.unambiguous(where, documents); err != nil {
			return err
		}
	}
	if err := s.alone(s.weights, e, weightFile, biasFile, meanFile, epsilonFile); err != nil {
		return err
	}
	if err := s.alone(where.epsilonXY, e, epsilonFile); err != nil {
		return err
	}
	return s.write()
}

// alone refuses a folder with arrays of the given quantities that would be taken for
// the network's, and are not. Where later steps are to come, what is in their way is
// refused too; write looks at the present one.
func (s *saver) alone(folder string, e *exporter, quantities ...string) error {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		id, ok := parseName(entry.Name())
		now := ok && id.step == s.step
		later := ok && !now && s.options.Check != nil && s.options.Check(id.step)
		if !now && !later || !slices.Contains(quantities, id.quantity) || !e.reads(id) {
			continue
		}
		path := filepath.Join(folder, entry.Name())
		plain := strings.TrimSuffix(path, ".gz")
		spelt := filepath.Base(plain) == id.String() // there may be zeros before its numbers
		id.step = s.step
		ours := filepath.Join(folder, id.String())
		switch {
		case !spelt || !slices.ContainsFunc(s.files, func(f outFile) bool { return f.path == ours }):
			return fmt.Errorf("%s is not of this network and would be taken for it; remove it, or choose another folder or step", path)
		case later && plain != path:
			return compressed(plain)
		case later && !s.options.Force:
			return fmt.Errorf("%s: there already; choose another folder or step, or have it replaced with --force", path)
		}
	}
	return nil
}

// reads reports whether Load looks for such a file.
func (e *exporter) reads(id fileID) bool {
	if id.layer >= len(e.network.Layers) {
		return false
	}
	switch e.network.Layers[id.layer].(type) {
	case *convert.SbS:
		return id.quantity == weightFile || id.quantity == epsilonFile && e.network.Dialect == 1
	case *convert.Conv:
		return id.quantity == weightFile || id.quantity == biasFile
	case *convert.OnOff:
		return id.quantity == meanFile
	}
	return false
}

// compressed is about a compressed file beside the one to be written.
func compressed(path string) error {
	return fmt.Errorf("%s.gz is there already, and both for one layer and step are one too many; remove it, or choose another folder or step", path)
}

// seenFrom returns a folder's path from another folder, as the original's
// configurations have it.
func seenFrom(folder, target string) (string, error) {
	from, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	to, err := filepath.Abs(target)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(from, to)
	if err != nil {
		return "", err
	}
	if rel == "." {
		return "./", nil
	}
	return "./" + filepath.ToSlash(rel) + "/", nil
}

// places is where things go.
type places struct {
	epsilonXY string // folder
	config    string // folder
	name      string // of the configuration file of dialect 1
}

var (
	plainName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	nonLetters = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
)

// places looks at where the network was read from. The paths may come from
// anywhere: only plain names are taken from them.
func (s *saver) places(n *convert.Network) places {
	above := filepath.Join(s.weights, "..")
	p := places{epsilonXY: filepath.Join(above, "EpsXY"), config: above}
	s.sources = map[fileID]convert.Source{}
	folder := map[string]string{} // of the first file of each quantity, "" for the configuration
	for _, f := range n.Sources {
		dir, base := path.Split(f.Path)
		var quantity string
		if id, ok := parseName(base); ok {
			quantity = id.quantity
			id.step = 0
			s.sources[id] = f
		} else if !strings.HasSuffix(base, ".json") {
			continue
		}
		if _, ok := folder[quantity]; !ok {
			folder[quantity] = dir
			if quantity == "" && plainName.MatchString(base) && !slices.Contains(threeFiles, base) {
				p.name = base
			}
		}
	}
	if p.name == "" {
		p.name = "config.json"
		if name := strings.Trim(nonLetters.ReplaceAllString(n.Name, "_"), "_-"); name != "" && !slices.Contains(threeFiles, name+".json") {
			p.name = name + ".json"
		}
	}
	weights, ok := folder[weightFile]
	if !ok {
		return p
	}
	if dir, ok := folder[""]; ok && dir == weights {
		p.config = s.weights
	}
	if dir, ok := folder[epsilonFile]; ok && dir == weights {
		p.epsilonXY = s.weights
	} else if name := path.Base(dir); ok && plainName.MatchString(name) {
		p.epsilonXY = filepath.Join(above, name)
	}
	return p
}

// arrays lists the arrays of every layer.
func (s *saver) arrays(e *exporter, where places) error {
	for i, l := range e.network.Layers {
		var err error
		add := func(quantity string, t *ops.Tensor, folder string) {
			if err == nil {
				err = s.array(fileID{quantity, i, 0}, t, folder)
			}
		}
		switch l := l.(type) {
		case *convert.SbS:
			if _, had := s.sources[fileID{weightFile, i, 0}]; had || !l.Pooling {
				add(weightFile, l.Weights, s.weights)
			}
			epsilon := l.EpsilonXY
			if epsilon == nil && e.fills(i) {
				if epsilon, err = e.filled(i, l); err != nil {
					return err
				}
			}
			if epsilon != nil {
				add(epsilonFile, epsilon, where.epsilonXY)
			}
		case *convert.Conv:
			add(weightFile, l.Weights, s.weights)
			bias := l.Bias
			if bias == nil { // the original's convolutions have one
				if bias, err = ops.Zeros(ops.Float32, l.Weights.Shape()[:1]); err != nil {
					return err
				}
			}
			add(biasFile, bias, s.weights)
		case *convert.OnOff:
			add(meanFile, l.Mean, s.weights)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// filled returns the epsilon_xy that a layer's epsilon_0 holds.
func (e *exporter) filled(i int, l *convert.SbS) (*ops.Tensor, error) {
	out := e.sizes[i+1]
	shape := []int{out.Height, out.Width, l.Kernel[0], l.Kernel[1]}
	n, err := ops.Len(shape)
	if err != nil || n > maxGenerated-e.made {
		return nil, fmt.Errorf("layer %d (%s): an epsilon_xy of %v would have to be made up, and %d elements before, at most %d in all",
			i, l.Kind(), shape, e.made, maxGenerated)
	}
	e.made += n
	t, err := ops.Zeros(ops.Float32, shape)
	if err != nil {
		return nil, err
	}
	for k := range t.Float32s() {
		t.Float32s()[k] = float32(float64(l.Epsilon0) / e.config.epsilon0)
	}
	return t, nil
}

// array adds one array, as the file it was read from had it.
func (s *saver) array(id fileID, t *ops.Tensor, folder string) error {
	source, had := s.sources[id]
	a := &npy.Array{Shape: t.Shape(), Data: t.Float32s()}
	if n, err := ops.Len(source.Shape); had && source.Shape != nil && err == nil && n == t.Len() {
		a.Shape = source.Shape
	}
	if source.DType == float64Type {
		wide := make([]float64, t.Len())
		for i, v := range t.Float32s() {
			wide[i] = float64(v)
		}
		a.Data = wide
	}
	id.step = s.step
	if source.Rounded > 0 {
		s.warnings = append(s.warnings, fmt.Sprintf("%v: %d of %d float64 values of %s are rounded to float32, as the network computes with them",
			id, source.Rounded, t.Len(), source.Path))
	}
	var b bytes.Buffer
	if err := npy.Write(&b, a); err != nil {
		return err
	}
	s.files = append(s.files, outFile{filepath.Join(folder, id.String()), b.Bytes(), source.SHA256})
	return nil
}

// unambiguous refuses a folder in which Load would not find just the
// configuration that is to be written.
func (s *saver) unambiguous(where places, documents map[string][]byte) error {
	folders := []string{where.config}
	if where.config != s.weights {
		folders = append(folders, s.weights)
	}
	for _, folder := range folders {
		if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
			continue
		}
		there, _, err := configurationIn(folder)
		if errors.Is(err, ErrNoConfiguration) {
			return fmt.Errorf("%w; choose another folder, or only the arrays", err)
		}
		if err != nil {
			return err
		}
		for _, f := range there {
			if _, ours := documents[filepath.Base(f)]; !ours || folder != where.config {
				return fmt.Errorf("%s is another configuration and would be taken for this network's; choose another folder, or only the arrays", f)
			}
		}
	}
	return nil
}

// write writes what is not there yet, after a look at everything that is.
func (s *saver) write() error {
	var others []string
	for _, f := range s.files {
		done := SavedFile{Path: f.path}
		sum := sha256.Sum256(f.data)
		done.AsSource = f.source == hex.EncodeToString(sum[:])
		if strings.HasSuffix(f.path, ".npy") {
			if _, err := os.Lstat(f.path + ".gz"); err == nil {
				return compressed(f.path)
			}
		}
		switch same, err := holds(f.path, f.data); {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return err
		case same:
			done.Kept = true
		default:
			others = append(others, f.path)
		}
		s.done = append(s.done, done)
	}
	if len(others) > 0 && !s.options.Force {
		n := len(others)
		if n > 10 {
			others = append(others[:10], fmt.Sprintf("and %d more", n-10))
		}
		return fmt.Errorf("%s: there already, and different; nothing was written: choose another folder or step, or have them replaced with --force", strings.Join(others, ", "))
	}
	if s.options.Check != nil {
		return nil
	}
	for i, f := range s.files {
		if s.done[i].Kept {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return err
		}
		if err := atomicfile.Write(f.path, f.data); err != nil {
			return err
		}
	}
	return nil
}

// holds reports whether a file holds just these bytes.
func holds(path string, data []byte) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Size() != int64(len(data)) {
		return false, nil
	}
	there, err := os.ReadFile(path)
	return bytes.Equal(there, data), err
}
