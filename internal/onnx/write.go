package onnx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/metadata"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// WriteFile writes an encoded model to a file, atomically. If the encoding is too large for a
// file, the data of its tensors goes to a second file in the same folder (external data), which
// is named like the first, with ".data" at the end. It never replaces a file of that name: if
// there is one, the new one is numbered.
func WriteFile(path string, model []byte) error { return writeFile(path, model, MaxFile) }

// writeFile is WriteFile for files of at most limit bytes.
func writeFile(path string, model []byte, limit int) error {
	old := ownData(path)
	var err error
	if len(model) <= limit {
		err = atomicfile.Write(path, model)
	} else {
		err = writeTwo(path, model, limit)
	}
	if err != nil {
		return err
	}
	// Nothing uses the data of the model that was there before.
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// writeTwo writes a model with its data in a second file.
func writeTwo(path string, model []byte, limit int) error {
	m, err := Unmarshal(context.Background(), model)
	if err != nil {
		return err
	}
	name := dataName(path)
	data, err := atomicfile.Create(name)
	if err != nil {
		return err
	}
	if err := moveData(m, data, filepath.Base(name)); err != nil {
		return errors.Join(err, data.Discard())
	}
	graph, err := Marshal(m)
	if err == nil && len(graph) > limit {
		err = fmt.Errorf("the model has %d bytes without its tensors, but an ONNX file cannot have more than %d", len(graph), limit)
	}
	if err != nil {
		return errors.Join(err, data.Discard())
	}
	// The data must be there as soon as the model is.
	if err := data.Commit(); err != nil {
		return err
	}
	if err := atomicfile.Write(path, graph); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// dataSuffix ends the name of a file with external data.
const dataSuffix = ".data"

const (
	leastExternal = 1 << 10 // bytes of a tensor that is worth moving
	alignment     = 4 << 10 // of tensors in the file, so that other programs can map them into memory
)

// moveData moves the elements of the large tensors of a model to a file of the given name.
func moveData(m *onnxpb.ModelProto, f *atomicfile.File, name string) error {
	var offset int64
	var err error
	write := func(b []byte) {
		if err == nil {
			_, err = f.Write(b)
			offset += int64(len(b))
		}
	}
	eachTensor(m, func(t *onnxpb.TensorProto) {
		if len(t.GetRawData()) < leastExternal {
			return
		}
		write(make([]byte, (alignment-offset%alignment)%alignment))
		t.DataLocation = onnxpb.TensorProto_EXTERNAL
		t.ExternalData = []*onnxpb.StringStringEntryProto{
			{Key: "location", Value: name},
			{Key: "offset", Value: strconv.FormatInt(offset, 10)},
			{Key: "length", Value: strconv.Itoa(len(t.GetRawData()))},
		}
		write(t.GetRawData())
		t.RawData = nil
	})
	return err
}

// dataName returns a name for the data of the model at path that no file has.
func dataName(path string) string {
	name := path + dataSuffix
	for i := 2; ; i++ {
		if _, err := os.Lstat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s.%d%s", path, i, dataSuffix)
	}
}

// ownData returns the files of the external data of the model at path, if there is one that
// WriteFile has written.
func ownData(path string) []string {
	folder, base := filepath.Split(path)
	entries, err := os.ReadDir(cmp.Or(folder, "."))
	named := func(name string) bool {
		return strings.HasPrefix(name, base+".") && strings.HasSuffix(name, dataSuffix)
	}
	if err != nil || !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return named(e.Name()) }) {
		return nil // the usual case: the model need not be read
	}
	data, err := readAll(context.Background(), path, MaxFile)
	if err != nil {
		return nil
	}
	m, err := Unmarshal(context.Background(), data)
	if err != nil || !slices.ContainsFunc(m.GetMetadataProps(), isOwn) {
		return nil
	}
	var files []string
	for _, t := range External(m) {
		for _, e := range t.GetExternalData() {
			name := e.GetValue()
			if e.GetKey() == "location" && filepath.Base(name) == name && named(name) && !slices.Contains(files, folder+name) {
				files = append(files, folder+name)
			}
		}
	}
	return files
}

// isOwn reports whether an entry of the metadata is from a program of this project.
func isOwn(p *onnxpb.StringStringEntryProto) bool {
	return metadata.IsOwn(map[string]string{p.GetKey(): p.GetValue()})
}
