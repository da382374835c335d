package pytorch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spike-by-spike/sbs/convert"
)

// checkArrays refuses a folder with arrays that Load would take for arrays of the
// network, at this step or, in CheckSave, at a later one. Only arrays of the given
// quantities count.
func (s *saver) checkArrays(folder string, e *exporter, quantities ...string) error {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		id, ok := parseName(entry.Name())
		if !ok || !slices.Contains(quantities, id.quantity) {
			continue
		}
		path := filepath.Join(folder, entry.Name())
		switch {
		case id.order != s.order && id.order != "" && s.order != "": // --order tells them apart
		case id.quantity != epsilonFile && id.order != s.order && generations.typed[e.generation]:
			err = fmt.Errorf("%s has another order in its name than the arrays of this network, so that it would not be clear which ones to read; remove it, or choose another folder", path)
		case e.contradicts(id):
			err = fmt.Errorf("%s shows a mean, which %v of this network does not have; remove it, or choose another folder", path, e.network.Layers[id.layer].Kind())
		case !e.reads(id):
		case id.step == s.step: // compare looks at files of the same name
			err = s.checkBelongs(path, id)
		case s.later != nil && s.later(id.step):
			err = s.checkLater(path, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkBelongs refuses a file that Save does not write but Load would read: the
// network has no such array, or the name has extra zeros ("Weight_L02_S8.npy").
func (s *saver) checkBelongs(path string, id fileID) error {
	name := strings.TrimSuffix(filepath.Base(path), ".gz")
	now := fileID{id.quantity, id.layer, s.step, s.order}
	written := filepath.Join(filepath.Dir(path), now.String())
	if name == id.String() && slices.ContainsFunc(s.files, func(f outFile) bool { return f.path == written }) {
		return nil
	}
	return fmt.Errorf("%s does not belong to this network but would be read as part of it; remove it, or choose another folder or step", path)
}

// checkLater refuses a file of a later step that Save could not write then.
func (s *saver) checkLater(path string, id fileID) error {
	if err := s.checkBelongs(path, id); err != nil {
		return err
	}
	plain, packed := strings.CutSuffix(path, ".gz")
	switch {
	case packed:
		return errCompressed(plain)
	case !s.options.Force:
		return fmt.Errorf("%s already exists; choose another folder or step, or replace it with --force", path)
	}
	return nil
}

// contradicts reports whether a file is, at any step, the mean of an ONOFF layer without one.
func (e *exporter) contradicts(id fileID) bool {
	if id.quantity != meanFile || id.layer >= len(e.network.Layers) {
		return false
	}
	l, ok := e.network.Layers[id.layer].(*convert.OnOff)
	return ok && l.Mean == nil
}

// reads reports whether Load looks for a file.
func (e *exporter) reads(id fileID) bool {
	if id.layer >= len(e.network.Layers) {
		return false
	}
	switch e.network.Layers[id.layer].(type) {
	case *convert.SbS:
		return id.quantity == weightFile || id.quantity == epsilonFile && generations.epsilonFiles[e.generation]
	case *convert.NNMF:
		return id.quantity == weightFile
	case *convert.Conv, *convert.ApproxConv:
		return id.quantity == weightFile || id.quantity == biasFile
	case *convert.OnOff:
		return id.quantity == meanFile
	}
	return false
}

// errCompressed is the error about a compressed file next to one to be written.
func errCompressed(path string) error {
	return fmt.Errorf("%s.gz already exists, and there must not be two files for one layer and step; remove it, or choose another folder or step", path)
}

// checkConfiguration refuses folders in which Load would find another configuration
// than the documents that are going to be written to the folder config.
func (s *saver) checkConfiguration(config string, documents map[string][]byte) error {
	folders := []string{config}
	if config != s.weights {
		folders = append(folders, s.weights)
	}
	for _, folder := range folders {
		if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
			continue
		}
		found, _, err := configurationIn(folder)
		if errors.Is(err, ErrNoConfiguration) {
			return fmt.Errorf("%w; choose another folder, or write only the arrays", err)
		}
		if err != nil {
			return err
		}
		for _, f := range found {
			if _, replaced := documents[filepath.Base(f)]; !replaced || folder != config {
				return fmt.Errorf("%s is another configuration and would be read as this network's; choose another folder, or write only the arrays", f)
			}
		}
	}
	return nil
}

// compare compares each file with the existing file of the same name.
func (s *saver) compare() error {
	var different []string
	for _, f := range s.files {
		done := SavedFile{Path: f.path}
		sum := sha256.Sum256(f.data)
		done.AsSource = f.source == hex.EncodeToString(sum[:])
		if strings.HasSuffix(f.path, ".npy") {
			if _, err := os.Lstat(f.path + ".gz"); err == nil {
				return errCompressed(f.path)
			}
		}
		switch same, err := hasContent(f.path, f.data); {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			return err
		case same:
			done.Kept = true
		default:
			different = append(different, f.path)
		}
		s.done = append(s.done, done)
	}
	if len(different) > 0 && !s.options.Force {
		n := len(different)
		if n > 10 {
			different = append(different[:10], fmt.Sprintf("and %d more", n-10))
		}
		exists := "already exists"
		if n > 1 {
			exists = "already exist"
		}
		return fmt.Errorf("%s: %s with different content; nothing was written: choose another folder or step, leave out the configuration with --arrays-only, or replace existing files with --force",
			strings.Join(different, ", "), exists)
	}
	return nil
}

// hasContent reports whether a file consists of exactly these bytes.
func hasContent(path string, data []byte) (bool, error) {
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
	content, err := os.ReadFile(path)
	return bytes.Equal(content, data), err
}
