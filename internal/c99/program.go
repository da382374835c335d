package c99

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/spike-by-spike/sbs/convert"
)

//go:embed templates
var templates embed.FS

// program collects what a C file holds. The templates use its fields.
type program struct {
	Options
	NAME    string // Name in upper case, for macros
	Title   string
	Size    convert.Size // of an image
	Outputs int
	Output  string // the name of the output: probabilities, logits or that of the last layer
	Classes []string
	Stages  []stage

	// The sizes of the memory, in numbers.
	A, B, Patch, Neurons, NNMFNeurons int

	// Which parts of the templates the model needs.
	SbS, NNMF, Conv                     bool
	Few, Many                           bool // SbS layers of up to fewNeurons, and of more
	EpsilonXY, Forgetting               bool
	Crop, Add, Normalize, OnOffImage    bool
	OnOff, OnOffMean, ReLU              bool
	MaxPool, Mean2, MeanPool, MeanWhole bool

	arrays arrays
	layers strings.Builder // the constants that describe layers
}

// stage is one stage of a model.
type stage struct {
	Number    int
	Comment   string
	Random    bool     // whether it draws spikes
	Steps     []string // statements
	Threshold string   // "" in the last stage
	Last      string   // the memory of the output: a or b
}

// noThreshold is the threshold of the last stage.
const noThreshold = -1

func newProgram(o Options) *program {
	o.File, o.Source = comment(o.File), comment(o.Source)
	return &program{Options: o, NAME: strings.ToUpper(o.Name), arrays: arrays{names: map[[sha256.Size]byte]string{}}}
}

// Distributions reports whether a layer takes its input for distributions.
func (p *program) Distributions() bool { return p.SbS || p.NNMF }

// Windows reports whether a layer has a window that the code gets as an argument.
func (p *program) Windows() bool {
	return p.SbS || p.NNMF || p.Conv || p.MaxPool || p.Mean2 || p.MeanPool
}

// UsesFMA reports whether the code has fused multiply-adds.
func (p *program) UsesFMA() bool { return p.SbS || p.NNMF || p.Conv }

// Random reports whether a layer draws spikes.
func (p *program) Random() bool { return p.SbS }

// MinDeviation returns the smallest standard deviation by which images are divided.
func (p *program) MinDeviation() string { return float(convert.MinDeviation) }

// Inputs returns the number of pixels of an image.
func (p *program) Inputs() int { return p.Size.Channels * p.Size.Height * p.Size.Width }

// Bytes returns the size of the memory.
func (p *program) Bytes() int { return 4 * (p.A + p.B + p.Patch + p.Neurons + p.NNMFNeurons) }

// Input describes an image.
func (p *program) Input() string {
	return fmt.Sprintf("%d x %d x %d", p.Size.Channels, p.Size.Height, p.Size.Width)
}

// OutputText describes the output.
func (p *program) OutputText() string {
	if p.Output == convert.Probabilities || p.Output == convert.Logits {
		return "the " + p.Output + " of the classes"
	}
	return "the output of the last layer: channels, rows, columns"
}

// overlap describes a function that adds up products of h and weights.
type overlap struct {
	Function, Add string
	Fused         bool
}

// Overlaps returns the functions that the layers need.
func (p *program) Overlaps() []overlap {
	var list []overlap
	if p.Few {
		list = append(list, overlap{Function: "overlap_rounded", Add: "part[j] += h[i + j] * w[i + j];"})
	}
	if p.Many {
		list = append(list, overlap{Function: "overlap_fused", Add: "part[j] = fma_float(h[i + j], w[i + j], part[j]);", Fused: true})
	}
	if len(list) == 1 {
		list[0].Function = "overlap"
	}
	return list
}

