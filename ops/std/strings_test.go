package std

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/ops/opstest"
)

func stringsOf(shape []int, values ...string) *ops.Tensor { return opstest.Tensor(shape, values...) }

func TestStringConcat_Broadcasts(t *testing.T) {
	opstest.Run(t, find(t, "StringConcat"), []opstest.Case{
		{Name: "rows", Opset: 20, Inputs: tensors{stringsOf([]int{2, 2}, "a", "", "c", "ü"), stringsOf([]int{2}, "1", "2")}, Outputs: tensors{stringsOf([]int{2, 2}, "a1", "2", "c1", "ü2")}},
		{Name: "scalars", Opset: 20, Inputs: tensors{stringsOf(nil, "a"), stringsOf(nil, "b")}, Outputs: tensors{stringsOf(nil, "ab")}},
		{Name: "numbers", Opset: 20, Inputs: tensors{stringsOf(nil, "a"), opstest.Ints(1)}, WantErr: "input 1 is int64(1), want string"},
		{Name: "shapes", Opset: 20, Inputs: tensors{stringsOf([]int{2}, "a", "b"), stringsOf([]int{3}, "a", "b", "c")}, WantErr: "shape"},
	})
}

// TestStringConcat_CountsMemory doubles a string: the shapes of the tensors tell nothing about
// their memory.
func TestStringConcat_CountsMemory(t *testing.T) {
	op, err := find(t, "StringConcat").New(ops.Node{Opset: 20, NumInputs: 2})
	require.NoError(t, err)
	x := stringsOf(nil, strings.Repeat("x", 1<<20))
	ctx := &ops.Context{Memory: &ops.Memory{Limit: 1 << 20}}
	require.ErrorIs(t, op.Run(ctx, tensors{x, x}, tensors{stringsOf(nil, "")}), ops.ErrMemory)
}

func TestRegexFullMatch_MatchesWholeStrings(t *testing.T) {
	x := stringsOf([]int{4}, "ab", "abc", "b\n", "")
	pattern := func(p string) ops.Attributes { return attrs{"pattern": p} }
	opstest.Run(t, find(t, "RegexFullMatch"), []opstest.Case{
		{Name: "letters", Opset: 20, Attributes: pattern("a|ab|b"), Inputs: tensors{x}, Outputs: tensors{opstest.Tensor([]int{4}, true, false, false, false)}},
		{Name: "lines", Opset: 20, Attributes: pattern("(?m)^b$"), Inputs: tensors{x}, Outputs: tensors{opstest.Tensor([]int{4}, false, false, false, false)}},
		{Name: "empty pattern", Opset: 20, Inputs: tensors{x}, Outputs: tensors{opstest.Tensor([]int{4}, false, false, false, true)}},
		{Name: "invalid pattern", Opset: 20, Attributes: pattern("a)(b"), Inputs: tensors{x}, WantErr: "pattern: error parsing regexp"},
	})
}

func TestStringNormalizer_RemovesStopWords(t *testing.T) {
	x := stringsOf([]int{4}, "Monday", "monday", "Über", "")
	opstest.Run(t, find(t, "StringNormalizer"), []opstest.Case{
		{Name: "nothing to do", Inputs: tensors{x}, OpenSizes: true, Outputs: tensors{x}},
		{
			Name: "any case", Attributes: attrs{"stopwords": []string{"MONDAY"}, "case_change_action": "UPPER"}, Inputs: tensors{x}, OpenSizes: true,
			Outputs: tensors{stringsOf([]int{2}, "ÜBER", "")},
		},
		{
			Name: "case counts", Attributes: attrs{"stopwords": []string{"monday"}, "is_case_sensitive": int64(1), "case_change_action": "LOWER"}, Inputs: tensors{stringsOf([]int{1, 4}, "Monday", "monday", "Über", "")}, OpenSizes: true,
			Outputs: tensors{stringsOf([]int{1, 3}, "monday", "über", "")},
		},
		{Name: "none is left", Attributes: attrs{"stopwords": []string{"a"}}, Inputs: tensors{stringsOf([]int{1, 2}, "a", "A")}, OpenSizes: true, Outputs: tensors{stringsOf([]int{1, 1}, "")}},
		{Name: "two rows", Inputs: tensors{stringsOf([]int{2, 1}, "a", "b")}, WantErr: "want a vector or a matrix of one row"},
		{Name: "unknown action", Attributes: attrs{"case_change_action": "TITLE"}, Inputs: tensors{x}, WantErr: `case_change_action "TITLE"`},
	})
}

