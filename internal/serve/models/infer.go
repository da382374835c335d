package models

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/spike-by-spike/sbs/classify"
	"github.com/spike-by-spike/sbs/internal/imagefile"
	"github.com/spike-by-spike/sbs/internal/serve/batch"
	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// defaultTop is the number of classes in the answer to an image.
const defaultTop = 3

// inferred is what a request has computed.
type inferred struct {
	result   batch.Result
	inverted []bool // by image; nil if the request has tensors
}

// effort returns the effort for the images of the request. A model with a fixed batch size has
// computed more than its pictures.
func (r *inferred) effort() runtime.Effort {
	e := r.result.Effort
	if n := len(r.inverted); n > 0 {
		e.Updates, e.Stages = e.Updates[:min(n, len(e.Updates))], e.Stages[:min(n, len(e.Stages))]
	}
	return e
}

// infer answers a request.
func (v *loaded) infer(ctx context.Context, r *inference.Request) ([]inference.Output, *inferred, error) {
	s, err := newSettings(r.Parameters, v.limits.MaxSpikes)
	if err != nil {
		return nil, nil, err
	}
	wanted, err := v.wanted(r, s)
	if err != nil {
		return nil, nil, err
	}
	in, err := v.inputs(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	b := batch.Request{Inputs: in.tensors, Lane: s.lane, Options: s.options}
	if v.batches {
		if b.Images, err = v.images(in.tensors); err != nil {
			return nil, nil, err
		}
		if v.ownShapes {
			b.Lane += shapes(v.model.Inputs(), in.tensors)
		}
		b.Seeds, b.Numbers = v.seeds(in.tensors, b.Images, s.seed)
	} else {
		b.Seeds = []uint64{v.seed(in.tensors, s.seed)}
	}
	result, err := v.queue.Do(ctx, b)
	if err != nil {
		return nil, nil, runError(err)
	}
	out := &inferred{result: result, inverted: in.inverted}
	outputs, err := v.outputs(wanted, out, s.top)
	return outputs, out, err
}

// prepared are the inputs of a request in the form that the model takes.
type prepared struct {
	tensors  map[string]*runtime.Tensor
	inverted []bool // see inferred
}

// inputs checks the inputs of a request.
func (v *loaded) inputs(ctx context.Context, r *inference.Request) (prepared, error) {
	infos := v.model.Inputs()
	all := slices.Concat(infos, v.model.OptionalInputs())
	p := prepared{tensors: map[string]*runtime.Tensor{}}
	for _, in := range r.Inputs {
		if r.Image {
			in.Name = infos[0].Name // a model that classifies images has one
		}
		i := slices.IndexFunc(all, func(info runtime.ValueInfo) bool { return info.Name == in.Name })
		switch {
		case i < 0:
			return p, inference.Errorf(inference.Invalid, "input %q: the model has no input of this name: its inputs are %s", in.Name, names(all))
		case p.tensors[in.Name] != nil:
			return p, inference.Errorf(inference.Invalid, "input %q: the request has it twice", in.Name)
		}
		t := in.Values
		if t == nil {
			var err error
			if t, p.inverted, err = v.decode(ctx, in); err != nil {
				return p, err
			}
		} else if err := v.check(all[i], in.Tensor); err != nil {
			return p, err
		}
		p.tensors[in.Name] = t
	}
	for _, info := range infos {
		if p.tensors[info.Name] == nil {
			return p, inference.Errorf(inference.Invalid, "input %q is missing: the inputs of the model are %s", info.Name, names(infos))
		}
	}
	return p, nil
}

// check checks the type and, for a model that classifies images, the values of an input.
func (v *loaded) check(info runtime.ValueInfo, t inference.Tensor) error {
	if info.DType != 0 {
		if err := info.Type.Check(t.Values); err != nil {
			return inference.Errorf(inference.Invalid, "input %q is %s: the model takes %s", info.Name, t.Describe(), describe(info))
		}
	}
	if v.classifier == nil {
		return nil
	}
	if err := v.classifier.CheckValues(t.Values); err != nil {
		return inference.Errorf(inference.Invalid, "input %q: %w", info.Name, err)
	}
	return nil
}

// describe returns the datatype and shape of an input of a model.
func describe(info runtime.ValueInfo) string {
	if info.Unranked {
		return inference.Datatype(info.DType) + " of any shape"
	}
	sizes := make([]string, len(info.Shape))
	for i, d := range info.Shape {
		sizes[i] = d.String()
	}
	return inference.Datatype(info.DType) + " [" + strings.Join(sizes, " ") + "]"
}

// names lists inputs or outputs.
func names(infos []runtime.ValueInfo) string {
	list := make([]string, len(infos))
	for i, info := range infos {
		list[i] = fmt.Sprintf("%q", info.Name)
	}
	return strings.Join(list, ", ")
}

// decode decodes the images that are the elements of an input, and reports which of them were
// inverted.
func (v *loaded) decode(ctx context.Context, in inference.Input) (*runtime.Tensor, []bool, error) {
	if v.classifier == nil {
		return nil, nil, inference.Errorf(inference.Invalid, "input %q has the datatype BYTES, for encoded images, but the model does not classify images: %w", in.Name, v.noImages)
	}
	if n := len(in.Strings); n == 0 || n > v.limits.MaxBatch || len(in.Shape) > 2 {
		return nil, nil, inference.Errorf(inference.Invalid, "input %q is %s: want BYTES [images] with 1 to %d images (--max-batch of the server)", in.Name, in.Describe(), v.limits.MaxBatch)
	}
	size := v.classifier.Size()
	shape := []int{len(in.Strings), size.Channels, size.Height, size.Width}
	if first := v.model.Inputs()[0].Shape[0]; first.Known() {
		shape[0] = first.Size // the remaining images are black
		if len(in.Strings) > first.Size {
			return nil, nil, inference.Errorf(inference.Invalid, "input %q has %d images: the model takes %d", in.Name, len(in.Strings), first.Size)
		}
	}
	t, err := ops.Zeros(ops.Float32, shape)
	if err != nil {
		return nil, nil, inference.Errorf(inference.TooLarge, "input %q: %w", in.Name, err)
	}
	inverted := make([]bool, len(in.Strings))
	pixels := t.Float32s()
	for i, file := range in.Strings {
		p, err := v.prepare(ctx, file)
		if err != nil {
			return nil, nil, imageError(in, i, err)
		}
		pixels = pixels[copy(pixels, p.Pixels.Float32s()):]
		inverted[i] = p.Inverted
	}
	return t, inverted, nil
}

// largePixels is the number of pixels above which an image is large. A small file may have one, whose
// decoding takes up to 30 bytes of memory per pixel.
const largePixels = 1 << 20

// prepare decodes an image. The number of images that are decoded at a time is limited: one of the
// large ones, and one of the others per CPU core.
func (v *loaded) prepare(ctx context.Context, file []byte) (classify.Prepared, error) {
	slots := v.limits.decoders
	if _, err := imagefile.ReadHeader(file, largePixels); err != nil { // large, or no image
		slots = v.limits.largeDecoder
	}
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return classify.Prepared{}, ctx.Err()
	}
	defer func() { <-slots }()
	img, err := classify.DecodeImage(file, v.limits.MaxPixels)
	if err != nil {
		return classify.Prepared{}, err
	}
	return v.classifier.Prepare(img)
}

