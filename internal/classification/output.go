package classification

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// standardOutput is the --output that stands for the standard output.
const standardOutput = "-"

// output is where the results go.
type output struct {
	path  string // "" or standardOutput for the standard output
	force bool
}

func (o *output) register(s *pflag.FlagSet) {
	s.StringVarP(&o.path, "output", "o", "", "`file` for the results, which appears when they are complete (default: -, the standard output); with --input or --random, a folder for .npy files, or an .npz or .npy file")
	s.BoolVar(&o.force, "force", false, "replace the files of --output if they exist")
}

// failedImages is the error of a run in which some images could not be classified. Its output
// is complete.
type failedImages struct{ failed, total int }

func (e *failedImages) Error() string {
	return fmt.Sprintf("%d of %d images could not be classified", e.failed, e.total)
}

// Complete reports whether the results are complete although a run returned err: it is nil, or says that
// some images could not be classified.
func Complete(err error) bool {
	var failed *failedImages
	return err == nil || errors.As(err, &failed)
}

// Write calls results with the writer for the results: stdout, or the file of --output, which
// appears when results returns nil or an error about single images. inputs are files that it must
// not replace.
func (f *Flags) Write(stdout io.Writer, inputs []string, results func(io.Writer) error) error {
	return f.output.write(stdout, inputs, results)
}

// write is Flags.Write.
func (o *output) write(stdout io.Writer, inputs []string, results func(io.Writer) error) error {
	if o.path == "" || o.path == standardOutput {
		return results(stdout)
	}
	if err := cli.CheckOutput(o.path, inputs, o.force); err != nil {
		return err
	}
	file, err := atomicfile.Create(o.path)
	if err != nil {
		return err
	}
	buffer := bufio.NewWriter(file)
	printed := results(buffer)
	if Complete(printed) {
		err = buffer.Flush()
	}
	if err != nil || !Complete(printed) {
		return errors.Join(printed, err, file.Discard())
	}
	return errors.Join(printed, file.Commit())
}
