package tensors

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// parseSizes parses the flags --size, of which each is NAME=SIZE or NAME=SIZExSIZE... It
// returns the sizes by the name of an input or of a dimension.
func parseSizes(args []string) (map[string][]int, error) {
	sizes := map[string][]int{}
	for _, arg := range args {
		i := strings.LastIndex(arg, "=")
		if i < 1 {
			return nil, fmt.Errorf("--size %s: want NAME=SIZE for a dimension, such as batch=4, or NAME=SIZExSIZE for an input, such as x=1x3x224x224", arg)
		}
		name, shape := arg[:i], []int{}
		for word := range strings.SplitSeq(arg[i+1:], "x") {
			n, err := strconv.Atoi(word)
			if err != nil || n < 0 || n > ops.MaxElements {
				return nil, fmt.Errorf("--size %s: %q is not a size, a whole number from 0 to %d", arg, word, ops.MaxElements)
			}
			shape = append(shape, n)
		}
		if _, ok := sizes[name]; ok {
			return nil, fmt.Errorf("--size gives %s twice", name)
		}
		sizes[name] = shape
	}
	return sizes, nil
}

// fill adds random values for the inputs of the model that are missing.
func (in inputs) fill(m *runtime.Model, sizes map[string][]int, seed uint64) error {
	if err := in.checkSizes(m, sizes); err != nil {
		return cli.Usage(err)
	}
	var unknown []string
	for i, v := range m.Inputs() {
		if _, ok := in[v.Name]; ok {
			continue
		}
		if v.DType.IsContainer() {
			return cli.Usage(fmt.Errorf("input %q: --random cannot make %v: give it with %s", v.Name, v.Type, flagsOf(v)))
		}
		shape, missing := shapeOf(v, sizes)
		if len(missing) > 0 {
			unknown = append(unknown, fmt.Sprintf("\n  %s %v: %s", v.Name, v.Type, strings.Join(missing, " ")))
			continue
		}
		value, err := random(v.Type, shape, rand.New(rand.NewPCG(seed, uint64(i))))
		if err != nil {
			return fmt.Errorf("input %q: %w", v.Name, err)
		}
		in[v.Name] = source{value: value, random: true}
	}
	if len(unknown) > 0 {
		return cli.Usage(fmt.Errorf("--random needs the sizes of these inputs:%s", strings.Join(unknown, "")))
	}
	return nil
}

// checkSizes returns an error for sizes that fit no input or have no effect.
func (in inputs) checkSizes(m *runtime.Model, sizes map[string][]int) error {
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		size := sizes[name]
		if i := slices.IndexFunc(m.Inputs(), func(v runtime.ValueInfo) bool { return v.Name == name }); i >= 0 {
			v := m.Inputs()[i]
			if s, ok := in[name]; ok {
				return fmt.Errorf("--size gives the shape of input %q, but its values come from %s", name, s.text())
			}
			if v.DType != 0 && !fits(v.Type, size) {
				return fmt.Errorf("--size %s=%s does not fit the input, which is %v", name, shapeText(size), v.Type)
			}
			continue
		}
		symbols := symbolsOf(m)
		switch {
		case !slices.Contains(symbols, name) && len(symbols) == 0:
			return fmt.Errorf("--size %s: the model has no input and no dimension of this name; %s", name, listInputs(m))
		case !slices.Contains(symbols, name):
			return fmt.Errorf("--size %s: the model has no input and no dimension of this name; its dimensions are %s", name, strings.Join(symbols, ", "))
		case len(size) != 1:
			return fmt.Errorf("--size %s=%s: %s is a dimension, which has one size", name, shapeText(size), name)
		}
	}
	return nil
}

// symbolsOf returns the names of the dimensions of the inputs.
func symbolsOf(m *runtime.Model) []string {
	var names []string
	for _, v := range m.Inputs() {
		for _, d := range v.Shape {
			if !d.Known() && d.Symbol != "" && !slices.Contains(names, d.Symbol) {
				names = append(names, d.Symbol)
			}
		}
	}
	return names
}

// shapeOf returns the shape of an input, or the flags --size that it needs. The first
// dimension, which is usually the batch, is 1 by default.
func shapeOf(v runtime.ValueInfo, sizes map[string][]int) (shape []int, missing []string) {
	if shape, ok := sizes[v.Name]; ok {
		return shape, nil
	}
	if v.DType == 0 || v.Unranked {
		return nil, []string{"--size " + v.Name + "=..."}
	}
	unnamed := false
	for i, d := range v.Shape {
		size := d.Size
		switch given, ok := sizes[d.Symbol]; {
		case d.Known():
		case ok:
			size = given[0]
		case i == 0:
			size = 1
		case d.Symbol == "":
			unnamed = true
		default:
			missing = append(missing, "--size "+d.Symbol+"=N")
		}
		shape = append(shape, size)
	}
	if unnamed {
		words := make([]string, len(shape))
		for i, n := range shape {
			if words[i] = strconv.Itoa(n); n < 0 {
				words[i] = "N"
			}
		}
		missing = []string{"--size " + v.Name + "=" + strings.Join(words, "x")}
	}
	return shape, missing
}

func shapeText(shape []int) string {
	words := make([]string, len(shape))
	for i, n := range shape {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, "x")
}

// random returns a tensor of random values: floating-point numbers from 0 to 1, and integers
// that are 0 or 1, which are valid indices of most tables.
func random(t ops.Type, shape []int, r *rand.Rand) (*ops.Tensor, error) {
	dtype := t.DType
	if dtype == 0 {
		dtype = ops.Float32
	}
	x, err := ops.Zeros(dtype, shape)
	if err != nil {
		return nil, err
	}
	bit := func() int { return r.IntN(2) }
	switch d := x.Elements().(type) {
	case []float32:
		each(d, r.Float32)
	case []float64:
		each(d, r.Float64)
	case []int8:
		each(d, func() int8 { return int8(bit()) })
	case []int16:
		each(d, func() int16 { return int16(bit()) })
	case []int32:
		each(d, func() int32 { return int32(bit()) })
	case []int64:
		each(d, func() int64 { return int64(bit()) })
	case []uint8:
		each(d, func() uint8 { return uint8(bit()) })
	case []uint16:
		each(d, func() uint16 { return uint16(bit()) })
	case []uint32:
		each(d, func() uint32 { return uint32(bit()) })
	case []uint64:
		each(d, func() uint64 { return uint64(bit()) })
	case []ops.I4:
		each(d, func() ops.I4 { return ops.I4(bit()) })
	case []ops.I2:
		each(d, func() ops.I2 { return ops.I2(bit()) })
	case []ops.U4:
		each(d, func() ops.U4 { return ops.U4(bit()) })
	case []ops.U2:
		each(d, func() ops.U2 { return ops.U2(bit()) })
	case []bool:
		each(d, func() bool { return bit() == 1 })
	case []string:
		each(d, func() string { return strconv.Itoa(bit()) })
	default:
		values := make([]float32, x.Len())
		each(values, r.Float32)
		return small(shape, values, dtype, false)
	}
	return x, nil
}

// each sets every element to the next value of f.
func each[T any](d []T, f func() T) {
	for i := range d {
		d[i] = f()
	}
}
