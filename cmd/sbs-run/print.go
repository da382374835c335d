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

	"github.com/spike-by-spike/sbs/internal/dataset"
)

// printer writes the results in one of the formats, and shows the progress.
type printer struct {
	*flags
	network        *network
	stdout, stderr io.Writer
	csv            *csv.Writer
	started        bool // something of the json document was written
	bar            *progressbar.ProgressBar
	onTerminal     bool // results are printed on the terminal that shows the bar
	complaints     int
}

func newPrinter(f *flags, n *network, stdout, stderr io.Writer, total int) *printer {
	p := &printer{flags: f, network: n, stdout: stdout, stderr: stderr, csv: csv.NewWriter(stdout)}
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

// stop takes the progress bar away.
func (p *printer) stop() {
	if p.bar != nil {
		_ = p.bar.Clear() // only decoration
	}
}

// results prints those of a batch.
func (p *printer) results(batch []result) error {
	if p.onTerminal {
		_ = p.bar.Clear()
	}
	for _, r := range batch {
		if r.err != nil {
			p.complain(r.err)
		}
		if err := p.result(r); err != nil {
			return err
		}
	}
	p.csv.Flush()
	if err := p.csv.Error(); err != nil {
		return err
	}
	if p.bar != nil {
		_ = p.bar.Add(len(batch))
	}
	return nil
}

// maxComplaints is the number of broken images that are reported one by one: a
// whole folder of images of the wrong size is one mistake.
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

func (p *printer) result(r result) error {
	if p.quiet {
		return nil
	}
	switch p.format {
	case "json":
		return p.jsonResult(r)
	case "csv":
		return p.csvResult(r)
	}
	if r.err != nil {
		return nil // reported already
	}
	_, err := fmt.Fprintf(p.stdout, "%s\t%s\t%.4f\t%s%s\n", oneLine(r.name), p.network.shown(r.top[0].class), r.top[0].probability, p.topText(r), p.verdict(r))
	return err
}

// oneLine quotes a name that would not stay in its line and column, or that is
// not text.
func oneLine(name string) string {
	if strings.ContainsFunc(name, unicode.IsControl) {
		return strconv.Quote(name)
	}
	return valid(name)
}

// valid quotes a name that is not UTF-8: JSON would make the same of several.
func valid(name string) string {
	if !utf8.ValidString(name) {
		return strconv.Quote(name)
	}
	return name
}

// topText lists the most probable classes.
func (p *printer) topText(r result) string {
	s := make([]string, len(r.top))
	for i, g := range r.top {
		s[i] = fmt.Sprintf("%s:%.4f", p.network.shown(g.class), g.probability)
	}
	return strings.Join(s, " ")
}

// verdict marks an image that is not what its label says.
func (p *printer) verdict(r result) string {
	if r.label == dataset.Unlabelled || r.label == r.top[0].class {
		return ""
	}
	return "\twrong: it is " + p.network.shown(r.label)
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

func (p *printer) label(r result) string {
	if r.label < 0 || r.label >= p.network.outputs {
		return ""
	}
	return p.network.class(r.label)
}

// jsonResult prints an entry of the document's list of results, on a line of
// its own.
func (p *printer) jsonResult(r result) error {
	j := jsonResult{Image: valid(r.name)}
	if l := p.label(r); l != "" {
		j.Label = &l
	}
	if r.err != nil {
		j.Error = r.err.Error()
	}
	for _, g := range r.top {
		j.Top = append(j.Top, jsonGuess{p.network.class(g.class), g.class, g.probability})
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

func (p *printer) csvResult(r result) error {
	if !p.started {
		p.started = true
		header := []string{"image", "label", "class", "probability"}
		for i := range min(p.top, p.network.outputs) {
			header = append(header, fmt.Sprintf("class_%d", i+1), fmt.Sprintf("probability_%d", i+1))
		}
		if err := p.csv.Write(append(header, "error")); err != nil {
			return err
		}
	}
	row := []string{r.name, p.label(r)}
	if r.err != nil {
		row = append(row, make([]string, 2+2*min(p.top, p.network.outputs))...)
		return p.csv.Write(append(row, r.err.Error()))
	}
	number := func(v float32) string { return strconv.FormatFloat(float64(v), 'g', -1, 32) }
	row = append(row, p.network.class(r.top[0].class), number(r.top[0].probability))
	for _, g := range r.top {
		row = append(row, p.network.class(g.class), number(g.probability))
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

// summary ends the output. In csv, which has no place for it, it goes to
// stderr.
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
		Model: s.model, Images: s.images, Failed: s.failed, Seconds: s.seconds, Labelled: s.labelled, Correct: s.correct,
	}
	for i := range p.network.outputs {
		j.Classes = append(j.Classes, p.network.class(i))
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
