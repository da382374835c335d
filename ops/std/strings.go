package std

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spike-by-spike/sbs/ops"
)

// texts returns the elements of a tensor of strings.
func texts(x *ops.Tensor) []string {
	s, _ := ops.Data[string](x)
	return s
}

// newStringConcat returns StringConcat (opset 20): the strings of the first input, each
// followed by the corresponding string of the second input. The shapes broadcast as for Add.
// There are no attributes.
func newStringConcat(n ops.Node) (operation, error) { return stringConcat{}, n.Attributes.Only() }

type stringConcat struct{}

func (stringConcat) infer(in []*ops.Input) (ops.Type, error) {
	for i, x := range in {
		if err := x.Type.CheckDType(fmt.Sprintf("input %d", i), ops.String); err != nil {
			return ops.Type{}, err
		}
	}
	return broadcastType(ops.String, in[0].Type, in[1].Type)
}

func (stringConcat) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	rank := len(out.Shape())
	n := newNest(out.Shape(), rowMajor(out.Shape()), broadcastStrides(in[0].Shape(), rank), broadcastStrides(in[1].Shape(), rank))
	to, a, b := texts(out), texts(in[0]), texts(in[1])
	return ctx.For(n.total, chunk, func(lo, hi int) error {
		step := n.inner()
		watching := cancelCheck{ctx: ctx}
		return n.walk(lo, hi, func(at [maxOperands]int, count int) error {
			for i := range count {
				x, y := a[at[1]+i*step[1]], b[at[2]+i*step[2]]
				if x != "" && y != "" { // otherwise the result takes no memory of its own
					if err := ctx.Reserve(int64(len(x)) + int64(len(y))); err != nil {
						return err
					}
				}
				to[at[0]+i*step[0]] = x + y
				if err := watching.after(len(x) + len(y)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// newRegexFullMatch returns RegexFullMatch (opset 20): whether each string matches a regular
// expression as a whole, bool.
//
// Attributes: pattern, in the syntax of RE2 (default: the empty pattern).
func newRegexFullMatch(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("pattern"); err != nil {
		return nil, err
	}
	pattern, err := ops.Attr(n.Attributes, "pattern", "")
	if err != nil {
		return nil, err
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, fmt.Errorf("%w: pattern: %w", ops.ErrAttribute, err)
	}
	whole, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("%w: pattern: %w", ops.ErrAttribute, err)
	}
	return regexFullMatch{whole}, nil
}

type regexFullMatch struct{ whole *regexp.Regexp }

func (regexFullMatch) infer(in []*ops.Input) (ops.Type, error) {
	return ops.Type{DType: ops.Bool, Shape: in[0].Shape}, in[0].Type.CheckDType("X", ops.String)
}

func (k regexFullMatch) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	from := texts(in[0])
	to, _ := ops.Data[bool](out)
	return ctx.For(len(from), 16, func(lo, hi int) error {
		watching := cancelCheck{ctx: ctx}
		for i := lo; i < hi; i++ {
			to[i] = k.whole.MatchString(from[i])
			if err := watching.after(16 * len(from[i])); err != nil { // a character takes many steps
				return err
			}
		}
		return nil
	})
}

// newStringNormalizer returns StringNormalizer (opset 10): the strings of a vector, or of a
// matrix of one row, without the stop words, in lower or upper case. If none is left, the
// output is one empty string.
//
// Attributes: case_change_action (NONE, the default, LOWER or UPPER), is_case_sensitive
// (default 0: stop words match strings in any case), stopwords, and locale, which has no
// effect: the mapping of Unicode applies.
func newStringNormalizer(n ops.Node) (multiOperation, error) {
	if err := n.Attributes.Only("case_change_action", "is_case_sensitive", "locale", "stopwords"); err != nil {
		return nil, err
	}
	k := &stringNormalizer{stop: map[string]bool{}, key: strings.ToLower}
	action, err := ops.Attr(n.Attributes, "case_change_action", "NONE")
	if err != nil {
		return nil, err
	}
	switch action {
	case "LOWER":
		k.change = strings.ToLower
	case "UPPER":
		k.change = strings.ToUpper
	case "NONE":
		k.change = func(s string) string { return s }
	default:
		return nil, fmt.Errorf("%w: case_change_action %q, want NONE, LOWER or UPPER", ops.ErrAttribute, action)
	}
	sensitive, err := flagAttr(n.Attributes, "is_case_sensitive")
	if err != nil {
		return nil, err
	}
	if sensitive {
		k.key = func(s string) string { return s }
	}
	if _, err := ops.Attr(n.Attributes, "locale", ""); err != nil {
		return nil, err
	}
	words, err := ops.Attr(n.Attributes, "stopwords", []string(nil))
	for _, w := range words {
		k.stop[k.key(w)] = true
	}
	return k, err
}

type stringNormalizer struct {
	stop        map[string]bool // by key
	key, change func(string) string
}

func (k *stringNormalizer) inferAll(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("X", ops.String); err != nil {
		return nil, err
	}
	if r := len(x.Shape); r != 1 && (r != 2 || x.Shape[0].Known() && x.Shape[0].Size != 1) {
		return nil, fmt.Errorf("%w: X is %v, want a vector or a matrix of one row", ops.ErrShape, x)
	}
	if len(x.Shape) == 1 {
		return []ops.Type{{DType: ops.String, Shape: []ops.Dim{unknown}}}, nil
	}
	return []ops.Type{{DType: ops.String, Shape: []ops.Dim{{Size: 1}, unknown}}}, nil
}

func (k *stringNormalizer) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	kept, err := ops.Temporary[string](ctx, max(1, in[0].Len()))
	if err != nil {
		return err
	}
	kept = kept[:0]
	watching := cancelCheck{ctx: ctx}
	for _, s := range texts(in[0]) {
		if err := ctx.Reserve(int64(len(s))); err != nil {
			return err
		}
		if len(k.stop) == 0 || !k.stop[k.key(s)] {
			kept = append(kept, k.change(s))
		}
		if err := watching.after(16 * (len(s) + 1)); err != nil {
			return err
		}
	}
	if len(kept) == 0 {
		kept = append(kept, "")
	}
	shape := []int{len(kept)}
	if len(in[0].Shape()) == 2 {
		shape = []int{1, len(kept)}
	}
	out[0], err = ops.NewTensor(shape, kept)
	return err
}

// newStringSplit returns StringSplit (opset 20): the parts of each string between delimiters,
// along a new last axis, on which empty strings follow the parts of shorter strings. The
// second output, int64, is the number of parts of each string. An empty string has none.
//
// Attributes: delimiter (default "": one or more white space characters, also at both ends),
// maxsplit (default: as many as there are): the number of delimiters at which a string is
// split.
func newStringSplit(n ops.Node) (multiOperation, error) {
	if err := n.Attributes.Only("delimiter", "maxsplit"); err != nil {
		return nil, err
	}
	delimiter, err := ops.Attr(n.Attributes, "delimiter", "")
	if err != nil {
		return nil, err
	}
	most, err := ops.Attr(n.Attributes, "maxsplit", int64(-1))
	return &stringSplit{delimiter, most}, err
}

type stringSplit struct {
	delimiter string
	most      int64 // the maximum number of splits; a negative number means no limit
}

func (k *stringSplit) inferAll(in []*ops.Input) ([]ops.Type, error) {
	x := in[0].Type
	if err := x.CheckDType("X", ops.String); err != nil {
		return nil, err
	}
	parts := append(append([]ops.Dim{}, x.Shape...), unknown)
	return []ops.Type{{DType: ops.String, Shape: parts}, {DType: ops.Int64, Shape: x.Shape}}, nil
}

func (k *stringSplit) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	if err := checkRank(len(in[0].Shape()) + 1); err != nil {
		return err
	}
	from := texts(in[0])
	counts, err := ops.Temporary[int64](ctx, len(from))
	if err != nil {
		return err
	}
	if len(out) > 1 {
		counts = out[1].Int64s()
	}
	each := func(f func(i int, s string)) error {
		return ctx.For(len(from), 16, func(lo, hi int) error {
			watching := cancelCheck{ctx: ctx}
			for i := lo; i < hi; i++ {
				f(i, from[i])
				if err := watching.after(4 * len(from[i])); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := each(func(i int, s string) {
		counts[i] = 0
		k.split(s, func(string) { counts[i]++ })
	}); err != nil {
		return err
	}
	longest := 0
	for _, n := range counts {
		longest = max(longest, int(n))
	}
	shape := append(append([]int{}, in[0].Shape()...), longest)
	if out[0], err = temporaryTensor(ctx, ops.String, shape); err != nil {
		return err
	}
	to := texts(out[0])
	return each(func(i int, s string) {
		at := i * longest
		k.split(s, func(part string) {
			to[at] = part
			at++
		})
	})
}

// split calls f for each part of a string.
func (k *stringSplit) split(s string, f func(part string)) {
	splits := k.most
	if k.delimiter == "" {
		for s = strings.TrimLeftFunc(s, isSpace); s != ""; s = strings.TrimLeftFunc(s, isSpace) {
			end := strings.IndexFunc(s, isSpace)
			if end < 0 || splits == 0 {
				f(strings.TrimRightFunc(s, isSpace))
				return
			}
			f(s[:end])
			s, splits = s[end:], splits-1
		}
		return
	}
	if s == "" { // not one empty part, as in onnxruntime
		return
	}
	for ; splits != 0; splits-- {
		part, rest, found := strings.Cut(s, k.delimiter)
		if !found {
			break
		}
		f(part)
		s = rest
	}
	f(s)
}

// isSpace reports whether a character is white space in ASCII.
func isSpace(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }
