package pytorch

import (
	"bytes"
	"cmp"
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

// SaveOptions controls Save and CheckSave. The zero value writes everything and
// replaces nothing.
type SaveOptions struct {
	// Force replaces files that exist with different content.
	Force bool

	// ArraysOnly writes the arrays and leaves the configuration files alone.
	ArraysOnly bool

	// Order is the order in the names of the arrays, a number such as "0.5" (see
	// Options.Order). If it is empty, the arrays have the order of the files that the
	// network was read from, unless the number of spikes of layer 0 has changed.
	Order string

	// EpsilonXYFolder is the folder for the EpsXY files. If it is empty, they are
	// written to the folder EpsXY next to the weights folder, or to a folder named like
	// the one that they were read from.
	EpsilonXYFolder string
}

// SaveReport describes what Save wrote.
type SaveReport struct {
	Step     int         // the step in the names of the arrays
	Files    []SavedFile // the arrays, layer by layer, then the configuration files
	Warnings []string    // one sentence about each difference in PyTorch-SbS, and about lost information
}

// SavedFile is one file of a saved network.
type SavedFile struct {
	Path     string
	Kept     bool // the file existed with the same bytes and was not written
	AsSource bool // the bytes equal the bytes of the file that the network was read from
}

// Save writes a network as a folder that PyTorch-SbS and Load read. It makes the
// folders that it needs.
//
// The arrays Weight_L{layer}_S{step}.npy, Bias_L... and Mean_L..., with the order of the files
// that they were read from, go to the folder
// weights, the arrays EpsXY_L... to the folder EpsXY next to it, and the configuration
// to its parent folder: network.json, dataset.json and def.json for dialect 2, one
// file for dialect 1. If the configuration that the network was read from was in its
// weights folder, Save writes it there too. The step is Network.Step, or 0 if that is
// negative.
//
// An array has the element type, float32 or float64, and the shape of the file that
// it was read from; an array without such a file is float32. The file of an array that
// has not changed is identical, byte for byte, to the original, with three exceptions:
// values of a float64 file that are not float32 numbers are rounded, with a warning;
// columns that Load normalized stay normalized; and a compressed file is replaced by
// an uncompressed .npy file, because PyTorch-SbS reads only those. Pooling weights are
// written only if they were read from a file.
//
// Save checks everything before it writes the first file. It refuses networks for which
// convert.Network.Check returns an error, values that are not finite, and networks that
// a configuration of PyTorch-SbS cannot describe (these errors wrap ErrUnsupported).
// Unless Force is set, it refuses to replace a file that exists with different content.
// It always refuses a folder with files that would make Load read something other than
// this network: a compressed array of the same name, an array that does not belong to
// the network, or another configuration. Each file is written atomically, the arrays
// first.
func Save(weights string, n *convert.Network, opt SaveOptions) (*SaveReport, error) {
	s, err := newSaver(weights, n, opt, nil)
	if err == nil {
		err = s.write()
	}
	if err != nil {
		return nil, fmt.Errorf("pytorch: %w", err)
	}
	return &SaveReport{Step: s.step, Files: s.done, Warnings: s.warnings}, nil
}

// CheckSave returns the error that Save would return, but writes nothing. A program
// that will save the network again at later training steps can check these steps too:
// later reports whether a step is one of them. CheckSave then also returns an error
// about a file of such a step that Save would have to replace (unless Force is set), or
// that Load would read as part of the network. later may be nil.
func CheckSave(weights string, n *convert.Network, opt SaveOptions, later func(step int) bool) error {
	if _, err := newSaver(weights, n, opt, later); err != nil {
		return fmt.Errorf("pytorch: %w", err)
	}
	return nil
}

// saver holds a network in the form of files. A saver that newSaver returned has
// passed all checks.
type saver struct {
	weights  string
	options  SaveOptions
	step     int
	order    string              // of the arrays
	later    func(step int) bool // see CheckSave; may be nil
	origin   origin
	files    []outFile
	done     []SavedFile // properties of each file, as far as they are known
	warnings []string
}

// outFile is a file to be written.
type outFile struct {
	path   string
	data   []byte
	source string // SHA-256 of the file it was read from, if known
}

// newSaver prepares all files and checks the folders that they go to.
func newSaver(weights string, n *convert.Network, opt SaveOptions, later func(step int) bool) (*saver, error) {
	if weights == "" {
		return nil, errors.New("no weights folder was given")
	}
	if n != nil && n.Preprocessing.Normalize {
		return nil, fmt.Errorf("%w: the network normalizes its images, which no layer of PyTorch-SbS does: a weights folder would describe another network; keep the model as ONNX", ErrUnsupported)
	}
	order, err := opt.order(n)
	if err != nil {
		return nil, err
	}
	e, err := newExporter(n, order)
	if err != nil {
		return nil, err
	}
	s := &saver{
		weights: weights, options: opt, step: max(n.Step, 0), order: order, later: later,
		origin: originOf(n.Sources), warnings: e.warnings,
	}
	if s.order == "" && s.origin.order != "" {
		s.warnings = append(s.warnings, fmt.Sprintf("the names of the arrays lose the order %s, because it contradicts the number of spikes of layer 0", s.origin.order))
	}
	if s.step > maxStep {
		return nil, fmt.Errorf("step %d is more than %d", s.step, maxStep)
	}
	to := s.targets(n.Name)
	if err := s.arrays(e, to); err != nil {
		return nil, err
	}
	if !opt.ArraysOnly {
		if err := s.configuration(e, to); err != nil {
			return nil, err
		}
	}
	if err := s.checkArrays(weights, e, weightFile, biasFile, meanFile, epsilonFile); err != nil {
		return nil, err
	}
	if err := s.checkArrays(to.epsilonXY, e, epsilonFile); err != nil {
		return nil, err
	}
	return s, s.compare()
}

// configuration adds the configuration files.
func (s *saver) configuration(e *exporter, to targets) error {
	weights, err := relativeFolder(to.config, s.weights)
	if err != nil {
		return err
	}
	epsilonXY, err := relativeFolder(to.config, to.epsilonXY)
	if err != nil {
		return err
	}
	e.paths(s.step, weights, epsilonXY)
	documents, err := e.documents(to.configName)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		s.files = append(s.files, outFile{path: filepath.Join(to.config, name), data: documents[name]})
	}
	return s.checkConfiguration(to.config, documents)
}