func imageError(in inference.Input, i int, err error) error {
	if inference.KindOf(err) != inference.Internal {
		return err // the context is done
	}
	return inference.Errorf(inference.Invalid, "input %q: image %d: %w", in.Name, i, err)
}

// images returns the number of images of a request, the first dimension of all its inputs.
func (v *loaded) images(inputs map[string]*runtime.Tensor) (int, error) {
	infos := v.model.Inputs()
	n := inputs[infos[0].Name].Shape()[0]
	for _, info := range infos {
		if other := inputs[info.Name].Shape()[0]; other != n {
			return 0, inference.Errorf(inference.Invalid, "input %q has %d images, but input %q has %d", infos[0].Name, n, info.Name, other)
		}
	}
	if n < 1 {
		return 0, inference.Errorf(inference.Invalid, "input %q has no images", infos[0].Name)
	}
	if n > v.limits.MaxBatch {
		return 0, inference.Errorf(inference.Invalid, "input %q has %d images: want 1 to %d (--max-batch of the server): send the others in another request", infos[0].Name, n, v.limits.MaxBatch)
	}
	return n, nil
}

// shapes names the sizes of the dimensions after the first, which requests of a batch must have in
// common.
func shapes(infos []runtime.ValueInfo, inputs map[string]*runtime.Tensor) string {
	var text strings.Builder
	for _, info := range infos {
		fmt.Fprint(&text, " ", inputs[info.Name].Shape()[1:])
	}
	return text.String()
}

// seeds returns the seeds and numbers of images. With a seed, image i has the number i, as in
// sbs-run. Without one, the seed of an image is a hash of its values: the same image gets the same
// answer in every request.
func (v *loaded) seeds(inputs map[string]*runtime.Tensor, n int, seed *uint64) (seeds, numbers []uint64) {
	seeds, numbers = make([]uint64, n), make([]uint64, n)
	if seed != nil {
		for i := range n {
			seeds[i], numbers[i] = *seed, uint64(i)
		}
		return seeds, numbers
	}
	for i := range n {
		d := xxhash.New()
		var raw []byte
		for _, info := range v.model.Inputs() {
			raw = inference.AppendElements(raw[:0], rowOf(inputs[info.Name], i))
			_, _ = d.Write(raw) // never fails
		}
		seeds[i] = d.Sum64()
	}
	return seeds, numbers
}

// seed returns the seed of a request whose model does not take batches.
func (v *loaded) seed(inputs map[string]*runtime.Tensor, seed *uint64) uint64 {
	if seed != nil {
		return *seed
	}
	d := xxhash.New()
	for _, info := range v.model.Inputs() {
		_, _ = d.Write(inference.AppendElements(nil, inputs[info.Name].Elements()))
	}
	return d.Sum64()
}
