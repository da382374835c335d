package sweep

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spike-by-spike/sbs/internal/cli"
)

// conclude prints the summary of a sweep and draws its charts. It names these files and others
// that were written to the folder.
func conclude(folder string, m *manifest, rows []row, stdout io.Writer, others ...string) error {
	if err := summarize(stdout, m, rows); err != nil {
		return err
	}
	charts, err := drawCharts(folder, m, rows)
	if err != nil {
		return err
	}
	for _, name := range slices.Concat(others, charts) {
		if _, err := fmt.Fprintf(stdout, "wrote %s\n", filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}

// plotFolder draws the charts of a folder again and prints the summary.
func plotFolder(folder string, stdout, stderr io.Writer) error {
	m, err := readManifest(folder)
	if err != nil {
		return err
	}
	tasks := m.tasks()
	rows, lost, err := readRows(folder, tasks)
	if err != nil {
		return err
	}
	switch {
	case lost > 0:
		return fmt.Errorf("%s: line %d of %s is damaged or of another sweep: compute the rows again from there with --resume", folder, len(rows)+1, resultsJSON)
	case len(rows) == 0:
		return fmt.Errorf("%s has no results yet: %s has no rows", folder, filepath.Join(folder, resultsJSON))
	case len(rows) < len(tasks):
		cli.PrintWarnings(stderr, fmt.Sprintf("%s is not complete: it has %d of %d rows", folder, len(rows), len(tasks)))
	}
	if m.Shard != "" {
		cli.PrintWarnings(stderr, fmt.Sprintf("%s is only part %s of a sweep", folder, m.Shard))
	}
	return conclude(folder, m, rows, stdout)
}
