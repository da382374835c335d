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

// configuration merges the configuration files into c and returns their paths.
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
		return nil, fmt.Errorf("%w: %s has no network_structure; name a file that has one with --config FILE",
			ErrNoConfiguration, strings.Join(files, ", "))
	}
	if err := c.change(opt.Set); err != nil {
		return nil, err
	}
	return files, c.resize(opt.Neurons)
}

// FindConfiguration returns the configuration files that belong to a path, for
// Options.Config.
//
//   - For a folder, it returns the files in it or in its parent folder that Load would
//     find.
//   - For network.json, dataset.json or def.json in a folder with a network.json, it
//     returns the files of these three that exist, in this order.
//   - For any other file, it returns only that file.
//
// The error wraps ErrNoConfiguration if the folders have no configuration or more than
// one, and if path is empty.
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
			if err != nil {
				return nil, fmt.Errorf("pytorch: %w", err)
			}
			return files, nil
		}
	}
	return []string{path}, nil
}

// threeFiles are the names of dialect 2's configuration files, in merge order.
var threeFiles = []string{"network.json", "dataset.json", "def.json"}

// findConfiguration searches the weights folder and then its parent folder.
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

// configurationIn returns the configuration files in a folder, which may be none, and the
// errors about .json files that could not be read.
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
			// Without network.json the other two names have no special meaning.
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
			// The folder may contain other files. One that cannot be read matters only if
			// no configuration is found.
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

// nameOf derives a network's name from the folder of its configuration.
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
