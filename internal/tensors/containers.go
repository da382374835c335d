package tensors

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// A sequence, an optional value or a map consists of parts, which are tensors. Inputs and outputs name
// them in the same way: s.0, s.1 and so on are the items of sequence s, m.keys and m.values are the
// tensors of map m, and an optional value has the name of its value. Names can be nested: s.0.keys.

// The names of the parts of a map.
const (
	keysPart   = "keys"
	valuesPart = "values"
)

// joined returns the name of a part of a value.
func joined(name, part string) string {
	if name == "" {
		return part
	}
	return name + "." + part
}

// inputOf returns the input that has a name or that has a part of this name, and the part.
func inputOf(m *runtime.Model, name string) (v runtime.ValueInfo, part string, ok bool) {
	for _, w := range allInputs(m) {
		if w.Name == name {
			return w, "", true
		}
		if rest, cut := strings.CutPrefix(name, w.Name+"."); cut && w.DType.IsContainer() && (!ok || len(w.Name) > len(v.Name)) {
			v, part, ok = w, rest, true
		}
	}
	return v, part, ok
}

// partType returns the type of the tensor that is a part of a value, and the full name of the part: an
// item without a number is the next one of a sequence.
func partType(name string, t ops.Type, part string, taken map[string]source) (ops.Type, string, error) {
	full, rest := "", part
	for t.DType.IsContainer() {
		if t.DType == ops.Optional {
			t = *t.Elem
			continue
		}
		word, after, _ := strings.Cut(rest, ".")
		switch {
		case t.DType == ops.Map && word == keysPart:
			t = ops.Type{DType: t.Key}
		case t.DType == ops.Map && word == valuesPart:
			t = *t.Elem
		case t.DType == ops.Map:
			return t, "", fmt.Errorf("input %q is a map: give its keys and values as inputs, --input %s=FILE.npy --input %s=FILE.npy", name, joined(name, joined(full, keysPart)), joined(name, joined(full, valuesPart)))
		case word == "" && !t.Elem.DType.IsContainer():
			n := 0
			for hasPart(taken, joined(full, strconv.Itoa(n))) {
				n++
			}
			word, t = strconv.Itoa(n), *t.Elem
		default:
			if n, err := strconv.Atoi(word); err != nil || n < 0 || strconv.Itoa(n) != word {
				return t, "", fmt.Errorf("input %q is %v: its items are %s, %s and so on", name, t, joined(name, joined(full, "0")), joined(name, joined(full, "1")))
			}
			t = *t.Elem
		}
		full, rest = joined(full, word), after
	}
	if rest != "" {
		return t, "", fmt.Errorf("input %q has no part %q", name, joined(full, rest))
	}
	return ops.Type{DType: t.DType, Unranked: true}, full, nil
}

// hasPart reports whether a value has a part of the given name, or parts of it.
func hasPart(parts map[string]source, name string) bool {
	for p := range parts {
		if p == name || strings.HasPrefix(p, name+".") {
			return true
		}
	}
	return false
}

// assemble makes the values that consist of parts.
func (in inputs) assemble(m *runtime.Model) error {
	for _, v := range allInputs(m) {
		s, ok := in[v.Name]
		if !ok || s.parts == nil {
			continue
		}
		used := 0
		value, err := assembled(v.Type, "", s.parts, &used)
		if err == nil && used < len(s.parts) {
			var given []string
			for _, part := range slices.Sorted(maps.Keys(s.parts)) {
				given = append(given, joined(v.Name, part))
			}
			err = fmt.Errorf("items are missing; only these are given: %s", strings.Join(given, ", "))
		}
		if err != nil {
			return cli.Usage(fmt.Errorf("input %q is %v: %w", v.Name, v.Type, err))
		}
		s.value = value
		in[v.Name] = s
	}
	return nil
}

// assembled returns the value of type t whose parts start with a name, and counts them.
func assembled(t ops.Type, name string, parts map[string]source, used *int) (*ops.Tensor, error) {
	switch t.DType {
	case ops.Sequence:
		var items []*ops.Tensor
		for hasPart(parts, joined(name, strconv.Itoa(len(items)))) {
			x, err := assembled(*t.Elem, joined(name, strconv.Itoa(len(items))), parts, used)
			if err != nil {
				return nil, err
			}
			items = append(items, x)
		}
		return ops.NewSequence(*t.Elem, items)
	case ops.Optional:
		if len(parts) == 0 {
			return ops.NewOptional(*t.Elem, nil)
		}
		x, err := assembled(*t.Elem, name, parts, used)
		if err != nil {
			return nil, err
		}
		return ops.NewOptional(*t.Elem, x)
	case ops.Map:
		keys, ok := parts[joined(name, keysPart)]
		values, ok2 := parts[joined(name, valuesPart)]
		if !ok || !ok2 {
			return nil, fmt.Errorf("want %s and %s", joined(name, keysPart), joined(name, valuesPart))
		}
		*used += 2
		return ops.NewMap(keys.value, values.value)
	}
	*used++
	return parts[name].value, nil
}

// itemsOf returns the names of the arrays in an archive that are the parts of a container: those with
// its name, or all if numpy.savez has numbered them.
func itemsOf(names []string, input string) ([]string, error) {
	var named, numbered []string
	for _, n := range names {
		if n == input || strings.HasPrefix(n, input+".") {
			named = append(named, n)
		}
	}
	for i := range names {
		if n := fmt.Sprint("arr_", i); slices.Contains(names, n) {
			numbered = append(numbered, n)
		}
	}
	switch {
	case len(named) > 0:
		return named, nil
	case len(numbered) == len(names):
		return numbered, nil
	}
	return nil, fmt.Errorf("none of the arrays (%s) is named %s.0, and they are not arr_0, arr_1 and so on as in numpy.savez(FILE, *items)", strings.Join(names, ", "), input)
}
