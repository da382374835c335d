package tensors

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// source is where the value of an input of the model comes from.
type source struct {
	file   string // as the user wrote it
	array  string // the name of an array of an .npz file
	random bool   // random numbers instead of a file
	value  *runtime.Tensor

	// parts has the tensors of a sequence, an optional value or a map by the names of the parts, empty
	// for an empty sequence and an absent value. It is nil for a tensor.
	parts map[string]source
}

// text names the source in messages.
func (s source) text() string {
	switch {
	case s.random:
		return "random"
	case s.parts != nil:
		var list []string
		for _, name := range slices.Sorted(maps.Keys(s.parts)) {
			list = append(list, s.parts[name].text())
		}
		return strings.Join(list, ", ")
	case s.array != "":
		return s.file + ":" + s.array
	}
	return s.file
}

// inputs are the values of the inputs of a model, by name.
type inputs map[string]source

// tensors returns the values alone.
func (in inputs) tensors() map[string]*runtime.Tensor {
	m := map[string]*runtime.Tensor{}
	for name, s := range in {
		m[name] = s.value
	}
	return m
}

// files returns the paths of all files.
func (in inputs) files() []string {
	var list []string
	for _, s := range in {
		if s.file != "" {
			list = append(list, s.file)
		}
		for _, p := range s.parts {
			list = append(list, p.file)
		}
	}
	return list
}

// readInputs reads the files of the flags --input, of which each is NAME=FILE or FILE.
func readInputs(m *runtime.Model, args []string) (inputs, error) {
	in := inputs{}
	for _, arg := range args {
		name, path, err := splitInput(m, arg)
		if err == nil {
			err = in.read(m, name, path)
		}
		if err != nil {
			return nil, err
		}
	}
	return in, in.assemble(m)
}

// splitInput splits the value of --input. name is empty for a file without a name. The names
// of inputs may contain "=", and so may paths.
func splitInput(m *runtime.Model, arg string) (name, path string, err error) {
	for _, v := range allInputs(m) {
		if path, ok := strings.CutPrefix(arg, v.Name+"="); ok && len(v.Name) >= len(name) {
			return v.Name, path, nil
		}
	}
	name, path, named := strings.Cut(arg, "=")
	if !named {
		return "", arg, nil
	}
	if _, _, ok := inputOf(m, name); ok {
		return name, path, nil
	}
	if _, err := os.Stat(arg); err == nil {
		return "", arg, nil
	}
	return "", path, cli.Usage(fmt.Errorf("--input %s: the model has no input %q; %s", arg, name, listInputs(m)))
}

// allInputs returns the inputs of a model, with those that have default values at the end.
func allInputs(m *runtime.Model) []runtime.ValueInfo {
	return slices.Concat(m.Inputs(), m.OptionalInputs())
}

// listInputs lists the inputs of a model for a message.
func listInputs(m *runtime.Model) string {
	var list []string
	for _, v := range m.Inputs() {
		list = append(list, v.Name+" "+v.Type.String())
	}
	for _, v := range m.OptionalInputs() {
		list = append(list, v.Name+" "+v.Type.String()+" (optional)")
	}
	if len(list) == 0 {
		return "it has no inputs"
	}
	return "its inputs are " + strings.Join(list, ", ")
}

// read reads one file. Without a name, an .npz file has all inputs by name, and another file
// is the only input of the model.
func (in inputs) read(m *runtime.Model, name, path string) (err error) {
	v, part, ok := inputOf(m, name)
	container := ok && v.DType.IsContainer()
	if container && part == "" && path == "" {
		return in.addEmpty(v)
	}
	if path == "" {
		return cli.Usage(fmt.Errorf("--input %s=: the file is missing", name))
	}
	path, array := splitArchive(path)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	archive, err := openArchive(f)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if archive == nil {
		if array != "" {
			return fmt.Errorf("%s is not an .npz file, which could have an array %s", path, array)
		}
		if name == "" {
			if len(m.Inputs()) != 1 {
				return cli.Usage(fmt.Errorf("--input %s: name the input, as in --input NAME=%s; %s", path, path, listInputs(m)))
			}
			name = m.Inputs()[0].Name
		}
		return in.add(m, name, source{file: path}, func(accept func(npy.Header) error) (*npy.Array, error) { return npy.ReadOpen(f, accept) })
	}
	if container && part == "" && array == "" {
		names, err := itemsOf(archive.Names(), name)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, array := range names {
			whole := name
			if strings.HasPrefix(array, name+".") {
				whole = array
			}
			if err := in.add(m, whole, source{file: path, array: array}, archive.Reader(array)); err != nil {
				return err
			}
		}
		return nil
	}
	if name != "" {
		if array, err = chooseArray(archive.Names(), array, name); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return in.add(m, name, source{file: path, array: array}, archive.Reader(array))
	}
	names := archive.Names()
	if array != "" {
		names = []string{array}
	}
	for _, name := range names {
		if err := in.add(m, name, source{file: path, array: name}, archive.Reader(name)); err != nil {
			return err
		}
	}
	return nil
}

// splitArchive splits a path such as arrays.npz:x, of an array in an archive.
func splitArchive(path string) (file, array string) {
	if _, err := os.Stat(path); err == nil {
		return path, ""
	}
	const extension = ".npz:"
	if i := strings.LastIndex(path, extension); i >= 0 {
		return path[:i+len(extension)-1], path[i+len(extension):]
	}
	return path, ""
}

