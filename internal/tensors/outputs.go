package tensors

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/npy"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// result is one tensor among the outputs of a model.
type result struct {
	name  string
	value *runtime.Tensor // nil for an optional value that is absent
	array *npy.Array
	file  string // the path of the file that it is in, "" if it is not written
}

// resultsOf returns the outputs of a run in the order of the model. The items of a sequence
// NAME are NAME.0, NAME.1 and so on, and a map is NAME.keys and NAME.values.
func resultsOf(m *runtime.Model, out map[string]*runtime.Tensor) ([]result, error) {
	var list []result
	for _, name := range outputNames(m) {
		parts, err := flatten(name, out[name])
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", name, err)
		}
		list = append(list, parts...)
	}
	return list, nil
}

// outputNames returns the names of the outputs of a model, each once: some files list an output
// twice.
func outputNames(m *runtime.Model) []string {
	var names []string
	used := map[string]bool{}
	for _, v := range m.Outputs() {
		if !used[v.Name] {
			names, used[v.Name] = append(names, v.Name), true
		}
	}
	return names
}

func flatten(name string, t *runtime.Tensor) ([]result, error) {
	switch t.DType() {
	case ops.Sequence:
		list := []result{{name: name, value: t}}
		for i, x := range t.Items() {
			parts, err := flatten(joined(name, strconv.Itoa(i)), x)
			if err != nil {
				return nil, err
			}
			list = append(list, parts...)
		}
		return list, nil
	case ops.Optional:
		if len(t.Items()) == 0 {
			return []result{{name: name, value: t}}, nil
		}
		return flatten(name, t.Items()[0])
	case ops.Map:
		keys, values := ops.MapOf(t)
		list, err := flatten(joined(name, keysPart), keys)
		if err != nil {
			return nil, err
		}
		more, err := flatten(joined(name, valuesPart), values)
		return append(list, more...), err
	}
	a, err := toArray(t)
	return []result{{name: name, value: t, array: a}}, err
}

// text describes a result in one line: its type, and its file or its first elements.
func (r *result) text() string {
	s := r.name + " " + r.value.String()
	switch {
	case r.array == nil && r.value.DType() == ops.Sequence:
		return fmt.Sprintf("%s of %d", s, len(r.value.Items()))
	case r.array == nil:
		return s + ", absent"
	case r.file != "":
		return s + ": " + filepath.ToSlash(r.file)
	}
	return s + ": " + firstElements(r.value)
}

// firstElements returns the first elements of a tensor.
func firstElements(t *runtime.Tensor) string {
	const most = 8
	d := reflect.ValueOf(t.Elements())
	var words []string
	for i := range min(d.Len(), most) {
		v := d.Index(i).Interface()
		switch x := v.(type) {
		case interface{ Float64() float64 }:
			v = float32(x.Float64())
		case string:
			v = strconv.Quote(x)
		}
		words = append(words, fmt.Sprint(v))
	}
	if d.Len() == 0 {
		return "no elements"
	}
	if d.Len() > most {
		words = append(words, "...")
	}
	return strings.Join(words, " ")
}

// The extensions of files that hold outputs.
const (
	extension        = ".npy"
	archiveExtension = ".npz"
)

// output is where the outputs of the model go.
type output struct {
	path  string // a folder, an .npz file, a .npy file, or "" for nowhere
	force bool
	reads []string // files that must not be replaced
}

func (o *output) isArchive() bool { return strings.EqualFold(filepath.Ext(o.path), archiveExtension) }
func (o *output) isFile() bool    { return strings.EqualFold(filepath.Ext(o.path), extension) }

