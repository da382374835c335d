package std

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// The items of sequences never change and are no inputs or outputs of nodes, so that several
// sequences can hold the same items. A tensor that becomes an item is copied, and so is an
// item that becomes an output.

// copied returns a copy of a tensor, or another container with the same items.
func copied(ctx *ops.Context, x *ops.Tensor) (*ops.Tensor, error) {
	switch x.DType() {
	case ops.Map:
		return ops.NewMap(ops.MapOf(x))
	case ops.Optional:
		if len(x.Items()) == 0 {
			return ops.NewOptional(*ops.TypeOf(x).Elem, nil)
		}
		return ops.NewOptional(*ops.TypeOf(x).Elem, x.Items()[0])
	case ops.Sequence:
		return sequenceOf(ctx, *ops.TypeOf(x).Elem, x.Items())
	}
	return part(ctx, x, x.Shape(), 0)
}

// sequenceOf returns a sequence of items.
func sequenceOf(ctx *ops.Context, elem ops.Type, items []*ops.Tensor) (*ops.Tensor, error) {
	if err := ctx.Reserve(int64(len(items)) * ops.ItemBytes); err != nil {
		return nil, err
	}
	return ops.NewSequence(elem, items)
}

// part returns a copy of the part of a tensor that has the given shape, of the same rank, and
// starts at the given place.
func part(ctx *ops.Context, x *ops.Tensor, shape []int, from int) (*ops.Tensor, error) {
	out, err := temporaryTensor(ctx, x.DType(), shape)
	if err != nil {
		return nil, err
	}
	if err := ctx.Reserve(ops.ItemBytes); err != nil {
		return nil, err
	}
	c := copying{nest: newNest(shape, rowMajor(shape), rowMajor(x.Shape())), from: from}
	return out, c.run(ctx, out, x)
}

// checkSequence returns the type of the items of an input, which must be a sequence.
func checkSequence(in *ops.Input) (ops.Type, error) {
	if in.DType != ops.Sequence || in.Elem == nil {
		return ops.Type{}, fmt.Errorf("%w: input 0 is %v, want a sequence", ops.ErrDType, in.Type)
	}
	return *in.Elem, nil
}

// itemType returns the type of an item of a container. It is unknown for a tensor whose shape
// only the value tells.
func itemType(elem ops.Type, item *ops.Tensor) ops.Type {
	switch {
	case item != nil:
		return ops.TypeOf(item)
	case elem.DType.IsContainer():
		return elem
	}
	return ops.Type{}
}

// checkPosition returns an error unless an input may be the position of an item.
func checkPosition(in []*ops.Input, i int) error {
	if i >= len(in) || in[i] == nil {
		return nil
	}
	return checkScalar("position", in[i].Type, indexTypes...)
}

// position returns the position of an item in a sequence of the given length, from an optional
// input. Negative positions count from the end.
func position(in []*ops.Tensor, i, missing, length int) (int, error) {
	if i >= len(in) || in[i] == nil {
		if missing < 0 {
			return 0, fmt.Errorf("%w: the sequence is empty", ops.ErrValue)
		}
		return missing, nil
	}
	at, err := resolveIndex(firstElement[int64](in[i]), length)
	if err != nil {
		return 0, fmt.Errorf("position in the sequence: %w", err)
	}
	return at, nil
}

// newSequenceAt returns SequenceAt (opset 11): an item of a sequence. The second input is the
// position, an int32 or int64 scalar; negative ones count from the end.
func newSequenceAt(n ops.Node) (multiOperation, error) { return sequenceAt{}, n.Attributes.Only() }

type sequenceAt struct{}

func (sequenceAt) inferAll(in []*ops.Input) ([]ops.Type, error) {
	elem, err := checkSequence(in[0])
	if err != nil {
		return nil, err
	}
	if err := checkPosition(in, 1); err != nil {
		return nil, err
	}
	var item *ops.Tensor
	if in[0].Const != nil && in[1].Const != nil {
		at, err := position([]*ops.Tensor{nil, in[1].Const}, 1, 0, len(in[0].Const.Items()))
		if err != nil {
			return nil, err
		}
		item = in[0].Const.Items()[at]
	}
	return []ops.Type{itemType(elem, item)}, nil
}

func (sequenceAt) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	items := in[0].Items()
	at, err := position(in, 1, 0, len(items))
	if err != nil {
		return err
	}
	if out[0] != nil {
		return copyAll(ctx, out[0], items[at])
	}
	out[0], err = copied(ctx, items[at])
	return err
}

// newSequenceConstruct returns SequenceConstruct (opset 11): a sequence of the inputs, which
// are at least one tensor, all of the same type.
func newSequenceConstruct(n ops.Node) (multiOperation, error) {
	return sequenceConstruct{}, n.Attributes.Only()
}

type sequenceConstruct struct{}

