package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/spike-by-spike/sbs/classify"
)

// printer writes the results in one of the formats, and shows the progress.
type printer struct {
	*flags
	names          []string // of the classes
	stdout, stderr io.Writer
	csv            *csv.Writer
	started        bool // the beginning of the JSON document or the CSV header is written
	bar            *progressbar.ProgressBar
	onTerminal     bool // stdout is the terminal that shows the bar
	complaints     int
}

func newPrinter(f *flags, names []string, stdout, stderr io.Writer, total int) *printer {
	p := &printer{flags: f, names: names, stdout: stdout, stderr: stderr, csv: csv.NewWriter(stdout)}
	if f.quiet || !isTerminal(stderr) {
		return p
	}
	p.onTerminal = isTerminal(stdout)
	p.bar = progressbar.NewOptions(total,
		progressbar.OptionSetWriter(stderr),
		progressbar.OptionSetDescription("classifying"),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("images"),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionFullWidth(),
	)
	_ = p.bar.RenderBlank() // starts its clock
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// stop removes the progress bar.
func (p *printer) stop() {
	if p.bar != nil {
		_ = p.bar.Clear() // only decoration
	}
}

// print prints the result of one image.
func (p *printer) print(r classify.FileResult) error {
	if p.onTerminal {
		_ = p.bar.Clear()
	}
	if r.Err != nil {
		p.complain(r.Err)
	}
	if err := p.result(r); err != nil {
		return err
	}
	p.csv.Flush()
	if p.bar != nil {
		_ = p.bar.Add(1)
	}
	return p.csv.Error()
}

// maxComplaints is the number of broken images that are reported one by one: a whole
// folder of images of the wrong size is a single mistake.
const maxComplaints = 10

// complain reports a broken image at once, whatever the format.
func (p *printer) complain(err error) {
	p.complaints++
	if p.complaints == maxComplaints+1 {
		err = errors.New("... more images could not be classified: --format json and csv list all of them")
	}
	if p.complaints > maxComplaints+1 {
		return
	}
	if p.bar != nil && !p.onTerminal {
		_ = p.bar.Clear()
	}
	fmt.Fprintln(p.stderr, "sbs-run:", err)
}

func (p *printer) result(r classify.FileResult) error {
	if p.quiet {
		return nil
	}
	switch p.format {
	case "json":
		return p.jsonResult(r)
	case "csv":
		return p.csvResult(r)
	}
	if r.Err != nil {
		return nil // reported already
	}
	_, err := fmt.Fprintf(p.stdout, "%s\t%s\t%.4f\t%s%s\n", oneLine(r.File), oneLine(r.Name), r.Probability, p.topText(r), p.verdict(r))
	return err
}

// oneLine quotes a name with control characters, which would break the line or column,
// or that is not UTF-8.
func oneLine(name string) string {
	if strings.ContainsFunc(name, unicode.IsControl) {
		return strconv.Quote(name)
	}
	return valid(name)
}

// valid quotes a name that is not UTF-8, which JSON cannot represent.
func valid(name string) string {
	if !utf8.ValidString(name) {
		return strconv.Quote(name)
	}
	return name
}

// topText lists the most probable classes.
func (p *printer) topText(r classify.FileResult) string {
	var s []string
	for _, g := range r.Top(p.top) {
		s = append(s, fmt.Sprintf("%s:%.4f", oneLine(g.Name), g.Probability))
	}
	return strings.Join(s, " ")
}

// verdict marks an image whose class is not its label.
func (p *printer) verdict(r classify.FileResult) string {
	if r.Label == classify.Unlabeled || r.Label == r.Class {
		return ""
	}
	return "\twrong: the label is " + oneLine(p.names[r.Label])
}

type jsonGuess struct {
	Class       string  `json:"class"`
	Index       int     `json:"index"`
	Probability float32 `json:"probability"`
}

type jsonResult struct {
	Image string      `json:"image"`
	Label *string     `json:"label,omitempty"`
	Top   []jsonGuess `json:"top,omitempty"` // most probable first
	Error string      `json:"error,omitempty"`
}

func (p *printer) label(r classify.FileResult) string {
	if r.Label < 0 || r.Label >= len(p.names) {
		return ""
	}
	return p.names[r.Label]
}

// jsonResult prints an entry of the document's list of results, on its own line.
func (p *printer) jsonResult(r classify.FileResult) error {
	j := jsonResult{Image: valid(r.File)}
	if l := p.label(r); l != "" {
		j.Label = &l
	}
	if r.Err != nil {
		j.Error = r.Err.Error()
	}
	for _, g := range r.Top(p.top) {
		j.Top = append(j.Top, jsonGuess{g.Name, g.Class, g.Probability})
	}
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	separator := ",\n"
	if !p.started {
		separator, p.started = "{\"results\":[\n", true
	}
	_, err = fmt.Fprintf(p.stdout, "%s%s", separator, b)
	return err
}

func (p *printer) csvResult(r classify.FileResult) error {
	if !p.started {
		p.started = true
		header := []string{"image", "label", "class", "probability"}
		for i := range min(p.top, len(p.names)) {
			header = append(header, fmt.Sprintf("class_%d", i+1), fmt.Sprintf("probability_%d", i+1))
		}
		if err := p.csv.Write(append(header, "error")); err != nil {
			return err
		}
	}
	row := []string{r.File, p.label(r)}
	if r.Err != nil {
		row = append(row, make([]string, 2+2*min(p.top, len(p.names)))...)
		return p.csv.Write(append(row, r.Err.Error()))
	}
	number := func(v float32) string { return strconv.FormatFloat(float64(v), 'g', -1, 32) }
	row = append(row, r.Name, number(r.Probability))
	for _, g := range r.Top(p.top) {
		row = append(row, g.Name, number(g.Probability))
	}
	return p.csv.Write(append(row, ""))
}

type jsonSummary struct {
	Model     string   `json:"model"`
	Images    int      `json:"images"`
	Failed    int      `json:"failed"`
	Seconds   float64  `json:"seconds"`
	Labelled  int      `json:"labelled"`
	Correct   int      `json:"correct"`
	Accuracy  *float64 `json:"accuracy,omitempty"`
	Classes   []string `json:"classes"`
	Confusion [][]int  `json:"confusion,omitempty"` // [label][class]
}

// summary ends the output. It goes to stderr with CSV, which has no place for it.
func (p *printer) summary(s *summary) error {
	switch p.format {
	case "csv":
		return s.print(p.stderr)
	case "json":
		return p.jsonSummary(s)
	}
	return s.print(p.stdout)
}

func (p *printer) jsonSummary(s *summary) error {
	j := jsonSummary{
		Model: s.model, Images: s.images, Failed: s.failed, Seconds: s.seconds, Classes: p.names, Labelled: s.labelled, Correct: s.correct,
	}
	if s.labelled > 0 {
		a := s.accuracy()
		j.Accuracy, j.Confusion = &a, s.confusion
	}
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	if !p.started {
		_, err = fmt.Fprint(p.stdout, "{\"results\":[")
	}
	if err == nil {
		_, err = fmt.Fprintf(p.stdout, "\n],\"summary\":%s}\n", b)
	}
	return err
}
