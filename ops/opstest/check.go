package opstest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/spike-by-spike/sbs/ops"
)

// check returns an error that says what is wrong with the operator or with the case.
func (c *Case) check(ctx context.Context, operator ops.Operator) error {
	if err := c.validate(operator); err != nil {
		return err
	}
	node := ops.Node{Attributes: c.Attributes, Opset: opset(c.Opset, operator), NumInputs: len(c.Inputs), NumOutputs: len(c.Outputs)}
	op, err := operator.New(node)
	if err != nil {
		return wanted("New", err, c.WantErr)
	}
	if c.WantErr != "" {
		_, err := op.Infer(c.inputs(plain))
		if err := wanted("Infer", err, c.WantErr); err != nil {
			return err
		}
		_, err = c.run(ctx, op, 1)
		return wanted("Run", err, c.WantErr)
	}
	if n := len(c.Inputs); n < operator.MinInputs || operator.MaxInputs != ops.Variadic && n > operator.MaxInputs {
		return fmt.Errorf("the operator does not allow the case's %d inputs", n)
	}
	if c.WantRunErr != "" {
		if _, err := op.Infer(c.inputs(plain)); err != nil {
			return fmt.Errorf("Infer: %w", err)
		}
		_, err = c.run(ctx, op, 1)
		return wanted("Run", err, c.WantRunErr)
	}
	if n := len(c.Outputs); n < operator.MinOutputs || operator.MaxOutputs != ops.Variadic && n > operator.MaxOutputs {
		return fmt.Errorf("the operator does not allow the case's %d outputs", n)
	}
	return c.checkResults(ctx, op)
}

// validate returns an error if the case or the operator cannot be checked at all.
func (c *Case) validate(operator ops.Operator) error {
	if operator.New == nil {
		return errors.New("the operator has no New")
	}
	for _, i := range c.Batch {
		if i < 0 || i >= len(c.Inputs) || c.Inputs[i] == nil {
			return fmt.Errorf("the case has no input %d, which Batch lists", i)
		}
		x, first := c.Inputs[i].Shape(), c.Inputs[c.Batch[0]].Shape()
		if len(x) == 0 || x[0] != first[0] {
			return fmt.Errorf("input %d is %v and does not have the batch of input %d", i, ops.TypeOf(c.Inputs[i]), c.Batch[0])
		}
	}
	return nil
}

// checkResults checks a case that must succeed.
func (c *Case) checkResults(ctx context.Context, op ops.Op) error {
	before := make([]snapshot, len(c.Inputs))
	for i, x := range c.Inputs {
		if x != nil {
			before[i] = snapshotOf(x)
		}
	}
	outputs, err := c.run(ctx, op, 1)
	if err := c.checkInputs(before); err != nil {
		return err
	}
	if err != nil {
		return fmt.Errorf("Run: %w", err)
	}
	if err := c.checkOutputs(outputs); err != nil {
		return err
	}
	if err := c.checkInfer(op, outputs); err != nil {
		return err
	}
	if err := c.checkWorkers(ctx, op, outputs); err != nil {
		return err
	}
	if err := c.checkCanceled(ctx, op); err != nil {
		return err
	}
	if len(c.Batch) > 0 {
		if err := c.checkBatch(ctx, op, outputs); err != nil {
			return err
		}
	}
	return c.checkInputs(before)
}

// checkInputs returns an error unless the inputs are as they were before.
func (c *Case) checkInputs(before []snapshot) error {
	for i, x := range c.Inputs {
		if x == nil {
			continue
		}
		if err := before[i].same(x); err != nil {
			return fmt.Errorf("input %d was modified: %w", i, err)
		}
	}
	return nil
}