func (sequenceConstruct) inferAll(in []*ops.Input) ([]ops.Type, error) {
	elem := ops.Type{DType: in[0].DType}
	for i, x := range in {
		if x.DType.IsContainer() || x.DType != elem.DType {
			return nil, fmt.Errorf("%w: input 0 is %v and input %d is %v: want tensors of one type", ops.ErrDType, in[0].Type, i, x.Type)
		}
	}
	return []ops.Type{{DType: ops.Sequence, Elem: &elem}}, nil
}

func (sequenceConstruct) runAll(ctx *ops.Context, in, out []*ops.Tensor) (err error) {
	items := make([]*ops.Tensor, len(in))
	for i, x := range in {
		if items[i], err = copied(ctx, x); err != nil {
			return err
		}
	}
	out[0], err = sequenceOf(ctx, ops.Type{DType: in[0].DType()}, items)
	return err
}

// newSequenceEmpty returns SequenceEmpty (opset 11): a sequence without items.
//
// Attributes: dtype, the type of its items (default float32).
func newSequenceEmpty(n ops.Node) (multiOperation, error) {
	if err := n.Attributes.Only("dtype"); err != nil {
		return nil, err
	}
	dtype, err := ops.Attr(n.Attributes, "dtype", int64(ops.Float32))
	if err == nil && (dtype <= 0 || dtype > 1<<16 || ops.DType(dtype).Size() == 0) {
		err = fmt.Errorf("%w: dtype %d is not the number of a type", ops.ErrAttribute, dtype)
	}
	return sequenceEmpty{ops.Type{DType: ops.DType(dtype)}}, err
}

type sequenceEmpty struct{ elem ops.Type }

func (k sequenceEmpty) inferAll([]*ops.Input) ([]ops.Type, error) {
	return []ops.Type{{DType: ops.Sequence, Elem: &k.elem}}, nil
}

func (k sequenceEmpty) runAll(_ *ops.Context, _, out []*ops.Tensor) (err error) {
	out[0], err = ops.NewSequence(k.elem, nil)
	return err
}

// newSequenceErase returns SequenceErase (opset 11): a sequence without the item at the
// position in the second input, which is the last one by default. See newSequenceAt.
func newSequenceErase(n ops.Node) (multiOperation, error) {
	return sequenceErase{}, n.Attributes.Only()
}

type sequenceErase struct{}

func (sequenceErase) inferAll(in []*ops.Input) ([]ops.Type, error) {
	if _, err := checkSequence(in[0]); err != nil {
		return nil, err
	}
	return []ops.Type{in[0].Type}, checkPosition(in, 1)
}

func (sequenceErase) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	items := in[0].Items()
	at, err := position(in, 1, len(items)-1, len(items))
	if err != nil {
		return err
	}
	out[0], err = sequenceOf(ctx, *ops.TypeOf(in[0]).Elem, slices.Delete(slices.Clone(items), at, at+1))
	return err
}

// newSequenceInsert returns SequenceInsert (opset 11): a sequence with a tensor, the second
// input, before the position in the third input. By default the tensor becomes the last item.
// See newSequenceAt.
func newSequenceInsert(n ops.Node) (multiOperation, error) {
	return sequenceInsert{}, n.Attributes.Only()
}

type sequenceInsert struct{}

func (sequenceInsert) inferAll(in []*ops.Input) ([]ops.Type, error) {
	elem, err := checkSequence(in[0])
	if err != nil {
		return nil, err
	}
	if in[1].DType.IsContainer() || in[1].DType != elem.DType {
		return nil, fmt.Errorf("%w: input 1 is %v, but the items of the sequence are %v", ops.ErrDType, in[1].Type, elem.DType)
	}
	return []ops.Type{in[0].Type}, checkPosition(in, 2)
}

func (sequenceInsert) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	items := in[0].Items()
	at, err := position(in, 2, len(items), len(items)+1)
	if err != nil {
		return err
	}
	if len(in) > 2 && in[2] != nil && firstElement[int64](in[2]) < 0 {
		if at--; at < 0 { // -1 is the position of the last item, not the one after it
			return fmt.Errorf("%w: position %d of a sequence of %d items", ops.ErrValue, firstElement[int64](in[2]), len(items))
		}
	}
	x, err := copied(ctx, in[1])
	if err != nil {
		return err
	}
	out[0], err = sequenceOf(ctx, ops.Type{DType: x.DType()}, slices.Insert(slices.Clone(items), at, x))
	return err
}

// newSequenceLength returns SequenceLength (opset 11): the number of items, an int64 scalar.
func newSequenceLength(n ops.Node) (multiOperation, error) {
	return sequenceLength{}, n.Attributes.Only()
}

type sequenceLength struct{}

func (sequenceLength) inferAll(in []*ops.Input) ([]ops.Type, error) {
	_, err := checkSequence(in[0])
	return []ops.Type{{DType: ops.Int64}}, err
}

func (sequenceLength) runAll(_ *ops.Context, in, out []*ops.Tensor) error {
	out[0].Int64s()[0] = int64(len(in[0].Items()))
	return nil
}