// write returns the C file.
func (p *program) write() (*File, error) {
	var out bytes.Buffer
	t, err := template.ParseFS(templates, "templates/*.tmpl")
	if err != nil {
		return nil, fmt.Errorf("c99: %w", err)
	}
	part := func(use bool, name string) {
		if use && err == nil {
			err = t.ExecuteTemplate(&out, name+".c.tmpl", p)
		}
	}
	part(true, "head")
	if p.Distributions() {
		weight := "float"
		if p.Int8 {
			weight = "uint8_t"
		}
		fmt.Fprintf(&out, "\ntypedef %s weight;\n", weight)
	}
	if p.Conv {
		weight := "float"
		if p.Int8 {
			weight = "int8_t"
		}
		fmt.Fprintf(&out, "\ntypedef %s filter_weight;\n", weight)
	}
	part(p.Windows(), "window")
	part(p.SbS, "sbs")
	part(p.NNMF, "nnmf")
	part(p.Conv, "conv")
	part(true, "simple")
	head := tidy(out.Bytes())[1:]
	out = bytes.Buffer{}
	out.WriteString(p.layers.String())
	p.writeClasses(&out)
	part(true, "run")
	if err != nil {
		return nil, fmt.Errorf("c99: %w", err)
	}
	code := slices.Concat(head, p.arrays.text.Bytes(), tidy(out.Bytes()))
	return &File{Code: code, Constants: p.arrays.bytes, Memory: p.Bytes()}, nil
}

// tidy leaves one empty line where there are more, and one before all lines and none after them.
func tidy(code []byte) []byte {
	code = slices.Concat([]byte("\n"), bytes.Trim(code, "\n"), []byte("\n"))
	for {
		shorter := bytes.ReplaceAll(code, []byte("\n\n\n"), []byte("\n\n"))
		if len(shorter) == len(code) {
			return code
		}
		code = shorter
	}
}

func (p *program) writeClasses(out *bytes.Buffer) {
	if p.Classes == nil {
		return
	}
	fmt.Fprintf(out, "\nconst char *const %s_classes[%s_OUTPUTS] = {", p.Name, p.NAME)
	for i, c := range p.Classes {
		if i > 0 {
			out.WriteString(", ")
		}
		out.WriteString(quoted(c))
	}
	out.WriteString("};\n")
}

// quoted returns a string literal. Bytes that are not printable, and question marks, of which two may begin a
// trigraph, are octal: an octal escape has at most three digits, unlike a hexadecimal one.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~' || c == '?':
			fmt.Fprintf(&b, "\\%03o", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// arrays holds the constants of a file. Equal ones are stored once.
type arrays struct {
	text  bytes.Buffer
	names map[[sha256.Size]byte]string // by the hash of the type and the elements
	bytes int                          // of the elements
}

// add returns the name of an array with n elements of a type with the given size. elements are C expressions.
func (a *arrays) add(element string, elements []byte, n, size int) string {
	h := sha256.New()
	h.Write([]byte(element + " "))
	h.Write(elements) // fmt would copy them
	key := [sha256.Size]byte(h.Sum(nil))
	if name, ok := a.names[key]; ok {
		return name
	}
	name := "numbers_" + strconv.Itoa(len(a.names))
	a.names[key] = name
	a.bytes += n * size
	fmt.Fprintf(&a.text, "\nstatic const %s %s[%d] = {", element, name, n)
	a.text.Write(elements)
	a.text.WriteString("};\n")
	return name
}

// floats returns the name of an array of float.
func (a *arrays) floats(v []float32) string {
	return a.add("float", listed(v, func(b []byte, x float32) []byte { return appendFloat(b, x) }), len(v), 4)
}

// listed returns the elements of an array, in lines.
func listed[T any](v []T, appendTo func([]byte, T) []byte) []byte {
	const width = 100
	b := make([]byte, 0, 12*len(v)) // about the size for float
	line := 0
	for i, x := range v {
		if i > 0 {
			b = append(b, ',')
		}
		if i == 0 || len(b)-line > width {
			b = append(b, '\n')
			line = len(b)
		}
		b = appendTo(b, x)
	}
	return append(b, '\n')
}

// appendFloat appends a literal that every compiler reads as x.
func appendFloat(b []byte, x float32) []byte {
	n := len(b)
	b = strconv.AppendFloat(b, float64(x), 'g', -1, 32)
	if !bytes.ContainsAny(b[n:], ".e") {
		b = append(b, '.')
	}
	return append(b, 'f')
}

func float(x float32) string { return string(appendFloat(nil, x)) }

// double returns an exact constant of type long double: GCC's option -fsingle-precision-constant makes floats of
// those of type double.
func double(x float64) string { return strconv.FormatFloat(x, 'x', -1, 64) + "L" }
