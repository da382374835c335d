package trials

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/lock"
	"github.com/spike-by-spike/sbs/internal/training"
)

// The files and folders of the results, apart from the manifest and the folders of the trials.
const (
	resultsJSON  = "results.jsonl"
	resultsCSV   = "results.csv"
	timingCSV    = "timing.csv"
	serverFolder = "server"
)

var (
	chartName = regexp.MustCompile(`^chart-[a-z0-9_.-]+\.(svg|png)$`)
	trialName = regexp.MustCompile(`^\.?trial-[0-9]{3,}$`)
)

// isResult reports whether a file or folder in the folder of the results has the name of one that trials
// write.
func isResult(name string) bool {
	switch name {
	case manifestFile, resultsJSON, resultsCSV, timingCSV, serverFolder:
		return true
	}
	return chartName.MatchString(name) || trialName.MatchString(name)
}

// Results are the results of trials, in a folder that is locked.
type Results struct {
	plan   *Plan
	folder string
	lock   *lock.Lock
	rows   []*row   // nil for those that are missing
	times  []timing // of the rows
}

// timing says how long a trial took, and on which worker.
type timing struct {
	seconds float64
	worker  string
}

// checkFolder returns an error if the folder of --output cannot receive the results.
func (f *Flags) checkFolder() error {
	if err := cli.CheckFolder(f.Output); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(f.Output, manifestFile)); err == nil {
		if !f.resume && !f.force {
			return fmt.Errorf("%s already has the results of trials: continue them with --resume, replace them with --force, or give another --output", f.Output)
		}
		return nil
	}
	entries, err := os.ReadDir(f.Output)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if isResult(e.Name()) {
			return fmt.Errorf("%s was not written by trials, and trials would replace it: give another --output", filepath.Join(f.Output, e.Name()))
		}
	}
	return nil
}

// Begin locks the folder of the results and reads those that are there.
func (p *Plan) Begin(stderr io.Writer) (_ *Results, err error) {
	f := p.flags
	r := &Results{plan: p, folder: f.Output, rows: make([]*row, len(p.Trials)), times: make([]timing, len(p.Trials))}
	if r.lock, err = cli.LockFolder(f.Output, "command", stderr); err != nil {
		return nil, err
	}
	if err := r.open(f, stderr); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Results) open(f *Flags, stderr io.Writer) error {
	if err := f.checkFolder(); err != nil { // another process may have written to it
		return err
	}
	m := r.plan.manifest
	old, err := readManifest(f.Output)
	switch {
	case f.force:
		if err := removeResults(f.Output); err != nil {
			return err
		}
	case err == nil:
		if d := m.difference(old); d != "" {
			return fmt.Errorf("%s has the results of other trials: %s: give the same arguments and flags, start again with --force, or give another --output", f.Output, d)
		}
	case errors.Is(err, errNoTrials):
		if f.resume && !f.quiet {
			fmt.Fprintf(stderr, "%s has no trials yet: they start from the beginning\n", f.Output)
		}
	default:
		return fmt.Errorf("cannot resume: %w; start again with --force", err)
	}
	if err := m.write(f.Output); err != nil {
		return err
	}
	rows, damaged, err := readRows(f.Output, m)
	if err != nil {
		return err
	}
	for _, text := range damaged {
		cli.PrintWarnings(stderr, text+": the trial is made again")
	}
	for i, one := range rows {
		if one == nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(f.Output, m.folder(i+1))); err != nil {
			cli.PrintWarnings(stderr, fmt.Sprintf("%s is missing: the trial is made again", filepath.Join(f.Output, m.folder(i+1))))
			continue
		}
		r.rows[i] = one
	}
	readTimes(f.Output, r.times)
	return nil
}

// removeResults removes the files of trials from a folder.
func removeResults(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	old, err := readManifest(folder)
	if errors.Is(err, errNoTrials) {
		return nil
	}
	for _, e := range entries {
		if err == nil && trialName.MatchString(e.Name()) && !old.has(e.Name()) {
			continue // of the user
		}
		if isResult(e.Name()) && e.Name() != manifestFile {
			if err := os.RemoveAll(filepath.Join(folder, e.Name())); err != nil {
				return fmt.Errorf("cannot remove the files of the other trials: %w", err)
			}
		}
	}
	return os.Remove(filepath.Join(folder, manifestFile)) // last: without it, nothing is of trials
}

// has reports whether a name is that of the folder or the stage of a trial.
func (m *manifest) has(name string) bool {
	for i := range m.Trials {
		if strings.TrimPrefix(name, ".") == m.folder(i+1) {
			return true
		}
	}
	return false
}

// folder returns the name of the folder of a trial, whose number counts from 1.
func (m *manifest) folder(number int) string { return fmt.Sprintf("trial-%03d", number) }

// Close unlocks the folder.
func (r *Results) Close() error { return r.lock.Release() }

// Done returns for each trial whether its result is there. The first entry has no meaning: trials count
// from 1.
func (r *Results) Done() []bool {
	done := make([]bool, len(r.rows)+1)
	for i, one := range r.rows {
		done[i+1] = one != nil
	}
	return done
}

// Server returns the folder for the data of a server of this process. Finish removes it.
func (f *Flags) Server() string { return filepath.Join(f.Output, serverFolder) }

// Stage returns a new folder that receives the files of a trial, before Add.
func (r *Results) Stage(number int) (string, error) {
	stage := r.stage(number)
	if err := os.RemoveAll(stage); err != nil {
		return "", err
	}
	return stage, os.Mkdir(stage, 0o755)
}

