package classification

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// style says how results are printed.
type style struct {
	format string
	top    int  // number of most probable classes
	quiet  bool // no progress bar and no results of single images
}

// printer prints the results in one of the formats, and the progress.
type printer struct {
	style
	classes        []string // names of the classes
	paths          []string // arguments of the command, for the text of errors
	part           *part    // receives the results instead of stdout, nil without --shard
	stdout, stderr io.Writer
	csv            *csv.Writer
	staged         bool // the model has stages
	started        bool // the start of the JSON document or the CSV header is written
	bar            *progressbar.ProgressBar
	onTerminal     bool // stdout and the progress bar are on the same terminal
	failures       int  // images that could not be classified, so far
}

// newPrinter returns a printer for the results of total images.
func newPrinter(how style, classes, paths []string, stdout, stderr io.Writer, total int) *printer {
	p := &printer{style: how, classes: classes, paths: paths, stdout: stdout, stderr: stderr, csv: csv.NewWriter(stdout)}
	if how.quiet || !isTerminal(stderr) {
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
	_ = p.bar.RenderBlank() // starts the clock of the bar
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printAll prints results and adds them to a summary.
func (p *printer) printAll(results iter.Seq2[result, error], s *summary) error {
	defer p.clearBar()
	for r, err := range results {
		if err != nil {
			return err
		}
		s.add(r)
		if err := p.print(r); err != nil {
			return err
		}
	}
	return nil
}

// clearBar removes the progress bar from the screen, until it is drawn again.
func (p *printer) clearBar() {
	if p.bar != nil {
		_ = p.bar.Clear() // an error here affects no result
	}
}

// print prints the result of one image.
func (p *printer) print(r result) error {
	if p.onTerminal {
		p.clearBar()
	}
	if r.failed() {
		p.printFailure(r)
	}
	if err := p.printResult(r); err != nil {
		return err
	}
	p.csv.Flush()
	if p.bar != nil {
		_ = p.bar.Add(1)
	}
	return p.csv.Error()
}

// maxFailures is the number of failures that are printed one by one. If all images of a
// folder have the wrong size, more lines would not help.
const maxFailures = 10

// printFailure prints the error of an image to stderr, whatever the format of the results.
func (p *printer) printFailure(r result) {
	p.failures++
	if p.failures > maxFailures+1 {
		return
	}
	text := r.Error
	if p.failures == maxFailures+1 {
		text = "... more images could not be classified: --format json and csv list all of them"
	}
	if !p.onTerminal {
		p.clearBar()
	}
	fmt.Fprintln(p.stderr, "sbs-run:", text)
}

// printResult prints the result of an image to stdout, or writes it to the part.
func (p *printer) printResult(r result) error {
	switch {
	case p.part != nil:
		return p.part.add(r)
	case p.quiet:
		return nil
	case p.format == formatJSON:
		return p.jsonResult(r)
	case p.format == formatCSV:
		return p.csvResult(r)
	case r.failed():
		return nil // the error is on stderr
	}
	_, err := fmt.Fprintf(p.stdout, "%s\t%s\t%.4f\t%s%s%s\n",
		oneLine(r.Image), oneLine(p.classes[r.class()]), r.Top[0].Probability, p.topText(r), p.stageText(r), p.wrongLabel(r))
	return err
}

// oneLine quotes a name that is not UTF-8 or contains control characters: a newline or a
// tab would break the line or the column.
func oneLine(name string) string {
	if strings.ContainsFunc(name, unicode.IsControl) {
		return strconv.Quote(name)
	}
	return validUTF8(name)
}

// validUTF8 quotes a name that is not UTF-8, which JSON cannot represent.
func validUTF8(name string) string {
	if !utf8.ValidString(name) {
		return strconv.Quote(name)
	}
	return name
}

// topText lists the most probable classes with their probabilities.
func (p *printer) topText(r result) string {
	var s []string
	for _, g := range r.Top {
		s = append(s, fmt.Sprintf("%s:%.4f", oneLine(p.classes[g.Class]), g.Probability))
	}
	return strings.Join(s, " ")
}

// stageText returns a column with the stage at which an image left and the updates that it took,
// if the model has stages.
func (p *printer) stageText(r result) string {
	if !p.staged {
		return ""
	}
	return fmt.Sprintf("\tstage %d, %d updates", r.Stage, r.Updates)
}

// wrongLabel returns a column with the label if it differs from the class.
func (p *printer) wrongLabel(r result) string {
	if r.Label == classify.Unlabeled || r.Label == r.class() {
		return ""
	}
	return "\twrong: the label is " + oneLine(p.classes[r.Label])
}

// jsonGuess is an entry of jsonResult.
type jsonGuess struct {
	Class       string  `json:"class"`
	Index       int     `json:"index"`
	Probability float32 `json:"probability"`
}

// jsonResult is the result of one image.
type jsonResult struct {
	Image string      `json:"image"`
	Label *string     `json:"label,omitempty"`
	Top   []jsonGuess `json:"top,omitempty"` // most probable first

	Inverted bool `json:"inverted,omitempty"` // dark became light
	Blank    bool `json:"blank,omitempty"`    // all pixels have nearly the same value

	// Of a model with stages.
	Stage   int   `json:"stage,omitempty"`   // at which the image left
	Updates int64 `json:"updates,omitempty"` // spike updates in all stages

	Error string `json:"error,omitempty"`
}

// label returns the name of the label, or "" if the image has no label or an invalid one.
func (p *printer) label(r result) string {
	if r.Label < 0 || r.Label >= len(p.classes) {
		return ""
	}
	return p.classes[r.Label]
}

// jsonResult prints an entry of the list of results on a separate line.
func (p *printer) jsonResult(r result) error {
	j := jsonResult{Image: validUTF8(r.Image), Inverted: r.Inverted, Blank: r.Blank, Error: r.Error}
	if l := p.label(r); l != "" {
		j.Label = &l
	}
	for _, g := range r.Top {
		j.Top = append(j.Top, jsonGuess{p.classes[g.Class], g.Class, g.Probability})
	}
	if p.staged {
		j.Stage, j.Updates = r.Stage, r.Updates
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

// csvResult writes the row of an image. An image that could not be classified has empty
// columns and an error in the last column.
func (p *printer) csvResult(r result) error {
	if !p.started {
		p.started = true
		header := []string{"image", "label", "class", "probability"}
		for i := range min(p.top, len(p.classes)) {
			header = append(header, fmt.Sprintf("class_%d", i+1), fmt.Sprintf("probability_%d", i+1))
		}
		if p.staged {
			header = append(header, "stage", "updates")
		}
		if err := p.csv.Write(append(header, "error")); err != nil {
			return err
		}
	}
	row := []string{r.Image, p.label(r)}
	if r.failed() {
		row = append(row, make([]string, 2+2*min(p.top, len(p.classes)))...)
		if p.staged {
			row = append(row, "", "")
		}
		return p.csv.Write(append(row, r.Error))
	}
	format := func(v float32) string { return strconv.FormatFloat(float64(v), 'g', -1, 32) }
	row = append(row, p.classes[r.class()], format(r.Top[0].Probability))
	for _, g := range r.Top {
		row = append(row, p.classes[g.Class], format(g.Probability))
	}
	if p.staged {
		row = append(row, strconv.Itoa(r.Stage), strconv.FormatInt(r.Updates, 10))
	}
	return p.csv.Write(append(row, ""))
}

// jsonSummary is the summary at the end of the JSON document.
type jsonSummary struct {
	Model     string   `json:"model"`
	Noise     string   `json:"noise,omitempty"` // as in the flag --noise
	Images    int      `json:"images"`
	Failed    int      `json:"failed"`
	Seconds   float64  `json:"seconds"`
	Inverted  int      `json:"inverted,omitempty"`
	Blank     int      `json:"blank,omitempty"`
	Labeled   int      `json:"labeled"`
	Correct   int      `json:"correct"`
	Accuracy  *float64 `json:"accuracy,omitempty"`
	Classes   []string `json:"classes"`
	Confusion [][]int  `json:"confusion,omitempty"` // [label][class]

	// Of a model with stages: the stages, and the spike updates of an image on average.
	Stages  []jsonStage `json:"stages,omitempty"`
	Updates *float64    `json:"updates,omitempty"`

	// Why there are results for a part of the images only, such as "interrupted".
	Error string `json:"error,omitempty"`
}

// jsonStage counts the images that left at a stage.
type jsonStage struct {
	Stage    int      `json:"stage"`
	Images   int      `json:"images"`
	Labeled  int      `json:"labeled"`
	Correct  int      `json:"correct"`
	Accuracy *float64 `json:"accuracy,omitempty"`
	Updates  *float64 `json:"updates,omitempty"` // of an image on average, in all stages up to this one
}

// end prints the warnings about the images, and the summary. invert is the flag --invert.
func (p *printer) end(s *summary, invert string) error {
	cli.PrintWarnings(p.stderr, cli.PictureWarnings(invert, s.inverted, s.images, s.blank)...)
	return p.summary(s)
}

// summary prints the summary and ends the output. With CSV or a part, it prints to stderr,
// because the summary is not a row.
func (p *printer) summary(s *summary) error {
	switch {
	case p.part != nil:
		return errors.Join(p.part.end(s.seconds), s.print(p.stderr))
	case p.format == formatCSV:
		return s.print(p.stderr)
	case p.format == formatJSON:
		return p.jsonSummary(s, "")
	}
	return s.print(p.stdout)
}

// abort ends the output after an error, because of which there are results for a part of the
// images only. A JSON document has to be complete; the other formats are as they are, and a part
// is not complete.
func (p *printer) abort(s *summary, err error) error {
	if p.part != nil || p.format != formatJSON {
		return nil
	}
	return p.jsonSummary(s, cli.Message(err, p.paths))
}

// jsonSummary prints the summary. reason says why it is about a part of the images only.
func (p *printer) jsonSummary(s *summary, reason string) error {
	j := jsonSummary{
		Error: reason,
		Model: s.model, Noise: s.noise, Images: s.images, Failed: s.failed, Seconds: s.seconds, Classes: p.classes, Labeled: s.labeled, Correct: s.correct,
		Inverted: s.inverted, Blank: len(s.blank),
	}
	if s.labeled > 0 {
		a := s.accuracy()
		j.Accuracy, j.Confusion = &a, s.confusion
	}
	for i, c := range s.stages {
		j.Stages = append(j.Stages, jsonStage{i + 1, c.images, c.labeled, c.correct, ratio(c.correct, c.labeled), ratio(c.updates, c.images)})
	}
	if s.stages != nil {
		j.Updates = ratio(s.total().updates, s.total().images)
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
