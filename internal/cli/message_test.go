package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMessage_LeavesOutPackageNames(t *testing.T) {
	for _, c := range []struct {
		err  string
		args []string
		want string
	}{
		{"runtime: open model.onnx: no such file", nil, "open model.onnx: no such file"},
		{"classify: dataset: images: no such file", nil, "images: no such file"},
		{"runtime: cannot run this model: m.onnx: onnx: not a valid ONNX model", nil, "cannot run this model: m.onnx: not a valid ONNX model"},
		{"onnx: one\nnpy: two", nil, "one\ntwo"},
		{"open runtime: no such file", nil, "open runtime: no such file"},
		{"the runtime: it failed", nil, "the runtime: it failed"},
		{"--sampler x: want iid", nil, "--sampler x: want iid"},
		{"folder: train", nil, "folder: train"},
		{"runtime", nil, "runtime"},
		{"", nil, ""},

		// A name that is an argument is the name of a file.
		{"dataset: train: no such file", []string{"model.onnx", "train"}, "train: no such file"},
		{"dataset: train: no such file", []string{"model.onnx", "./train/"}, "train: no such file"},
		{"dataset: train: no such file", []string{"--data=train"}, "train: no such file"},
		{"dataset: train: no such file", []string{"images/train"}, "no such file"},
	} {
		require.Equal(t, c.want, Message(errors.New(c.err), c.args), "%q with %q", c.err, c.args)
	}
}

func TestMessage_LeavesOutSystemCalls(t *testing.T) {
	_, err := os.Open("missing.onnx")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, other := os.Stat("other.onnx")
	reason := errors.Unwrap(err).Error()
	for want, err := range map[string]error{
		"missing.onnx: " + reason:                                   err,
		"missing.onnx: " + reason + " ":                             fmt.Errorf("runtime: %w ", err),
		"the model could not be written: missing.onnx: " + reason:   fmt.Errorf("the model could not be written: %w", err),
		"missing.onnx: " + reason + "\nthe log could not be closed": errors.Join(err, errors.New("the log could not be closed")),
		"missing.onnx: " + reason + "\nx: other.onnx: " + reason:    fmt.Errorf("cli: %w", errors.Join(err, fmt.Errorf("x: %w", other))),
		"missing.onnx: " + reason + "\nmissing.onnx: " + reason:     errors.Join(err, err),
	} {
		require.Equal(t, want, Message(err, nil))
	}
}

// Every package whose errors begin with its name must be in packages.
func TestMessage_KnowsEveryPackage(t *testing.T) {
	root := "../.."
	clause := regexp.MustCompile(`(?m)^package (\w+)$`)
	var names []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			// Not a part of the module: hidden folders, _asm, and modules of their own.
			if path != root && strings.ContainsAny(d.Name()[:1], "._") || d.Name() == "testdata" || path != root && isFile(filepath.Join(path, "go.mod")) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		match := clause.FindSubmatch(source)
		if match == nil {
			return nil
		}
		name := string(match[1])
		if strings.Contains(string(source), `("`+name+": ") && !slices.Contains(names, name) {
			names = append(names, name)
		}
		return nil
	})
	require.NoError(t, err)
	require.Contains(t, names, "runtime")
	require.Subset(t, packages, names)
	require.True(t, slices.IsSorted(packages))
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