// relativeFolder returns the path of a folder relative to another, in the form that
// PyTorch-SbS's configurations use.
func relativeFolder(from, target string) (string, error) {
	from, err := filepath.Abs(from)
	if err != nil {
		return "", err
	}
	target, err = filepath.Abs(target)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(from, target)
	if err != nil {
		return "", err
	}
	if rel == "." {
		return "./", nil
	}
	return "./" + filepath.ToSlash(rel) + "/", nil
}

// origin holds the properties of the files that a network was read from, according to
// Network.Sources.
type origin struct {
	arrays     map[fileID]convert.Source // with step 0 and no order
	order      string                    // of the arrays
	folders    map[string]string         // quantity -> folder of its first file; "" is the configuration
	configName string                    // name of the first configuration file, "" if it is not a plain name
}

var (
	plainName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	nonLetters = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
)

func originOf(sources []convert.Source) origin {
	o := origin{arrays: map[fileID]convert.Source{}, folders: map[string]string{}}
	for _, f := range sources {
		folder, base := path.Split(f.Path)
		id, isArray := parseName(base)
		switch {
		case isArray:
			o.order = cmp.Or(o.order, id.order)
			id.step, id.order = 0, ""
			o.arrays[id] = f
		case !strings.HasSuffix(base, ".json"):
			continue
		}
		if _, ok := o.folders[id.quantity]; ok {
			continue
		}
		o.folders[id.quantity] = folder
		if !isArray && plainName.MatchString(base) && !slices.Contains(threeFiles, base) {
			o.configName = base
		}
	}
	return o
}

// targets are the places that files are written to, besides the weights folder.
type targets struct {
	epsilonXY  string // folder
	config     string // folder
	configName string // name of the configuration file of dialect 1
}

