package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/kernel"
	"github.com/spike-by-spike/sbs/ops"
)

// newDeformConv returns DeformConv (opsets 19, 22): a convolution of images X (N, C, ...) with
// filters W (M, C/group, ...) whose taps are moved by offsets. For images with r spatial axes,
// offset is (N, offset_group * taps * r, ...), with the spatial sizes of the output; channel
// (g * taps + tap) * r + axis moves a tap along an axis for the channels of group g. Between
// pixels X is interpolated linearly, and outside it is 0. Optional inputs are the bias B (M)
// and the mask (N, offset_group * taps, ...), by which the pixels are multiplied. All have the
// same type, float32 or float64. r is at most 3.
//
// Attributes: kernel_shape (default: that of W), strides (default 1), dilations (default 1),
// pads (default 0), group (default 1), offset_group (default 1).
func newDeformConv(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("dilations", "group", "kernel_shape", "offset_group", "pads", "strides"); err != nil {
		return nil, err
	}
	attributes := ops.Attributes{} // of a window
	for name, v := range n.Attributes {
		if name != "group" && name != "offset_group" {
			attributes[name] = v
		}
	}
	var k deformConv
	var err error
	if k.window, err = newWindow(attributes); err != nil {
		return nil, err
	}
	if k.group, err = groupAttr(n.Attributes); err != nil {
		return nil, err
	}
	groups, err := ops.Attr(n.Attributes, "offset_group", int64(1))
	if err == nil && (groups < 1 || groups > ops.MaxElements) {
		err = fmt.Errorf("%w: offset_group %d is out of range", ops.ErrAttribute, groups)
	}
	k.offsetGroup = int(groups)
	return &k, err
}

type deformConv struct {
	window             window
	group, offsetGroup int
}

// maxDeformAxes is the maximum number of spatial axes of DeformConv.
const maxDeformAxes = 3

func (k *deformConv) infer(in []*ops.Input) (ops.Type, error) {
	x, w, offset := in[0].Type, in[1].Type, in[2].Type
	if err := x.CheckDType("X", floatTypes...); err != nil {
		return x, err
	}
	for i, name := range []string{"X", "W", "offset", "B", "mask"} {
		if i < len(in) && in[i] != nil {
			if err := in[i].Type.CheckDType(name, x.DType); err != nil {
				return x, err
			}
		}
	}
	refused := func() error {
		return fmt.Errorf("%w: X is %v, W is %v, offset is %v (group %d, offset_group %d)", ops.ErrShape, x, w, offset, k.group, k.offsetGroup)
	}
	axes := len(x.Shape) - 2
	if axes < 1 || axes > maxDeformAxes || len(w.Shape) != axes+2 || len(offset.Shape) != axes+2 {
		return x, refused()
	}
	sizes, err := k.window.kernelOf(w.Shape[2:])
	if err != nil {
		return x, err
	}
	spatial, err := k.window.axes(x.Shape[2:], sizes)
	if err != nil {
		return x, fmt.Errorf("%w: X is %v, W is %v", err, x, w)
	}
	batch, ok := mergeDims(x.Shape[0], offset.Shape[0])
	channels, filters := x.Shape[1], w.Shape[0]
	taps := 1
	for _, s := range sizes {
		if taps *= s; s < 0 || taps > ops.MaxElements {
			taps = -1
			break
		}
	}
	if channels.Known() {
		ok = ok && channels.Size%k.group == 0 && channels.Size%k.offsetGroup == 0
		ok = ok && (!w.Shape[1].Known() || w.Shape[1].Size*k.group == channels.Size)
	}
	ok = ok && (!filters.Known() || filters.Size%k.group == 0)
	want := func(d ops.Dim, perTap int) bool {
		return taps < 0 || !d.Known() || d.Size == k.offsetGroup*taps*perTap
	}
	ok = ok && want(offset.Shape[1], axes)
	if !ok {
		return x, refused()
	}
	shape := []ops.Dim{batch, filters}
	for i, a := range spatial {
		d, ok := mergeDims(ops.Dim{Size: a.out}, offset.Shape[2+i])
		if !ok {
			return x, refused()
		}
		shape = append(shape, d)
	}
	if len(in) > 3 && in[3] != nil {
		if n, err := checkVector("B", in[3], x.DType); err != nil {
			return x, err
		} else if _, ok := mergeDims(n, filters); !ok {
			return x, fmt.Errorf("%w: W is %v but B is %v", ops.ErrShape, w, in[3].Type)
		}
	}
	if len(in) > 4 && in[4] != nil {
		mask := in[4].Type
		ok := len(mask.Shape) == axes+2 && want(mask.Shape[1], 1)
		for i := 0; ok && i < len(mask.Shape); i++ {
			if i != 1 {
				_, ok = mergeDims(mask.Shape[i], shape[i])
			}
		}
		if !ok {
			return x, fmt.Errorf("%w: offset is %v but mask is %v", ops.ErrShape, offset, mask)
		}
	}
	return ops.Type{DType: x.DType, Shape: shape}, nil
}