// openArchive returns the archive in a file, or nil if it is none.
func openArchive(f *os.File) (*npy.Archive, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(f, head); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		return nil, err
	}
	if !bytes.Equal(head, []byte("PK\x03\x04")) {
		_, err := f.Seek(0, io.SeekStart)
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return npy.OpenArchive(f, info.Size())
}

// chooseArray returns the name of the array in an archive for an input: the one that the user
// named, or the one with the name of the input, or the only one.
func chooseArray(names []string, array, input string) (string, error) {
	switch {
	case array != "":
		return array, nil
	case slices.Contains(names, input):
		return input, nil
	case len(names) == 1:
		return names[0], nil
	}
	return "", fmt.Errorf("none of the arrays (%s) is named %s: choose one, as in --input %s=FILE.npz:%s", strings.Join(names, ", "), input, input, names[0])
}

// add reads the value of an input.
func (in inputs) add(m *runtime.Model, name string, s source, read npy.Reader) error {
	v, part, ok := inputOf(m, name)
	if !ok {
		return cli.Usage(fmt.Errorf("--input %s: the model has no input %q; %s", s.text(), name, listInputs(m)))
	}
	t, values := v.Type, in
	if v.DType.IsContainer() {
		whole, ok := in[v.Name]
		if ok && len(whole.parts) == 0 {
			return cli.Usage(fmt.Errorf("input %q is given twice: as empty and as %s", v.Name, s.text()))
		}
		if !ok {
			whole.parts = map[string]source{}
		}
		var err error
		if t, part, err = partType(v.Name, t, part, whole.parts); err != nil {
			return cli.Usage(fmt.Errorf("--input %s: %w", s.text(), err))
		}
		in[v.Name], values, name = whole, whole.parts, part
	}
	if other, ok := values[name]; ok {
		return cli.Usage(fmt.Errorf("input %q is given twice: %s and %s", joinedPart(v, part), other.text(), s.text()))
	}
	dtype := t.DType
	a, err := read(func(h npy.Header) error {
		if dtype == 0 { // the model does not declare it
			dtype = typeOfCode(h.Type)
		}
		if err := checkHeader(joinedPart(v, part), t, dtype, h); err != nil {
			return err
		}
		return npy.AtMost(ops.MaxElements)(h)
	})
	if err == nil {
		s.value, err = fromArray(a, dtype)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.text(), err)
	}
	values[name] = s
	return nil
}

// joinedPart returns the name of a part of an input, or of the whole input.
func joinedPart(v runtime.ValueInfo, part string) string {
	if part == "" {
		return v.Name
	}
	return joined(v.Name, part)
}

// addEmpty adds an empty sequence or an absent value.
func (in inputs) addEmpty(v runtime.ValueInfo) error {
	if other, ok := in[v.Name]; ok {
		return cli.Usage(fmt.Errorf("input %q is given twice: as empty and as %s", v.Name, other.text()))
	}
	if v.DType == ops.Map {
		return cli.Usage(fmt.Errorf("--input %s=: a map cannot be empty in this way: give %s.%s and %s.%s without elements", v.Name, v.Name, keysPart, v.Name, valuesPart))
	}
	in[v.Name] = source{parts: map[string]source{}}
	return nil
}

// checkHeader returns an error unless an array can be the value of an input of type t, whose
// elements are of type dtype.
func checkHeader(name string, t ops.Type, dtype ops.DType, h npy.Header) error {
	have, want := typeOfCode(h.Type), fileType(dtype)
	got := ops.Type{DType: have, Shape: ops.Dims(h.Shape...)}
	if have != want {
		hint := fmt.Sprintf("a.astype(%q)", want)
		if want == ops.String {
			hint = "a.astype('U')"
		}
		if want != dtype {
			hint += fmt.Sprintf(", which stands for %v, a type that NumPy lacks", dtype)
		}
		return fmt.Errorf("the array is %v, but input %q is %v: save %s", got, name, t, hint)
	}
	if t.DType == 0 {
		return nil
	}
	got.DType = dtype
	if !fits(t, h.Shape) {
		return fmt.Errorf("the array is %v, but input %q is %v: the shapes do not fit", got, name, t)
	}
	return nil
}

// fits reports whether a shape has the dimensions of a type.
func fits(t ops.Type, shape []int) bool {
	if len(t.Shape) != len(shape) {
		return t.Unranked
	}
	for i, d := range t.Shape {
		if d.Known() && d.Size != shape[i] {
			return false
		}
	}
	return true
}

// flagsOf returns the flags --input that give an input.
func flagsOf(v runtime.ValueInfo) string {
	flag := "--input " + v.Name + "="
	switch v.DType {
	case ops.Sequence:
		return flag + "FILE.npy, once per item, or " + flag + " for no items"
	case ops.Optional:
		return flag + "FILE.npy, or " + flag + " for no value"
	case ops.Map:
		return fmt.Sprintf("--input %s.%s=FILE.npy --input %s.%s=FILE.npy", v.Name, keysPart, v.Name, valuesPart)
	}
	return flag + "FILE.npy"
}

// checkComplete returns an error that names all inputs of the model that are missing.
func (in inputs) checkComplete(m *runtime.Model) error {
	var missing []string
	for _, v := range m.Inputs() {
		if _, ok := in[v.Name]; !ok {
			missing = append(missing, fmt.Sprintf("\n  %s  %v", flagsOf(v), v.Type))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	what := "an input"
	if len(missing) > 1 {
		what = fmt.Sprintf("%d inputs", len(missing))
	}
	return cli.Usage(fmt.Errorf("the model needs %s that --input does not give (or --random, for random numbers):%s", what, strings.Join(missing, "")))
}