// newOptional returns Optional (opset 15): an optional value of the input, a tensor or
// sequence. Without an input it is absent.
//
// Attributes: type, the type of the absent value.
func newOptional(n ops.Node) (multiOperation, error) {
	if err := n.Attributes.Only("type"); err != nil {
		return nil, err
	}
	t, err := ops.Attr(n.Attributes, "type", (*ops.Type)(nil))
	if err == nil && t == nil && n.NumInputs == 0 {
		err = fmt.Errorf("%w: the node has neither an input nor the attribute type", ops.ErrAttribute)
	}
	return optional{t}, err
}

type optional struct{ elem *ops.Type }

func (k optional) inferAll(in []*ops.Input) ([]ops.Type, error) {
	t, err := k.typeOf(in)
	return []ops.Type{{DType: ops.Optional, Elem: &t}}, err
}

// typeOf returns the type of the value, without its shape.
func (k optional) typeOf(in []*ops.Input) (ops.Type, error) {
	if len(in) == 0 || in[0] == nil {
		if k.elem == nil {
			return ops.Type{}, errors.New("input 0 is missing, and so is the attribute type")
		}
		return *k.elem, nil
	}
	t := in[0].Type
	t.Shape = nil
	if t.DType == ops.Optional || t.DType == ops.Map {
		return t, fmt.Errorf("%w: input 0 is %v, want a tensor or sequence", ops.ErrDType, in[0].Type)
	}
	if k.elem != nil && !k.elem.SameElements(t) {
		return t, fmt.Errorf("%w: input 0 is %v, but the attribute type is %v", ops.ErrDType, in[0].Type, ops.Type{DType: ops.Optional, Elem: k.elem})
	}
	return t, nil
}

func (k optional) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	t, err := k.typeOf(inputs(in))
	if err != nil {
		return err
	}
	var item *ops.Tensor
	if len(in) > 0 && in[0] != nil {
		if item, err = copied(ctx, in[0]); err != nil {
			return err
		}
	}
	out[0], err = ops.NewOptional(t, item)
	return err
}

// newOptionalGetElement returns OptionalGetElement (opsets 15, 18): the value in an optional
// value, which must not be absent. Since opset 18 the input may be the value itself.
func newOptionalGetElement(n ops.Node) (multiOperation, error) {
	return optionalGetElement{n.Opset}, n.Attributes.Only()
}

type optionalGetElement struct{ opset int }

// checkOptional returns an error unless an input may stand for an optional value.
func checkOptional(x *ops.Input, opset int) error {
	if x.DType != ops.Optional && (opset < 18 || x.DType == ops.Map) {
		return fmt.Errorf("%w: input 0 is %v, want an optional value", ops.ErrDType, x.Type)
	}
	return nil
}

func (k optionalGetElement) inferAll(in []*ops.Input) ([]ops.Type, error) {
	x := in[0]
	if err := checkOptional(x, k.opset); err != nil {
		return nil, err
	}
	if x.DType != ops.Optional {
		return []ops.Type{x.Type}, nil
	}
	var item *ops.Tensor
	if x.Const != nil {
		if len(x.Const.Items()) == 0 {
			return nil, fmt.Errorf("%w: the optional value is absent", ops.ErrValue)
		}
		item = x.Const.Items()[0]
	}
	return []ops.Type{itemType(*x.Elem, item)}, nil
}

func (optionalGetElement) runAll(ctx *ops.Context, in, out []*ops.Tensor) (err error) {
	x := in[0]
	if x.DType() == ops.Optional {
		if len(x.Items()) == 0 {
			return fmt.Errorf("%w: the optional value is absent", ops.ErrValue)
		}
		x = x.Items()[0]
	}
	if out[0] != nil {
		return copyAll(ctx, out[0], x)
	}
	out[0], err = copied(ctx, x)
	return err
}

// newOptionalHasElement returns OptionalHasElement (opsets 15, 18): whether an optional value
// is present, a bool scalar. Since opset 18 the input may be a tensor or sequence, which is
// always present, or missing.
func newOptionalHasElement(n ops.Node) (multiOperation, error) {
	if err := n.Attributes.Only(); err != nil {
		return nil, err
	}
	if n.NumInputs == 0 && n.Opset < 18 {
		return nil, errors.New("input 0 is missing")
	}
	return optionalHasElement{n.Opset}, nil
}

type optionalHasElement struct{ opset int }

func (k optionalHasElement) inferAll(in []*ops.Input) ([]ops.Type, error) {
	t := []ops.Type{{DType: ops.Bool}}
	if len(in) == 0 || in[0] == nil {
		return t, nil
	}
	return t, checkOptional(in[0], k.opset)
}

func (optionalHasElement) runAll(_ *ops.Context, in, out []*ops.Tensor) error {
	has, _ := ops.Data[bool](out[0])
	has[0] = len(in) > 0 && in[0] != nil && (in[0].DType() != ops.Optional || len(in[0].Items()) > 0)
	return nil
}