func TestStringSplit_DividesStrings(t *testing.T) {
	x := stringsOf([]int{2, 2}, "a,b,,c", "", ",", "x")
	counts := func(n ...int64) *ops.Tensor { return opstest.I64([]int{2, 2}, n...) }
	opstest.Run(t, find(t, "StringSplit"), []opstest.Case{
		{
			Name: "delimiter", Opset: 20, Attributes: attrs{"delimiter": ","}, Inputs: tensors{x}, OpenSizes: true,
			Outputs: tensors{stringsOf([]int{2, 2, 4}, "a", "b", "", "c", "", "", "", "", "", "", "", "", "x", "", "", ""), counts(4, 0, 2, 1)},
		},
		{
			Name: "one split", Opset: 20, Attributes: attrs{"delimiter": ",", "maxsplit": int64(1)}, Inputs: tensors{x}, OpenSizes: true,
			Outputs: tensors{stringsOf([]int{2, 2, 2}, "a", "b,,c", "", "", "", "", "x", ""), counts(2, 0, 2, 1)},
		},
		{Name: "white space", Opset: 20, Inputs: tensors{stringsOf([]int{2}, " a \t b\n", "  ")}, OpenSizes: true, Outputs: tensors{stringsOf([]int{2, 2}, "a", "b", "", ""), opstest.Ints(2, 0)}},
		{Name: "one split at white space", Opset: 20, Attributes: attrs{"maxsplit": int64(1)}, Inputs: tensors{stringsOf(nil, " a  b c ")}, OpenSizes: true, Outputs: tensors{stringsOf([]int{2}, "a", "b c"), opstest.I64(nil, 2)}},
		{Name: "no strings", Opset: 20, Inputs: tensors{stringsOf([]int{0})}, OpenSizes: true, Outputs: tensors{stringsOf([]int{0, 0}), opstest.I64([]int{0})}},
		{Name: "numbers", Opset: 20, Inputs: tensors{opstest.Ints(1)}, WantErr: "X is int64(1), want string"},
	})
}

func TestTfIdfVectorizer_CountsGrams(t *testing.T) {
	x := opstest.I32([]int{2, 6}, 1, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8)
	with := func(more ops.Attributes) ops.Attributes {
		a := attrs{
			"mode": "TF", "min_gram_length": int64(2), "max_gram_length": int64(2), "max_skip_count": int64(0),
			"ngram_counts": []int64{0, 4}, "ngram_indexes": []int64{0, 1, 2, 3, 4, 5, 6}, "pool_int64s": []int64{2, 3, 5, 4, 5, 6, 7, 8, 6, 7},
		}
		for k, v := range more {
			a[k] = v
		}
		return a
	}
	out := func(v ...float32) tensors { return tensors{opstest.F32([]int{2, 7}, v...)} }
	opstest.Run(t, find(t, "TfIdfVectorizer"), []opstest.Case{
		{Name: "pairs", Attributes: with(nil), Inputs: tensors{x}, Batch: []int{0}, Outputs: out(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1)},
		{Name: "skips", Attributes: with(attrs{"max_skip_count": int64(5)}), Inputs: tensors{x}, Outputs: out(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1)},
		{
			Name: "single items, too", Attributes: with(attrs{"min_gram_length": int64(1), "max_skip_count": int64(1 << 62)}), Inputs: tensors{x},
			Outputs: out(0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 1),
		},
		{
			Name: "weights", Attributes: with(attrs{"min_gram_length": int64(1), "max_gram_length": int64(1), "mode": "TFIDF", "weights": []float32{1, 0.5, 2, 4, 5, 6, 7}}), Inputs: tensors{x},
			Outputs: out(0, 1.5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0),
		},
		{
			Name: "once", Attributes: with(attrs{"min_gram_length": int64(1), "max_gram_length": int64(1), "mode": "IDF", "weights": []float32{1, 0.5, 2, 4, 5, 6, 7}}), Inputs: tensors{x},
			Outputs: out(0, 0.5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0),
		},
		{
			Name: "strings", Attributes: attrs{
				"mode": "TF", "min_gram_length": int64(1), "max_gram_length": int64(2), "max_skip_count": int64(0),
				"ngram_counts": []int64{0, 1}, "ngram_indexes": []int64{2, 0}, "pool_strings": []string{"a", "a", "b"},
			},
			Inputs: tensors{stringsOf([]int{3}, "a", "b", "a")}, Outputs: tensors{opstest.F32([]int{3}, 1, 0, 2)},
		},
		{Name: "pool too small", Attributes: with(attrs{"ngram_counts": []int64{0, 11}}), Inputs: tensors{x}, WantErr: "does not divide a pool of 10 items"},
		{Name: "no mode", Attributes: attrs{}, Inputs: tensors{x}, WantErr: "max_gram_length is missing"},
		{Name: "strings for integers", Attributes: with(nil), Inputs: tensors{stringsOf([]int{1}, "a")}, WantErr: "X is string(1)"},
	})
}
