package pytorch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
)

// configuration returns the configuration's files after it put what they say
// into c.
func configuration(c *config, opt Options) ([]string, error) {
	files := opt.Config
	if len(files) == 0 {
		var err error
		if files, err = findConfiguration(opt.Weights); err != nil {
			return nil, err
		}
	}
	described := false
	for _, f := range files {
		d, err := readDocument(f)
		if err != nil {
			return nil, err
		}
		described = described || d.describesNetwork()
		if err := c.merge(d); err != nil {
			return nil, err
		}
	}
	if !described {
		return nil, fmt.Errorf("%w: there is no network_structure in %s; name a file that has one with --config FILE",
			ErrNoConfiguration, strings.Join(files, ", "))
	}
	return files, nil
}

// FindConfiguration returns the configuration files that belong to path, for
// Options.Config: if path is a folder those in it or in the one above it, as Load
// finds them; if it is network.json, dataset.json or def.json beside a
// network.json, those of the three that there are, in this order; or else path
// alone. The error wraps ErrNoConfiguration if a folder has none, or too many.
func FindConfiguration(path string) ([]string, error) {
	if path == "" {
		return nil, fmt.Errorf("pytorch: %w: no path was given", ErrNoConfiguration)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("pytorch: %w", err)
	}
	if info.IsDir() {
		files, err := findConfiguration(path)
		if err != nil {
			return nil, fmt.Errorf("pytorch: %w", err)
		}
		return files, nil
	}
	if slices.Contains(threeFiles, filepath.Base(path)) {
		folder := filepath.Dir(path)
		if _, err := os.Stat(filepath.Join(folder, threeFiles[0])); err == nil {
			files, _, err := configurationIn(folder)
			return files, err
		}
	}
	return []string{path}, nil
}

// threeFiles are the configuration files of dialect 2, in the order they are
// merged.
var threeFiles = []string{"network.json", "dataset.json", "def.json"}

// findConfiguration looks in the weights folder and then in the one above it.
func findConfiguration(weights string) ([]string, error) {
	folders := []string{weights, filepath.Join(weights, "..")}
	var notes []string
	for _, folder := range folders {
		files, broken, err := configurationIn(folder)
		if errors.Is(err, ErrNoConfiguration) {
			return nil, fmt.Errorf("%w; choose one with --config FILE", err)
		}
		if err != nil {
			return nil, err
		}
		if len(files) > 0 {
			return files, nil
		}
		notes = append(notes, broken...)
	}
	err := fmt.Errorf("%w: neither %s nor %s has a network.json or a *.json file with a network_structure; name the file with --config FILE",
		ErrNoConfiguration, folders[0], folders[1])
	if len(notes) > 0 {
		err = fmt.Errorf("%w (not readable: %s)", err, strings.Join(notes, "; "))
	}
	return nil, err
}

// configurationIn returns the configuration files of one folder, none if it
// has none, and why any other .json files there could not be read.
func configurationIn(folder string) (files, broken []string, err error) {
	for _, name := range threeFiles {
		f := filepath.Join(folder, name)
		_, err := os.Stat(f)
		switch {
		case err == nil:
			files = append(files, f)
		case !errors.Is(err, os.ErrNotExist):
			return nil, nil, err
		case name == "network.json":
			// Without it the other two names mean nothing in particular.
			return otherConfigurationIn(folder)
		}
	}
	return files, nil, nil
}

func otherConfigurationIn(folder string) (files, broken []string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".json" {
			continue
		}
		f := filepath.Join(folder, e.Name())
		d, err := readDocument(f)
		if err != nil {
			// Anything may lie beside a network; a file that does not parse
			// only matters if no other one does.
			broken = append(broken, err.Error())
			continue
		}
		if d.describesNetwork() {
			files = append(files, f)
		}
	}
	if len(files) > 1 {
		return nil, nil, fmt.Errorf("%w: %s each have a network_structure", ErrNoConfiguration, strings.Join(files, " and "))
	}
	return files, broken, nil
}

func readDocument(name string) (*document, error) {
	if info, err := os.Stat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, err
	}
	return parse(name, data)
}

// nameOf makes a network's name of the folder that its configuration is in.
func nameOf(file string) string {
	abs, err := filepath.Abs(file)
	if err != nil {
		return "network"
	}
	name := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.", r) {
			return r
		}
		return '_'
	}, filepath.Base(filepath.Dir(abs)))
	if name = strings.Trim(name, "_."); name == "" {
		return "network"
	}
	return name
}