// checkEarly returns an error for outputs that could not be written, before the model runs.
func (o *output) checkEarly(m *runtime.Model) error {
	if o.path == "" {
		return nil
	}
	info, err := os.Stat(o.path)
	exists := err == nil
	if o.isArchive() || o.isFile() {
		if exists && info.IsDir() {
			return fmt.Errorf("%s is a folder: rename it, or give another --output", o.path)
		}
		if n := len(outputNames(m)); o.isFile() && n > 1 {
			return cli.Usage(fmt.Errorf("--output %s is one array, but the model has %d outputs: give a folder or an .npz file", o.path, n))
		}
		return cli.CheckOutput(o.path, o.reads, o.force)
	}
	if exists && !info.IsDir() {
		return cli.Usage(fmt.Errorf("--output %s is a file: give a folder for .npy files, or a file that ends with .npz or .npy", o.path))
	}
	var expected []result
	for _, name := range outputNames(m) {
		expected = append(expected, result{name: name, array: &npy.Array{}})
	}
	return o.name(expected)
}

// name sets the files of results in a folder, and checks that they may be written.
func (o *output) name(list []result) error {
	if n := len(arraysOf(list)); n > maxFiles {
		return fmt.Errorf("the outputs are %d arrays, at most %d are written as files of their own: give an .npz file as --output", n, maxFiles)
	}
	used := map[string]bool{}
	for i := range list {
		r := &list[i]
		if r.array == nil {
			continue
		}
		base := fileName(r.name)
		name := base
		// Names that differ in case are the same file on some systems.
		for n := 2; used[strings.ToLower(name)]; n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		used[strings.ToLower(name)] = true
		r.file = filepath.Join(o.path, name+extension)
		if err := cli.CheckOutput(r.file, o.reads, o.force); err != nil {
			return err
		}
	}
	return nil
}

// fileName returns a name for the file of a value. Characters that a file name cannot have
// on every system become "_".
func fileName(value string) string {
	const maxName = 200 // bytes; systems allow 255 with the extension
	name := strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || strings.ContainsRune(`<>:"/\|?*`, c) {
			return '_'
		}
		return c
	}, strings.ToValidUTF8(value, "_"))
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "")
	}
	if name == "" || strings.HasPrefix(name, ".") {
		name = "_" + name
	}
	return name
}

// write writes the results. No file appears before all are complete.
func (o *output) write(list []result) error {
	if o.path == "" {
		return nil
	}
	if o.isArchive() {
		return o.writeArchive(list)
	}
	if o.isFile() {
		arrays := arraysOf(list)
		if len(arrays) != 1 {
			return fmt.Errorf("--output %s is one array, but the output has %d: give a folder or an .npz file", o.path, len(arrays))
		}
		arrays[0].file = o.path
	} else {
		if err := o.name(list); err != nil {
			return err
		}
		if err := os.MkdirAll(o.path, 0o777); err != nil {
			return err
		}
	}
	return commit(arraysOf(list))
}

// arraysOf returns the results that are arrays.
func arraysOf(list []result) []*result {
	var arrays []*result
	for i := range list {
		if list[i].array != nil {
			arrays = append(arrays, &list[i])
		}
	}
	return arrays
}

// maxFiles bounds the files that are open at the same time. Systems allow as few as 256.
const maxFiles = 200

// commit writes one file per array, at most maxFiles, and then renames all of them.
func commit(arrays []*result) (err error) {
	var files []*atomicfile.File
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Discard())
		}
	}()
	for _, r := range arrays {
		f, err := atomicfile.Create(r.file)
		if err != nil {
			return err
		}
		files = append(files, f)
		buffer := bufio.NewWriter(f)
		if err = npy.Write(buffer, r.array); err == nil {
			err = buffer.Flush()
		}
		if err != nil {
			return fmt.Errorf("output %q: %w", r.name, err)
		}
	}
	for len(files) > 0 {
		f := files[0]
		files = files[1:]
		if err := f.Commit(); err != nil {
			return err
		}
	}
	return nil
}

func (o *output) writeArchive(list []result) error {
	var names []string
	var arrays []*npy.Array
	for _, r := range arraysOf(list) {
		names, arrays = append(names, r.name), append(arrays, r.array)
		r.file = o.path
	}
	f, err := atomicfile.Create(o.path)
	if err != nil {
		return err
	}
	buffer := bufio.NewWriter(f)
	if err = npy.WriteArchive(buffer, names, arrays); err == nil {
		err = buffer.Flush()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", o.path, err), f.Discard())
	}
	return f.Commit()
}