// targets chooses folders with the names of the folders that the network was read from.
// A model file may come from anywhere, so only plain names are taken from its paths,
// never a path.
func (s *saver) targets(networkName string) targets {
	above := filepath.Join(s.weights, "..")
	t := targets{epsilonXY: filepath.Join(above, "EpsXY"), config: above, configName: s.origin.configName}
	if t.configName == "" {
		t.configName = "config.json"
		name := strings.Trim(nonLetters.ReplaceAllString(networkName, "_"), "_-")
		if name != "" && !slices.Contains(threeFiles, name+".json") {
			t.configName = name + ".json"
		}
	}
	if weights, ok := s.origin.folders[weightFile]; ok {
		if config, ok := s.origin.folders[""]; ok && config == weights {
			t.config = s.weights
		}
		if epsilonXY, ok := s.origin.folders[epsilonFile]; ok && epsilonXY == weights {
			t.epsilonXY = s.weights
		} else if name := path.Base(epsilonXY); ok && plainName.MatchString(name) {
			t.epsilonXY = filepath.Join(above, name)
		}
	}
	t.epsilonXY = cmp.Or(s.options.EpsilonXYFolder, t.epsilonXY)
	return t
}

// arrays adds the arrays of all layers.
func (s *saver) arrays(e *exporter, to targets) error {
	for i, l := range e.network.Layers {
		var err error
		add := func(quantity string, t *ops.Tensor, folder string) {
			if err == nil {
				err = s.array(fileID{quantity: quantity, layer: i}, t, folder)
			}
		}
		switch l := l.(type) {
		case *convert.SbS:
			if _, had := s.origin.arrays[fileID{quantity: weightFile, layer: i}]; had || !l.Pooling {
				add(weightFile, l.Weights, s.weights)
			}
			epsilon := l.EpsilonXY
			if epsilon == nil && e.needsEpsilonXY(i) {
				if epsilon, err = e.constantEpsilonXY(i, l); err != nil {
					return err
				}
			}
			if epsilon != nil {
				add(epsilonFile, epsilon, to.epsilonXY)
			}
		case *convert.Conv:
			add(weightFile, l.Weights, s.weights)
			bias := l.Bias
			if bias == nil { // convolutions of PyTorch-SbS always have one
				if bias, err = ops.Zeros(ops.Float32, l.Weights.Shape()[:1]); err != nil {
					return err
				}
			}
			add(biasFile, bias, s.weights)
		case *convert.ApproxConv:
			add(weightFile, l.Weights, s.weights)
			add(biasFile, l.Bias, s.weights)
		case *convert.NNMF:
			add(weightFile, l.Weights, s.weights)
		case *convert.OnOff:
			if l.Mean != nil {
				add(meanFile, l.Mean, s.weights)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// constantEpsilonXY returns the epsilon_xy of a layer that has none of its own: a
// constant, which its Epsilon0 includes.
func (e *exporter) constantEpsilonXY(i int, l *convert.SbS) (*ops.Tensor, error) {
	out := e.sizes[i+1]
	shape := []int{out.Height, out.Width, l.Kernel[0], l.Kernel[1]}
	n, err := ops.Len(shape)
	if err != nil || n > maxGenerated-e.generated {
		return nil, fmt.Errorf("layer %d (%s): PyTorch-SbS needs an EpsXY file of shape %v; together with those of other layers (%d elements) it exceeds %d elements",
			i, l.Kind(), shape, e.generated, maxGenerated)
	}
	e.generated += n
	t, err := ops.Zeros(ops.Float32, shape)
	if err != nil {
		return nil, err
	}
	for k := range t.Float32s() {
		t.Float32s()[k] = float32(float64(l.Epsilon0) / e.config.epsilon0)
	}
	return t, nil
}

// array adds one array, with the element type and shape of its source file.
func (s *saver) array(id fileID, t *ops.Tensor, folder string) error {
	source, had := s.origin.arrays[id]
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
	id.step, id.order = s.step, s.order
	if source.Rounded > 0 {
		s.warnings = append(s.warnings, fmt.Sprintf("%v: %d of the %d float64 values of %s were rounded to float32, the precision in which the network computes",
			id, source.Rounded, t.Len(), source.Path))
	}
	var b bytes.Buffer
	if err := npy.Write(&b, a); err != nil {
		return err
	}
	s.files = append(s.files, outFile{filepath.Join(folder, id.String()), b.Bytes(), source.SHA256})
	return nil
}

// write writes the files that do not exist with the same content.
func (s *saver) write() error {
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
