package sweep

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spike-by-spike/sbs/internal/cli"
)

// mergeWord is the name of the subcommand.
const mergeWord = "merge"

const mergeLong = `Joins the parts of a sweep that sbs-sweep --shard has computed.

The folder of --output receives what the whole sweep would have written, with
the same bytes in results.csv and results.jsonl. All parts must be there, once
and complete, and be parts of the same sweep.`

// mergeFlags holds the values of the command line of merge.
type mergeFlags struct {
	output string
	force  bool
	parts  []string
}

func mergeCommand() *cobra.Command {
	var f mergeFlags
	cmd := &cobra.Command{
		Use:     name + " " + mergeWord + " [flags] -o FOLDER PART...",
		Short:   "Joins the parts of a sweep",
		Long:    mergeLong,
		Example: "  sbs-sweep merge -o all/ part1/ part2/ part3/ part4/",
		Args: func(_ *cobra.Command, args []string) error {
			f.parts = args[1:]
			switch {
			case len(f.parts) == 0:
				return fmt.Errorf("the folders of the parts are missing: %s %s -o FOLDER PART...", name, mergeWord)
			case f.output == "":
				return errors.New("the folder for the results is missing: give it with -o FOLDER")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.OutOrStdout(), cmd.ErrOrStderr()) },
	}
	cmd.Flags().StringVarP(&f.output, "output", "o", "", "`folder` for the results")
	cmd.Flags().BoolVar(&f.force, "force", false, "replace the results in the folder")
	return cmd
}

// piece is a part of a sweep.
type piece struct {
	folder string
	*manifest
	shard cli.Shard
	rows  []row
	times map[id]float64
}

// Merge joins the parts of a sweep, which are in folders, and writes the results to the folder of
// --output.
func (f *Flags) Merge(parts []string, stdout, stderr io.Writer) error {
	m := mergeFlags{output: f.Output, force: f.force, parts: parts}
	return m.run(stdout, stderr)
}

func (f *mergeFlags) run(stdout, stderr io.Writer) (err error) {
	for _, folder := range f.parts {
		if sameFolder(folder, f.output) {
			return fmt.Errorf("--output %s is one of the parts: give another folder", f.output)
		}
	}
	if err := f.checkOutput(); err != nil {
		return err
	}
	pieces, err := readPieces(f.parts)
	if err != nil {
		return err
	}
	whole := *pieces[0].manifest
	whole.Shard = ""
	rows, times, err := whole.join(pieces)
	if err != nil {
		return err
	}
	l, err := cli.LockFolder(f.output, "sweep", stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Release()) }()
	if err := f.checkOutput(); err != nil { // another process may have written to it
		return err
	}
	if hasResults(f.output) {
		if err := removeResults(f.output); err != nil {
			return err
		}
	}
	if err := whole.write(f.output); err != nil {
		return err
	}
	if err := writeRows(f.output, rows, times); err != nil {
		return err
	}
	return conclude(f.output, &whole, rows, stdout, resultsCSV, resultsJSON, timingCSV)
}

// checkOutput returns an error if the results must not be written to the folder.
func (f *mergeFlags) checkOutput() error {
	if err := cli.CheckFolder(f.output); err != nil {
		return err
	}
	if hasResults(f.output) && !f.force {
		return fmt.Errorf("%s already has the results of a sweep: replace it with --force, or give another --output", f.output)
	}
	return nil
}

// sameFolder reports whether two paths name the same folder.
func sameFolder(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return filepath.Clean(a) == filepath.Clean(b) || err1 == nil && err2 == nil && os.SameFile(x, y)
}

// readPieces reads what the parts are, and checks that they are all parts of one sweep. It returns
// them in their order in the sweep, without their rows.
func readPieces(folders []string) ([]*piece, error) {
	var pieces []*piece
	for _, folder := range folders {
		m, err := readManifest(folder)
		if err != nil {
			return nil, err
		}
		if m.Shard == "" {
			return nil, fmt.Errorf("%s is a whole sweep and no part of one: there is nothing to join", folder)
		}
		p := &piece{folder: folder, manifest: m}
		p.shard, _ = cli.ParseShard(m.Shard) // readManifest has checked it
		pieces = append(pieces, p)
	}
	if err := checkPieces(pieces); err != nil {
		return nil, err
	}
	slices.SortFunc(pieces, func(a, b *piece) int { return a.shard.Index - b.shard.Index })
	return pieces, nil
}

// join reads the rows and times of all parts, and returns them in their order in the whole sweep.
func (m *manifest) join(pieces []*piece) ([]row, map[id]float64, error) {
	all := m.plan()
	owners := assign(all, len(pieces))
	times := map[id]float64{}
	for i, p := range pieces {
		if err := p.read(owned(all, owners, i)); err != nil {
			return nil, nil, err
		}
		maps.Copy(times, p.times)
	}
	rows := make([]row, len(all))
	next := make([]int, len(pieces)) // the number of rows that were taken from each part
	for i, part := range owners {
		rows[i] = pieces[part].rows[next[part]]
		next[part]++
	}
	return rows, times, nil
}

// read reads the rows of the part, which must be complete.
func (p *piece) read(tasks []task) error {
	rows, lost, err := readRows(p.folder, tasks)
	switch {
	case err != nil:
		return err
	case lost > 0:
		return fmt.Errorf("%s: line %d of %s is damaged or of another sweep: compute the part again from there with --resume", p.folder, len(rows)+1, resultsJSON)
	case len(rows) < len(tasks):
		return fmt.Errorf("%s is not complete: it has %d of the %d rows of part %s: continue it with --resume", p.folder, len(rows), len(tasks), p.Shard)
	}
	p.rows, p.times = rows, readTimes(p.folder)
	return nil
}

// checkPieces returns an error unless the parts are all parts of one sweep, each once.
func checkPieces(pieces []*piece) error {
	first := pieces[0]
	folders := make([]string, first.shard.Count)
	for _, p := range pieces {
		if d := first.difference(p.manifest); d != "" {
			return fmt.Errorf("%s and %s are parts of different sweeps: of %s, %s", first.folder, p.folder, p.folder, d)
		}
		if p.shard.Count != first.shard.Count {
			return fmt.Errorf("%s is part %v and %s is part %v: the sweep was divided differently", first.folder, first.shard, p.folder, p.shard)
		}
		if other := folders[p.shard.Index-1]; other != "" {
			return fmt.Errorf("%s and %s are both part %v: name each part once", other, p.folder, p.shard)
		}
		folders[p.shard.Index-1] = p.folder
	}
	var missing []string
	for i, folder := range folders {
		if folder == "" {
			missing = append(missing, cli.Shard{Index: i + 1, Count: len(folders)}.String())
		}
	}
	if len(missing) > 0 {
		const most = 10
		text := strings.Join(missing[:min(len(missing), most)], ", ")
		if len(missing) > most {
			text += fmt.Sprintf(" and %d more", len(missing)-most)
		}
		return fmt.Errorf("parts are missing: %s: name their folders too, or compute them with --shard", text)
	}
	return nil
}
