package cli

import (
	"fmt"
	"os"
)

// CheckOutput returns an error if the file of --output must not be written: it is one of inputs,
// the files that are only read, or it exists and force is not set.
func CheckOutput(path string, inputs []string, force bool) error {
	old, err := os.Stat(path)
	if err != nil {
		return nil // the file is new, or writing it reports the error
	}
	for _, input := range inputs {
		if info, err := os.Stat(input); err == nil && os.SameFile(old, info) {
			return Usage(fmt.Errorf("--output %s is the same file as the argument %s, which is only read: give another --output", path, input))
		}
	}
	if !force && old.Mode().IsRegular() { // writing another file is an error anyway
		return fmt.Errorf("%s already exists: give another --output, or replace it with --force", path)
	}
	return nil
}
