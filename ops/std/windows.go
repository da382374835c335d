package std

import (
	"fmt"
	"math"
	"slices"

	"github.com/spike-by-spike/sbs/internal/portmath"
	"github.com/spike-by-spike/sbs/ops"
)

// newCosineWindow returns the constructor of HannWindow, HammingWindow or BlackmanWindow
// (opset 17): a vector whose length is the input size, a scalar (int32 or int64). Element i is
//
//	a[0] - a[1]*cos(2*pi*i/N) + a[2]*cos(4*pi*i/N)
//
// A window of length 1 is 1.
//
// Attributes: periodic (default 1: N is the length; 0: N is the length minus 1, and the window
// is symmetric); output_datatype (default float32; any numeric type).
func newCosineWindow(a [3]float64) func(ops.Node) (operation, error) {
	return func(n ops.Node) (operation, error) {
		if err := n.Attributes.Only("output_datatype", "periodic"); err != nil {
			return nil, err
		}
		k := cosineWindow{a: a}
		periodic, err := ops.Attr(n.Attributes, "periodic", int64(1))
		if err != nil {
			return nil, err
		}
		k.symmetric = periodic == 0
		k.dtype, err = numericAttr(n.Attributes, "output_datatype")
		return k, err
	}
}

// numericAttr returns an attribute that holds a numeric element type. The default is float32.
func numericAttr(a ops.Attributes, name string) (ops.DType, error) {
	d, err := dtypeAttr(a, name, ops.Float32)
	if err == nil && !isHalf(d) {
		err = ops.Type{DType: d}.CheckDType(name, numericTypes...)
	}
	return d, err
}

type cosineWindow struct {
	a         [3]float64
	symmetric bool
	dtype     ops.DType
}

func (k cosineWindow) infer(in []*ops.Input) (ops.Type, error) {
	if err := checkScalar("size", in[0].Type, indexTypes...); err != nil {
		return ops.Type{}, err
	}
	size := unknown
	if in[0].Const != nil {
		n, err := scalarSize("size", in[0].Const, 0)
		if err != nil {
			return ops.Type{}, err
		}
		size = ops.Dim{Size: n}
	}
	return ops.Type{DType: k.dtype, Shape: []ops.Dim{size}}, nil
}

// scalarSize returns the value of a scalar that is a size of at least lowest.
func scalarSize(name string, x *ops.Tensor, lowest int64) (int, error) {
	v := firstElement[int64](x)
	if v < lowest || v > ops.MaxElements {
		return 0, fmt.Errorf("%w: %s is %d, want %d to %d", ops.ErrValue, name, v, lowest, ops.MaxElements)
	}
	return int(v), nil
}

func (k cosineWindow) run(ctx *ops.Context, _ []*ops.Tensor, out *ops.Tensor) error {
	period := out.Len()
	if k.symmetric {
		period--
	}
	return ctx.For(out.Len(), grain/16, func(lo, hi int) error {
		var v [1]float64
		for i := lo; i < hi; i++ {
			v[0] = 1
			if out.Len() > 1 {
				angle := float64(2 * math.Pi * (float64(i) / float64(period)))
				v[0] = k.a[0] - float64(k.a[1]*portmath.Cos(angle)) + float64(k.a[2]*portmath.Cos(float64(2*angle)))
			}
			store(out, i, 1, v[:])
		}
		return nil
	})
}

// newMelWeightMatrix returns MelWeightMatrix (opset 17): the matrix (dft_length/2 + 1,
// num_mel_bins) that turns a spectrum into one on the mel scale. Its columns are triangles
// with a peak of 1, whose edges are equally spaced on the scale
//
//	mel(f) = 2595 * log10(1 + f/700)
//
// The five inputs are scalars: num_mel_bins, dft_length and sample_rate in hertz (int32 or
// int64), lower_edge_hertz and upper_edge_hertz (floating-point numbers).
//
// Attributes: output_datatype (default float32; any numeric type).
func newMelWeightMatrix(n ops.Node) (operation, error) {
	if err := n.Attributes.Only("output_datatype"); err != nil {
		return nil, err
	}
	d, err := numericAttr(n.Attributes, "output_datatype")
	return melWeightMatrix{d}, err
}

type melWeightMatrix struct{ dtype ops.DType }

func (k melWeightMatrix) infer(in []*ops.Input) (ops.Type, error) {
	for i, name := range []string{"num_mel_bins", "dft_length", "sample_rate", "lower_edge_hertz", "upper_edge_hertz"} {
		types := indexTypes
		if i >= 3 {
			types = slices.Concat(halfTypes, floatTypes)
		}
		if err := checkScalar(name, in[i].Type, types...); err != nil {
			return ops.Type{}, err
		}
	}
	shape := []ops.Dim{unknown, unknown}
	if in[1].Const != nil {
		n, err := scalarSize("dft_length", in[1].Const, 0)
		if err != nil {
			return ops.Type{}, err
		}
		shape[0] = ops.Dim{Size: n/2 + 1}
	}
	if in[0].Const != nil {
		n, err := scalarSize("num_mel_bins", in[0].Const, 0)
		if err != nil {
			return ops.Type{}, err
		}
		shape[1] = ops.Dim{Size: n}
	}
	return ops.Type{DType: k.dtype, Shape: shape}, nil
}

func (k melWeightMatrix) run(ctx *ops.Context, in []*ops.Tensor, out *ops.Tensor) error {
	rows, bins := out.Shape()[0], out.Shape()[1]
	length, err := scalarSize("dft_length", in[1], 0)
	if err != nil {
		return err
	}
	rate, err := scalarSize("sample_rate", in[2], 1)
	if err != nil {
		return err
	}
	mel := func(hertz float64) float64 { return float64(2595 / math.Ln10 * portmath.Log(1+hertz/700)) }
	low, high := mel(firstElement[float64](in[3])), mel(firstElement[float64](in[4]))
	step := (high - low) / float64(bins+2)
	// edge returns the row of the left edge of a triangle, which is the peak of the one before.
	edge := func(i int) (int, error) {
		hertz := 700 * (portmath.Pow(10, (float64(float64(i)*step)+low)/2595) - 1)
		row := math.Floor(float64(length+1) * hertz / float64(rate))
		if !(row >= 0 && row < float64(rows)) {
			return 0, fmt.Errorf("%w: the edges %v and %v Hz do not fit %d rows at a sample rate of %d Hz", ops.ErrValue, firstElement[float64](in[3]), firstElement[float64](in[4]), rows, rate)
		}
		return int(row), nil
	}
	zero, err := ops.Zeros(out.DType(), []int{1})
	if err != nil {
		return err
	}
	if err := (constantOfShape{zero}).run(ctx, nil, out); err != nil {
		return err
	}
	return ctx.For(bins, max(1, grain/max(1, rows)), func(lo, hi int) error {
		watching := cancelCheck{ctx: ctx}
		for bin := lo; bin < hi; bin++ {
			var at [3]int
			for i := range at {
				var err error
				if at[i], err = edge(bin + i); err != nil {
					return err
				}
			}
			for row := at[0]; row <= max(at[1], at[2]); row++ {
				v := [1]float64{1}
				switch {
				case row < at[1]:
					v[0] = float64(row-at[0]) / float64(at[1]-at[0])
				case row > at[1]:
					v[0] = float64(at[2]-row) / float64(at[2]-at[1])
				}
				store(out, row*bins+bin, 1, v[:])
				if err := watching.after(8); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