// checkOutputs compares with the outputs of the case.
func (c *Case) checkOutputs(outputs []*ops.Tensor) error {
	if len(outputs) != len(c.Outputs) {
		return fmt.Errorf("%d outputs, want %d", len(outputs), len(c.Outputs))
	}
	for i, want := range c.Outputs {
		if err := near(outputs[i], want, c.Tolerance); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// knowledge says what Infer learns about the inputs. By default it gets their types, and
// the values of the Constants.
type knowledge struct {
	name      string
	noConst   bool // no values
	allConst  bool // the values of all inputs
	batch     bool // not the size of the batch
	noSizes   bool // no sizes, except those of the Constants
	mustExact bool // Infer must then know all sizes of the outputs
}

var plain = knowledge{name: "all types", mustExact: true}

// checkInfer calls Infer with different knowledge. The result must not contradict the
// outputs.
func (c *Case) checkInfer(op ops.Op, outputs []*ops.Tensor) error {
	for _, k := range []knowledge{
		plain,
		{name: "all values", allConst: true, mustExact: true},
		{name: "types but no value", noConst: true},
		{name: "unknown batch", batch: true},
		{name: "unknown sizes", noSizes: true},
	} {
		types, err := op.Infer(c.inputs(k))
		if err != nil {
			return fmt.Errorf("Infer (%s): %w", k.name, err)
		}
		if len(types) != len(outputs) {
			return fmt.Errorf("Infer (%s): %d types for %d outputs", k.name, len(types), len(outputs))
		}
		for i, x := range outputs {
			if err := types[i].Check(x); err != nil {
				return fmt.Errorf("Infer (%s), output %d: %w", k.name, i, err)
			}
			if unknown := func(d ops.Dim) bool { return !d.Known() }; k.mustExact && !c.OpenSizes && slices.ContainsFunc(types[i].Shape, unknown) {
				return fmt.Errorf("Infer (%s), output %d: %v has an unknown size, but everything is known", k.name, i, types[i])
			}
		}
	}
	return nil
}

// inputs returns the inputs as Infer gets them.
func (c *Case) inputs(k knowledge) []*ops.Input {
	in := make([]*ops.Input, len(c.Inputs))
	for i, x := range c.Inputs {
		if x == nil {
			continue
		}
		in[i] = &ops.Input{Type: ops.TypeOf(x)}
		constant := slices.Contains(c.Constants, i)
		if k.allConst || constant && !k.noConst {
			in[i].Const = x
		}
		shape := in[i].Shape
		if k.noSizes && !constant {
			for d := range shape {
				shape[d] = ops.Dim{Size: -1}
			}
		}
		if k.batch && slices.Contains(c.Batch, i) {
			shape[0] = ops.Dim{Size: -1, Symbol: "N"}
		}
	}
	return in
}

// checkWorkers runs the Op with 1 to 3 workers, all three at the same time.
func (c *Case) checkWorkers(ctx context.Context, op ops.Op, outputs []*ops.Tensor) error {
	errs := make([]error, 3)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			got, err := c.run(ctx, op, i+1)
			if err == nil {
				err = same(got, outputs)
			}
			if err != nil {
				errs[i] = fmt.Errorf("%d workers: %w", i+1, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// checkCanceled requires a canceled run to fail. Only an Op whose outputs are empty, so
// that it has nothing to compute, may succeed.
func (c *Case) checkCanceled(ctx context.Context, op ops.Op) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	outputs, err := c.run(ctx, op, 2)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if err == nil {
		err = c.checkOutputs(outputs)
	}
	if err != nil {
		return fmt.Errorf("a canceled run: %w", err)
	}
	for i, x := range outputs {
		if x.Len() > 0 {
			return fmt.Errorf("a canceled run computed output %d, want the error of its context", i)
		}
	}
	return nil
}

// checkBatch runs parts of the batch, and the batch in reverse order. Every entry must
// get the same results each time.
func (c *Case) checkBatch(ctx context.Context, op ops.Op, outputs []*ops.Tensor) error {
	n := c.Inputs[c.Batch[0]].Shape()[0]
	for _, x := range outputs {
		if len(x.Shape()) == 0 || x.Shape()[0] != n {
			return fmt.Errorf("a batch of %d has an output %v", n, ops.TypeOf(x))
		}
	}
	var entries []int
	for i := range n {
		entries = append(entries, i)
	}
	backwards := slices.Clone(entries)
	slices.Reverse(backwards)
	orders := [][]int{backwards}
	for cut := 1; cut < n; cut++ {
		orders = append(orders, entries[:cut], entries[cut:])
	}
	for _, order := range orders {
		if len(order) == 0 {
			continue
		}
		part := c.entries(order)
		got, err := part.run(ctx, op, 2)
		if err == nil {
			want := make([]*ops.Tensor, len(outputs))
			for i, x := range outputs {
				want[i] = entriesOf(x, order)
			}
			err = same(got, want)
		}
		if err != nil {
			return fmt.Errorf("entries %v of a batch of %d: %w", order, n, err)
		}
	}
	return nil
}

// entries returns a case of some entries of the batch. Each keeps its seed and number.
func (c *Case) entries(order []int) *Case {
	part := *c
	part.Inputs = slices.Clone(c.Inputs)
	for _, i := range c.Batch {
		part.Inputs[i] = entriesOf(c.Inputs[i], order)
	}
	if c.Spikes != nil {
		part.Spikes = entriesOf(c.Spikes, order)
	}
	if c.Uniforms != nil {
		part.Uniforms = entriesOf(c.Uniforms, order)
	}
	numbers := ops.Context{Seed: c.Seed, FirstImage: c.FirstImage, Seeds: c.Seeds, Images: c.Images}
	part.Seeds, part.Images = nil, nil
	for _, i := range order {
		part.Seeds = append(part.Seeds, numbers.ImageSeed(i))
		part.Images = append(part.Images, numbers.Image(i))
	}
	return &part
}

// run runs the Op twice with one Context, so that the second run finds the Scratch of the
// first, and compares the outputs. They hold other numbers before each run.
func (c *Case) run(ctx context.Context, op ops.Op, workers int) ([]*ops.Tensor, error) {
	opsContext := ops.NewContext(ctx, workers)
	defer opsContext.Close()
	opsContext.Seed, opsContext.FirstImage, opsContext.Seeds, opsContext.Images = c.Seed, c.FirstImage, c.Seeds, c.Images
	opsContext.Spikes, opsContext.Uniforms = c.Spikes, c.Uniforms
	types, err := op.Infer(c.inputs(knowledge{allConst: true}))
	if err != nil {
		return nil, err
	}
	var results [2][]*ops.Tensor
	for i := range results {
		if results[i], err = spoiled(types); err != nil {
			return nil, err
		}
		given := slices.Clone(results[i])
		if err := op.Run(opsContext, c.Inputs, results[i]); err != nil {
			return results[i], err
		}
		for j, x := range given {
			if x != nil && results[i][j] != x {
				return nil, fmt.Errorf("output %d has a known size, but was replaced instead of written to", j)
			}
		}
	}
	if err := same(results[1], results[0]); err != nil {
		return nil, fmt.Errorf("the second run with one Context: %w", err)
	}
	return results[0], nil
}

// spoiled returns outputs filled with unlikely numbers, so that an element that an Op
// does not write is found. It returns nil for an output of unknown size.
func spoiled(types []ops.Type) ([]*ops.Tensor, error) {
	out := make([]*ops.Tensor, len(types))
	for i, t := range types {
		shape, ok := t.Sizes()
		if !ok {
			continue
		}
		var err error
		if out[i], err = ops.Zeros(t.DType, shape); err != nil {
			return nil, err
		}
		spoil(elements(out[i]))
	}
	return out, nil
}

// spoil overwrites a slice of elements.
func spoil(v reflect.Value) {
	for i := range v.Len() {
		switch e := v.Index(i); {
		case e.CanFloat():
			e.SetFloat(-777)
		case e.CanInt():
			e.SetInt(-77)
		case e.CanUint():
			e.SetUint(77)
		case e.Kind() == reflect.String:
			e.SetString("spoiled")
		default:
			e.SetBool(true)
		}
	}
}

// same returns an error unless the tensors are equal bit for bit.
func same(got, want []*ops.Tensor) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d outputs, want %d", len(got), len(want))
	}
	for i := range want {
		if err := snapshotOf(want[i]).same(got[i]); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// wanted returns nil if err contains text. An empty text means that no error is
// expected.
func wanted(where string, err error, text string) error {
	switch {
	case err == nil:
		return fmt.Errorf("%s: no error, want one with %q", where, text)
	case text == "":
		return fmt.Errorf("%s: %w", where, err)
	case !strings.Contains(err.Error(), text):
		return fmt.Errorf("%s: want an error with %q, got: %w", where, text, err)
	}
	return nil
}
