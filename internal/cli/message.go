package cli

import (
	"path/filepath"
	"slices"
	"strings"
)

// packages are the packages of this module that begin their error texts with their name.
var packages = []string{
	"atomicfile", "classify", "cli", "convert", "dataset", "graph", "kernel", "metadata", "npy", "onnx", "onnxgo", "onnxpb",
	"ops", "parallel", "pytorch", "runtime", "sbs", "std", "tfevents", "train", "trainlog",
}

// Message returns the text of an error for the user of a command. It leaves out the names
// of this module's packages, which mean nothing to the user: "runtime: open model.onnx:
// ..." becomes "open model.onnx: ...". It keeps a name that is one of args, the arguments
// of the command, because there it is the name of a file: "dataset: train: ..." becomes
// "train: ..." if train is an argument.
func Message(err error, args []string) string {
	isFile := map[string]bool{}
	for _, arg := range args {
		_, value, _ := strings.Cut(arg, "=") // of --flag=value
		isFile[filepath.Clean(arg)], isFile[value] = true, true
	}
	lines := strings.Split(err.Error(), "\n")
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