func (r *Results) stage(number int) string {
	return filepath.Join(r.folder, "."+r.plan.manifest.folder(number))
}

// ErrDamaged is wrapped by the error about a result that cannot be one.
var ErrDamaged = errors.New("is damaged")

// Add adds the result of a trial whose files are in its stage.
func (r *Results) Add(number int, o *training.Outcome, worker string) error {
	stage, folder := r.stage(number), filepath.Join(r.folder, r.plan.manifest.folder(number))
	sum, err := sumOf(stage)
	if err != nil {
		return err
	}
	one := r.plan.newRow(number, o, sum)
	if err := one.check(r.plan.manifest, number); err != nil {
		return fmt.Errorf("the result of trial %d from worker %s %w (%w)", number, worker, ErrDamaged, err)
	}
	if err := os.RemoveAll(folder); err != nil { // of a command that was killed before it added the row
		return err
	}
	if err := os.Rename(stage, folder); err != nil {
		return err
	}
	r.rows[number-1], r.times[number-1] = &one, timing{o.Seconds, worker}
	return r.write()
}

// sumOf returns the SHA-256 of the model in the folder of a trial, "" if there is none. Its name may have
// an order.
func sumOf(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "model") && filepath.Ext(e.Name()) == ".onnx" {
			data, err := os.ReadFile(filepath.Join(folder, e.Name()))
			sum := sha256.Sum256(data)
			return hex.EncodeToString(sum[:]), err
		}
	}
	return "", nil
}

// write writes the files of the results.
func (r *Results) write() error {
	m := r.plan.manifest
	table, times := [][]string{m.columns()}, [][]string{{"trial", "seconds", "worker"}}
	rows := r.known()
	for i := range rows {
		n := rows[i].Trial
		table = append(table, rows[i].fields(m))
		times = append(times, []string{strconv.Itoa(n), strconv.FormatFloat(r.times[n-1].seconds, 'f', 3, 64), r.times[n-1].worker})
	}
	journal, err := jsonText(rows)
	if err != nil {
		return err
	}
	return errors.Join(
		atomicfile.Write(filepath.Join(r.folder, timingCSV), csvText(times)),
		atomicfile.Write(filepath.Join(r.folder, resultsCSV), csvText(table)),
		atomicfile.Write(filepath.Join(r.folder, resultsJSON), journal), // which decides what is there
	)
}

// known returns the rows that are there.
func (r *Results) known() (rows []row) {
	for _, one := range r.rows {
		if one != nil {
			rows = append(rows, *one)
		}
	}
	return rows
}

// readRows returns the rows in a folder, nil for those that are missing, and says which lines are
// damaged.
func readRows(folder string, m *manifest) (rows []*row, damaged []string, err error) {
	rows = make([]*row, len(m.Trials))
	path := filepath.Join(folder, resultsJSON)
	content, err := cli.ReadFile(path, "folder of trials", maxResults)
	if errors.Is(err, fs.ErrNotExist) {
		return rows, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	number := 0
	for line := range bytes.Lines(content) {
		number++
		one := &row{}
		err := json.Unmarshal(line, one)
		if err == nil && (one.Trial < 1 || one.Trial > len(rows) || rows[one.Trial-1] != nil) {
			err = fmt.Errorf("it is of trial %d", one.Trial)
		}
		if err == nil {
			err = one.check(m, one.Trial)
		}
		if err != nil {
			damaged = append(damaged, fmt.Sprintf("line %d of %s is damaged or of other trials (%v)", number, path, err))
			continue
		}
		rows[one.Trial-1] = one
	}
	return rows, damaged, nil
}

// readTimes reads the times of trials, as far as they are there.
func readTimes(folder string, times []timing) {
	content, err := cli.ReadFile(filepath.Join(folder, timingCSV), "folder of trials", maxResults)
	if err != nil {
		return // for information only
	}
	lines := csv.NewReader(bytes.NewReader(content))
	for {
		fields, err := lines.Read()
		if err != nil {
			return
		}
		if len(fields) != 3 {
			return
		}
		n, err1 := strconv.Atoi(fields[0])
		if seconds, err2 := strconv.ParseFloat(fields[1], 64); errors.Join(err1, err2) == nil && n >= 1 && n <= len(times) {
			times[n-1] = timing{seconds, fields[2]}
		}
	}
}

// Finish prints the table, draws the charts, and names the files. The error names the trials that have
// stopped.
func (r *Results) Finish(stdout io.Writer) error {
	if err := os.RemoveAll(r.plan.flags.Server()); err != nil {
		return err
	}
	rows := r.known()
	if err := conclude(r.folder, r.plan.manifest, rows, stdout, resultsCSV, resultsJSON, timingCSV); err != nil {
		return err
	}
	return stopped(r.plan.manifest, rows)
}

// stopped returns an error that names the trials that have stopped, or nil.
func stopped(m *manifest, rows []row) error {
	var lines []string
	for _, one := range rows {
		if one.Status == statusStopped {
			lines = append(lines, fmt.Sprintf("trial %d (%s) stopped %s", one.Trial, m.text(one.Trial), one.Reason))
		}
	}
	const most = 10
	if len(lines) > most {
		lines = append(lines[:most], fmt.Sprintf("and %d more, see %s", len(lines)-most, resultsCSV))
	}
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}

// text names a trial in words, without settings that are the same for all trials.
func (m *manifest) text(number int) string {
	var words []string
	for i, a := range m.Axes {
		if len(a.Values) > 1 || len(m.Axes) == 2 && a.Name == axisSeed {
			words = append(words, a.Name+"="+m.Trials[number-1].Values[i])
		}
	}
	return strings.Join(words, " ")
}
