package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// packages are the packages of this module that begin their error texts with their name.
var packages = []string{
	"atomicfile", "c99", "classify", "cli", "convert", "dataset", "graph", "kernel", "metadata", "noise", "npy", "onnx", "onnxgo", "onnxpb",
	"ops", "page", "parallel", "pytorch", "runtime", "sbs", "std", "tfevents", "train", "trainlog",
}

// PrintWarnings prints warnings, one per line.
func PrintWarnings(w io.Writer, warnings ...string) {
	for _, warning := range warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
}

// Message returns the text of an error for the user of a command. It leaves out the names
// of this module's packages and of system calls, which mean nothing to the user: "runtime:
// open model.onnx: no such file" becomes "model.onnx: no such file". It keeps a name that
// is one of args, the arguments of the command, because it is the name of a file there:
// "dataset: train: no such file" becomes "train: no such file" if train is an argument.
func Message(err error, args []string) string {
	text := err.Error()
	for _, path := range pathErrors(err) {
		text = strings.Replace(text, path.Error(), path.Path+": "+path.Err.Error(), 1)
	}
	isFile := map[string]bool{}
	for _, arg := range args {
		_, value, _ := strings.Cut(arg, "=") // of --flag=value
		isFile[filepath.Clean(arg)], isFile[value] = true, true
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		parts := strings.Split(line, ": ")
		last := len(parts) - 1
		kept := slices.DeleteFunc(parts[:last:last], func(part string) bool {
			return slices.Contains(packages, part) && !isFile[part]
		})
		lines[i] = strings.Join(append(kept, parts[last]), ": ")
	}
	return strings.Join(lines, "\n")
}

// pathErrors returns the errors of the file system in an error, which may join several.
func pathErrors(err error) (list []*fs.PathError) {
	type several interface {
		error
		Unwrap() []error
	}
	if joined, ok := errors.AsType[several](err); ok {
		for _, inner := range joined.Unwrap() {
			list = append(list, pathErrors(inner)...)
		}
	} else if e, ok := errors.AsType[*fs.PathError](err); ok {
		list = append(list, e)
	}
	return list
}