func (k *deformConv) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	if err := checkValues(k, in, out); err != nil || out.Len() == 0 {
		return err
	}
	if out.DType() == ops.Float32 {
		return deform(ctx, k, in, out, func(m, n, depth int, a, b, c []float32, ldc int) error {
			return kernel.Gemm(ctx, false, false, m, n, depth, a, depth, b, n, c, ldc, false)
		})
	}
	return deform(ctx, k, in, out, func(m, n, depth int, a, b, c []float64, ldc int) error {
		watching := cancelCheck{ctx: ctx}
		for i := range m {
			row := c[i*ldc:][:n]
			clear(row)
			for j, w := range a[i*depth:][:depth] {
				addWeighted(row, b[j*n:][:n], w, false)
				if err := watching.after(n); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// deform computes the convolution as a product of the filters and the pixels at their taps.
// multiply sets C (m, n), with the given distance between rows, to the product of A (m, depth)
// and B (depth, n).
func deform[T float32 | float64](ctx *ops.Context, k *deformConv, in []*ops.Tensor, out *ops.Tensor, multiply func(m, n, depth int, a, b, c []T, ldc int) error) error {
	x, _ := ops.Data[T](in[0])
	w, _ := ops.Data[T](in[1])
	offset, _ := ops.Data[T](in[2])
	y, _ := ops.Data[T](out)
	var bias, mask []T
	if t := optionalInput(in, 3); t != nil {
		bias, _ = ops.Data[T](t)
	}
	if t := optionalInput(in, 4); t != nil {
		mask, _ = ops.Data[T](t)
	}
	spatial, err := k.window.axes(ops.Dims(in[0].Shape()[2:]...), in[1].Shape()[2:])
	if err != nil {
		return err
	}
	d := &deformation{axes: spatial, channels: in[0].Shape()[1] / k.group, perOffset: in[0].Shape()[1] / k.offsetGroup}
	filters := in[1].Shape()[0] / k.group
	taps, pixels, positions := numElements(in[1].Shape()[2:]), numElements(in[0].Shape()[2:]), numElements(out.Shape()[2:])
	depth := d.channels * taps
	block := min(positions, max(16, (1<<18)/max(1, depth)))
	blocks := (positions + block - 1) / block
	return ctx.For(out.Shape()[0]*k.group*blocks, 1, func(lo, hi int) error {
		columns, err := ops.Temporary[T](ctx, depth*block)
		if err != nil {
			return err
		}
		defer ops.Free(ctx, columns)
		watching := cancelCheck{ctx: ctx}
		var corners deformCorners
		for ; lo < hi; lo++ {
			first, group, image := lo%blocks*block, lo/blocks%k.group, lo/blocks/k.group
			n := min(block, positions-first)
			for tap := range taps {
				for c := 0; c < d.channels; {
					channel := group*d.channels + c
					set := channel / d.perOffset // of offsets
					end := min(d.channels, (set+1)*d.perOffset-group*d.channels)
					at := (image*k.offsetGroup+set)*taps + tap
					for i := range n {
						scale := 1.0
						if mask != nil {
							scale = float64(mask[at*positions+first+i])
						}
						d.find(&corners, tap, first+i, scale, func(axis int) float64 {
							return float64(offset[(at*len(d.axes)+axis)*positions+first+i])
						})
						for j := c; j < end; j++ {
							plane := x[(image*k.group*d.channels+group*d.channels+j)*pixels:][:pixels]
							columns[(j*taps+tap)*n+i] = T(weighted(&corners, plane))
						}
						if err := watching.after(8 + 4*(end-c)); err != nil {
							return err
						}
					}
					c = end
				}
			}
			result := y[(image*k.group+group)*filters*positions+first:]
			if err := multiply(filters, n, depth, w[group*filters*depth:][:filters*depth], columns[:depth*n], result, positions); err != nil {
				return err
			}
			for f := range filters {
				if bias == nil {
					break
				}
				for i := range result[f*positions:][:n] {
					result[f*positions+i] += bias[group*filters+f]
				}
				if err := watching.after(n); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// deformation holds what the taps of a DeformConv have in common.
type deformation struct {
	axes      []spatialAxis
	channels  int // of a group
	perOffset int // channels with the same offsets
}

// deformCorners holds the pixels around a place and their weights.
type deformCorners struct {
	count  int
	pixel  [1 << maxDeformAxes]int
	weight [1 << maxDeformAxes]float64
}

// find sets the pixels around a tap at a position. Those outside the image are left out.
func (d *deformation) find(c *deformCorners, tap, position int, scale float64, offset func(axis int) float64) {
	var places [maxDeformAxes]float64
	for axis := range slices.Backward(d.axes) {
		a := &d.axes[axis]
		places[axis] = float64(position%a.out*a.stride-a.before+tap%a.kernel*a.dilation) + offset(axis)
		position, tap = position/a.out, tap/a.kernel
	}
	c.count, c.pixel[0], c.weight[0] = 1, 0, scale
	for axis := range d.axes {
		size, floor := d.axes[axis].in, math.Floor(places[axis])
		if !(floor >= -1 && floor < float64(size)) {
			c.count = 0
			return
		}
		low, f := int(floor), places[axis]-floor
		next := *c
		next.count = 0
		for i := range c.count {
			for j, w := range [2]float64{1 - f, f} {
				if at := low + j; at >= 0 && at < size && w != 0 {
					next.pixel[next.count], next.weight[next.count] = c.pixel[i]*size+at, c.weight[i]*w
					next.count++
				}
			}
		}
		*c = next
	}
}

// weighted returns the sum of the pixels of a plane.
func weighted[T float32 | float64](c *deformCorners, plane []T) float64 {
	sum := 0.0
	for i := range c.count {
		sum += float64(c.weight[i] * float64(plane[c.pixel[i]]))
	}
	return sum
}
