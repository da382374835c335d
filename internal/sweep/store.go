package sweep

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/measure"
)

// The files of the results. resultsJSON is the one that decides which rows are known: a row is
// appended to it last, and flushed to the disk.
const (
	resultsJSON = "results.jsonl"
	resultsCSV  = "results.csv"
	timingCSV   = "timing.csv"
)

// store writes the rows of a sweep to the files of a folder.
type store struct {
	rows    []row // in the order of the tasks
	lost    int   // rows of the file that were removed
	journal *os.File
	table   *os.File
	timing  *os.File
}

// openStore opens the files of a folder, with the rows that are there for the first tasks. It
// removes an incomplete last line, which remains if a sweep is killed, and everything after a
// damaged line.
func openStore(folder string, tasks []task) (*store, error) {
	rows, lost, err := readRows(folder, tasks)
	if err != nil {
		return nil, err
	}
	s := &store{rows: rows, lost: lost}
	if err := writeRows(folder, rows, readTimes(folder)); err != nil {
		return nil, err
	}
	for _, file := range []struct {
		name string
		open **os.File
	}{{resultsJSON, &s.journal}, {resultsCSV, &s.table}, {timingCSV, &s.timing}} {
		if *file.open, err = os.OpenFile(filepath.Join(folder, file.name), os.O_APPEND|os.O_WRONLY, 0); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

// writeRows writes the files of the results.
func writeRows(folder string, rows []row, times map[id]float64) error {
	journal, table, timing := []byte(nil), csvLine(columns), csvLine(timed)
	for _, r := range rows {
		line, err := r.jsonLine()
		if err != nil {
			return err
		}
		journal, table = append(journal, line...), append(table, csvLine(r.fields())...)
		if seconds, ok := times[r.id]; ok {
			timing = append(timing, timeLine(r, seconds)...)
		}
	}
	return errors.Join(
		atomicfile.Write(filepath.Join(folder, timingCSV), timing),
		atomicfile.Write(filepath.Join(folder, resultsCSV), table),
		atomicfile.Write(filepath.Join(folder, resultsJSON), journal),
	)
}

// add appends a row, which took some seconds.
func (s *store) add(r row, seconds float64) error {
	line, err := r.jsonLine()
	if err != nil {
		return err
	}
	_, err = s.timing.Write(timeLine(r, seconds))
	if err == nil {
		_, err = s.table.Write(csvLine(r.fields()))
	}
	if err == nil {
		_, err = s.journal.Write(line)
	}
	if err == nil {
		err = s.journal.Sync()
	}
	if err != nil {
		return err
	}
	s.rows = append(s.rows, r)
	return nil
}

// close closes the files.
func (s *store) close() error {
	var errs []error
	for _, f := range []*os.File{s.journal, s.table, s.timing} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// timeLine returns the line of timing.csv about a row.
func timeLine(r row, seconds float64) []byte {
	return csvLine(append(r.id.fields(), strconv.FormatFloat(seconds, 'f', 3, 64), strconv.FormatFloat(float64(r.Images)/max(seconds, 1e-3), 'f', 0, 64)))
}

// seconds returns the seconds of a duration as timing.csv has them.
func seconds(d time.Duration) float64 { return measure.Rounded(d.Seconds(), 3) }

// readRows returns the rows in a folder for the first tasks, and how many more complete lines there
// are.
func readRows(folder string, tasks []task) (rows []row, lost int, err error) {
	content, err := cli.ReadFile(filepath.Join(folder, resultsJSON), "sweep", maxResults)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	for {
		line, rest, complete := bytes.Cut(content, []byte("\n"))
		if !complete {
			return rows, 0, nil
		}
		var r row
		if json.Unmarshal(line, &r) != nil || len(rows) == len(tasks) || r.id != tasks[len(rows)].id || r.Images != tasks[len(rows)].images || r.check() != nil {
			return rows, bytes.Count(content, []byte("\n")), nil
		}
		rows, content = append(rows, r), rest
	}
}

// readTimes returns the times in a folder. Lines that are damaged are ignored: they are for
// information only.
func readTimes(folder string) map[id]float64 {
	times := map[id]float64{}
	content, err := cli.ReadFile(filepath.Join(folder, timingCSV), "sweep", maxResults)
	if err != nil {
		return times
	}
	for line := range bytes.Lines(content) {
		fields, err := csv.NewReader(bytes.NewReader(line)).Read()
		if err != nil || len(fields) != len(timed) {
			continue
		}
		level, err1 := strconv.ParseFloat(fields[3], 64)
		seed, err2 := strconv.ParseUint(fields[6], 10, 64)
		seconds, err3 := strconv.ParseFloat(fields[7], 64)
		if errors.Join(err1, err2, err3) == nil && seconds >= 0 {
			times[id{fields[0], fields[1], fields[2], level, spikes(fields[4]), fields[5], seed}] = seconds
		}
	}
	return times
}

// hasResults reports whether a folder has a file with the name of one that a sweep writes.
func hasResults(folder string) bool {
	entries, _ := os.ReadDir(folder) // a folder that cannot be read is an error later
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return slices.Contains([]string{manifestFile, resultsJSON, resultsCSV, timingCSV}, e.Name()) || isChart(e.Name())
	})
}

// removeResults removes the files of a sweep from a folder.
func removeResults(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	names := []string{resultsJSON, resultsCSV, timingCSV}
	for _, e := range entries {
		if isChart(e.Name()) {
			names = append(names, e.Name())
		}
	}
	for _, name := range append(names, manifestFile) {
		if err := os.Remove(filepath.Join(folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove the files of the other sweep: %w", err)
		}
	}
	return nil
}
