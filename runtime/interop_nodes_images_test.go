package runtime_test

import (
	"slices"

	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// windowNodes are the generators of operators on images: convolutions, pools, and resampling.
func windowNodes() map[string]generator {
	return map[string]generator{
		"Conv":          func(g *generated, o string) { convNode(g, o, g.dtype(floatTypes)) },
		"ConvTranspose": convTransposeNode,
		"MaxPool": func(g *generated, o string) {
			d := g.dtype([]ops.DType{ops.Float32, ops.Float64, ops.Uint8, ops.Int8, ops.Float16})
			w := g.window(true)
			outputs := g.between(1, 2)
			n := w.set(g, g.node(o, outputs, g.tensor(d, append([]int{g.between(1, 2), g.between(1, 3)}, w.size...)...)))
			if g.yes() {
				set(n, "dilations", w.dilations)
			}
			if outputs == 2 {
				g.maybe(n, "storage_order", g.yes())
			}
			g.maybe(n, "ceil_mode", g.yes())
		},
		"AveragePool": func(g *generated, o string) {
			w := g.window(true)
			n := w.set(g, g.node(o, 1, g.tensor(g.dtype(floatTypes), append([]int{g.between(1, 2), g.between(1, 3)}, w.size...)...)))
			if g.opset >= 19 && g.yes() {
				set(n, "dilations", w.dilations)
			}
			g.maybe(g.maybe(n, "count_include_pad", g.yes()), "ceil_mode", g.yes())
		},
		"LpPool": func(g *generated, o string) {
			w := g.window(true)
			n := w.set(g, g.node(o, 1, g.tensor(ops.Float32, append([]int{g.between(1, 2), g.between(1, 3)}, w.size...)...)))
			g.maybe(n, "p", g.between(1, 3))
		},
		"GlobalAveragePool": func(g *generated, o string) { g.node(o, 1, g.image(g.dtype(floatTypes), 1, 3)) },
		"GlobalMaxPool":     func(g *generated, o string) { g.node(o, 1, g.image(g.dtype(floatTypes), 1, 3)) },
		"GlobalLpPool":      func(g *generated, o string) { g.maybe(g.node(o, 1, g.image(ops.Float32, 1, 3)), "p", g.between(1, 3)) },
		"MaxUnpool": func(g *generated, o string) {
			h, w := g.between(1, 4), g.between(1, 4)
			shape := []int{g.between(1, 2), g.between(1, 2), h, w}
			indices := filled(ops.Int64, shape, func(i int) float64 { // the windows are 2x2, without overlap
				plane, y, x := i/(h*w), i/w%h, i%w
				return float64((plane*2*h+2*y+g.IntN(2))*2*w + 2*x + g.IntN(2))
			})
			set(set(g.node(o, 1, g.tensor(ops.Float32, shape...), indices), "kernel_shape", []int{2, 2}), "strides", []int{2, 2})
		},
		"LRN": func(g *generated, o string) {
			n := set(g.node(o, 1, g.tensor(ops.Float32, g.between(1, 2), g.between(1, 8), g.between(1, 4), g.between(1, 9))), "size", oneOf(g, 1, 3, 5))
			g.maybe(g.maybe(g.maybe(n, "alpha", 0.1), "beta", 0.5), "bias", 2.0)
		},
		"Resize":     resizeNode,
		"GridSample": gridSampleNode,
		"AffineGrid": func(g *generated, o string) {
			g.opset = max(g.opset, 20)
			n, d := g.between(1, 2), oneOf(g, ops.Float32, ops.Float64)
			sizes := append([]int{n, g.between(1, 3)}, g.list(g.between(2, 3), 1, 5)...)
			axes := len(sizes) - 2
			g.maybe(g.node(o, 1, g.tensor(d, n, axes, axes+1), ints(sizes...)), "align_corners", g.yes())
		},
		"RoiAlign": func(g *generated, o string) {
			x := g.tensor(oneOf(g, ops.Float32, ops.Float64), 2, g.between(1, 3), g.between(2, 8), g.between(2, 8))
			count := g.between(1, 3)
			corner := g.Float64() * 3
			rois := filled(x.DType(), []int{count, 4}, func(i int) float64 { return corner + float64(i%4/2)*(0.5+3*g.Float64()) })
			batch := filled(ops.Int64, []int{count}, func(int) float64 { return float64(g.IntN(2)) })
			n := g.node(o, 1, x, rois, batch)
			g.maybe(g.maybe(g.maybe(n, "output_height", g.between(1, 4)), "output_width", g.between(1, 4)), "sampling_ratio", g.between(0, 3))
			g.maybe(g.maybe(n, "spatial_scale", 0.5), "mode", oneOf(g, "avg", "max"))
			if g.opset >= 16 {
				g.maybe(n, "coordinate_transformation_mode", oneOf(g, "half_pixel", "output_half_pixel"))
			}
		},
		"MaxRoiPool": func(g *generated, o string) {
			count := g.between(1, 3)
			rois := filled(ops.Float32, []int{count, 5}, func(i int) float64 {
				if i%5 == 0 {
					return float64(g.IntN(2))
				}
				return float64(g.IntN(4)) + float64((i%5-1)/2*2)
			})
			n := g.node(o, 1, g.tensor(ops.Float32, 2, g.between(1, 3), g.between(3, 8), g.between(3, 8)), rois)
			g.maybe(set(n, "pooled_shape", g.list(2, 1, 3)), "spatial_scale", 0.5)
		},
		"Col2Im": func(g *generated, o string) {
			g.opset = max(g.opset, 18)
			w := g.window(false)
			w.auto = ""
			blocks := 1
			for i := range w.size {
				blocks *= w.out(i)
			}
			n := g.node(o, 1, g.tensor(ops.Float32, g.between(1, 2), g.between(1, 3)*lenOf(w.kernel), blocks), ints(w.size...), ints(w.kernel...))
			set(set(set(n, "strides", w.strides), "pads", w.pads), "dilations", w.dilations)
		},
		"DeformConv": func(g *generated, o string) {
			g.opset = max(g.opset, 19)
			w := g.window(false)
			for len(w.size) != 2 {
				w = g.window(false)
			}
			groups, offsets := g.between(1, 2), g.between(1, 2)
			c, m := groups*offsets, groups*g.between(1, 3)
			out := []int{w.out(0), w.out(1)}
			batch := g.between(1, 2)
			in := []any{
				g.tensor(ops.Float32, append([]int{batch, c}, w.size...)...), g.tensor(ops.Float32, append([]int{m, c / groups}, w.kernel...)...),
				g.tensor(ops.Float32, append([]int{batch, offsets * 2 * lenOf(w.kernel)}, out...)...), nil, nil,
			}
			if g.yes() {
				in[3] = g.tensor(ops.Float32, m)
			}
			if g.yes() {
				in[4] = g.tensor(ops.Float32, append([]int{batch, offsets * lenOf(w.kernel)}, out...)...)
			}
			n := set(set(g.node(o, 1, in...), "group", groups), "offset_group", offsets)
			set(set(set(n, "strides", w.strides), "pads", w.pads), "dilations", w.dilations)
		},
		"QLinearConv": func(g *generated, o string) {
			d, e := oneOf(g, ops.Uint8, ops.Int8), oneOf(g, ops.Uint8, ops.Int8)
			if d == ops.Int8 {
				e = ops.Int8
			}
			w := g.window(false)
			groups := g.between(1, 2)
			c, m := groups*g.between(1, 3), groups*g.between(1, 4)
			in := []any{
				g.byte(d, append([]int{g.between(1, 2), c}, w.size...)...), g.scale(), g.byte(d), g.byte(e, append([]int{m, c / groups}, w.kernel...)...), g.scale(), g.byte(e),
				g.scale(), g.byte(d), nil,
			}
			if e == ops.Int8 && g.yes() { // by channel
				in[4], in[5] = g.within(ops.Float32, 0.01, 0.2, m), filled(e, []int{m}, func(int) float64 { return 0 })
			}
			if g.yes() {
				in[8] = g.within(ops.Int32, -200, 200, m)
			}
			g.constant(in, 1, 2, 3, 4, 5, 6, 7, 8)
			set(w.set(g, g.node(o, 1, in...)), "group", groups)
		},
		"ConvInteger": func(g *generated, o string) {
			w := g.window(false)
			groups := g.between(1, 2)
			c, m := groups*g.between(1, 3), groups*g.between(1, 4)
			in := []any{g.byte(ops.Uint8, append([]int{g.between(1, 2), c}, w.size...)...), g.byte(ops.Uint8, append([]int{m, c / groups}, w.kernel...)...), nil, nil}
			if g.yes() {
				in[2] = g.byte(ops.Uint8)
			}
			if g.yes() {
				in[3] = g.byte(ops.Uint8)
			}
			set(w.set(g, g.node(o, 1, in...)), "group", groups)
		},
	}
}

// image returns a batch of images with one to three spatial axes.
func (g *generated) image(d ops.DType, lo, hi int) *runtime.Tensor {
	return g.tensor(d, append(g.list(2, 1, 4), g.list(g.between(lo, hi), 1, 9)...)...)
}

// window is the geometry of a convolution or a pool.
type window struct {
	size, kernel, strides, dilations, pads []int
	auto                                   string // auto_pad, "" for pads
}

// window returns a window that fits into its image. The pads of a pool are smaller than its kernel.
func (g *generated) window(pool bool) window {
	axes := oneOf(g, 1, 2, 2, 3)
	w := window{kernel: g.list(axes, 1, 4), strides: g.list(axes, 1, 3), dilations: g.list(axes, 1, 2), pads: g.list(2*axes, 0, 2)}
	if g.yes() {
		w.dilations = slices.Repeat([]int{1}, axes)
	}
	for i, k := range w.kernel {
		w.size = append(w.size, (k-1)*w.dilations[i]+g.between(1, 7))
		for _, side := range []int{i, axes + i} {
			if pool {
				w.pads[side] = min(w.pads[side], k-1)
			}
		}
	}
	if g.IntN(3) == 0 {
		w.auto = oneOf(g, "SAME_UPPER", "SAME_LOWER", "VALID")
	}
	return w
}

// out returns the size of the output of a convolution along an axis.
func (w *window) out(i int) int {
	return (w.size[i]+w.pads[i]+w.pads[len(w.size)+i]-(w.kernel[i]-1)*w.dilations[i]-1)/w.strides[i] + 1
}

// set adds the attributes of the window but for dilations, which some operators do not have.
func (w *window) set(g *generated, n *onnxpb.NodeProto) *onnxpb.NodeProto {
	set(n, "kernel_shape", w.kernel)
	g.maybe(n, "strides", w.strides)
	if w.auto != "" {
		return set(n, "auto_pad", w.auto)
	}
	return g.maybe(n, "pads", w.pads)
}

func convNode(g *generated, o string, d ops.DType) {
	w := g.window(false)
	groups := oneOf(g, 1, 1, 2, 3)
	c, m := groups*g.between(1, 4), groups*g.between(1, 5)
	if g.IntN(4) == 0 { // depthwise
		groups, m = c, c*g.between(1, 2)
	}
	in := []any{g.tensor(d, append([]int{g.between(1, 2), c}, w.size...)...), g.tensor(d, append([]int{m, c / groups}, w.kernel...)...), nil}
	if g.yes() {
		in[2] = g.tensor(d, m)
	}
	n := set(w.set(g, g.node(o, 1, in...)), "group", groups)
	if w.auto == "" || w.auto == "VALID" {
		set(n, "dilations", w.dilations)
	}
}

func convTransposeNode(g *generated, o string) {
	w := g.window(false)
	groups := oneOf(g, 1, 1, 2, 3)
	c, m := groups*g.between(1, 3), g.between(1, 4)
	axes := len(w.size)
	w.size = g.list(axes, 1, 6)
	for i := range w.pads { // the output has at least one element
		w.pads[i] = min(w.pads[i], (w.kernel[i%axes]-1)*w.dilations[i%axes]/2)
	}
	d := oneOf(g, ops.Float32, ops.Float32, ops.Float16)
	in := []any{g.tensor(d, append([]int{g.between(1, 2), c}, w.size...)...), g.tensor(d, append([]int{c, m}, w.kernel...)...), nil}
	if g.yes() {
		in[2] = g.tensor(d, groups*m)
	}
	n := set(set(g.node(o, 1, in...), "group", groups), "kernel_shape", w.kernel)
	set(set(n, "strides", w.strides), "dilations", w.dilations)
	extra := make([]int, axes)
	for i := range extra {
		extra[i] = g.IntN(w.strides[i])
	}
	switch g.IntN(4) {
	case 0:
		set(n, "pads", w.pads)
	case 1:
		set(set(n, "pads", w.pads), "output_padding", extra)
	case 2:
		set(n, "auto_pad", oneOf(g, "SAME_UPPER", "SAME_LOWER", "VALID"))
		for i, k := range w.kernel {
			if (k-1)*w.dilations[i]+1 < w.strides[i] { // pads would be negative
				n.Attribute = n.Attribute[:len(n.Attribute)-1]
				break
			}
		}
	case 3:
		shape := make([]int, axes)
		for i := range shape {
			full := (w.size[i]-1)*w.strides[i] + (w.kernel[i]-1)*w.dilations[i] + 1
			shape[i] = max(1, full-g.IntN(3))
		}
		set(n, "output_shape", shape)
		g.maybe(n, "auto_pad", oneOf(g, "SAME_UPPER", "SAME_LOWER"))
	}
}

func resizeNode(g *generated, o string) {
	mode := oneOf(g, "nearest", "linear", "cubic")
	transform := oneOf(g, "half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
	if g.opset >= 19 && g.IntN(4) == 0 {
		transform = "half_pixel_symmetric"
	}
	spatial := 2
	if mode != "cubic" {
		spatial = g.between(1, 3)
	}
	d := g.dtype([]ops.DType{ops.Float32, ops.Float32, ops.Uint8, ops.Int32, ops.Int8})
	s := append([]int{g.between(1, 2), g.between(1, 2)}, g.list(spatial, 1, 7)...)
	x := g.tensor(d, s...)
	in := []any{x, nil, nil, nil}
	var axes []int
	if g.opset >= 18 && g.yes() {
		for i := range spatial {
			axes = append(axes, 2+i)
		}
	}
	if g.yes() {
		scales := []float32{1, 1}
		if axes != nil {
			scales = nil
		}
		for range spatial {
			scales = append(scales, oneOf[float32](g, 0.5, 0.6, 1, 1.5, 2, 2.5, 3))
		}
		for i, f := range scales { // no size of 0
			if size := s[len(s)-len(scales)+i]; float32(size)*f < 1 {
				scales[i] = 1
			}
		}
		in[2] = filled(ops.Float32, []int{len(scales)}, func(i int) float64 { return float64(scales[i]) })
	} else {
		sizes := slices.Clone(s[:2])
		if axes != nil {
			sizes = nil
		}
		in[3] = ints(append(sizes, g.list(spatial, 1, 12)...)...)
	}
	g.truncated = mode != "nearest" && d != ops.Float32
	n := set(set(g.node(o, 1, in...), "mode", mode), "coordinate_transformation_mode", transform)
	if axes != nil {
		set(n, "axes", axes)
		if in[3] != nil {
			g.maybe(n, "keep_aspect_ratio_policy", oneOf(g, "stretch", "not_larger", "not_smaller"))
		}
	}
	switch mode {
	case "nearest":
		g.maybe(n, "nearest_mode", oneOf(g, "floor", "ceil", "round_prefer_floor", "round_prefer_ceil"))
	case "cubic":
		g.maybe(g.maybe(n, "cubic_coeff_a", -0.5), "exclude_outside", g.yes())
		fallthrough
	default:
		if g.opset >= 18 && g.IntN(3) == 0 {
			set(n, "antialias", 1)
		}
	}
}

func gridSampleNode(g *generated, o string) {
	g.opset = max(g.opset, 16)
	axes := 2
	if g.opset >= 20 {
		axes = g.between(2, 3)
	}
	mode := oneOf(g, "nearest", "linear")
	if axes == 2 {
		mode = oneOf(g, "nearest", "linear", "cubic")
	}
	if g.opset < 20 {
		mode = map[string]string{"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}[mode]
	}
	d := oneOf(g, ops.Float32, ops.Float32, ops.Float64)
	batch := g.between(1, 2)
	x := g.tensor(d, append([]int{batch, g.between(1, 3)}, g.list(axes, 2, 7)...)...)
	grid := g.within(d, -1.3, 1.3, append(append([]int{batch}, g.list(axes, 1, 6)...), axes)...)
	n := set(g.node(o, 1, x, grid), "mode", mode)
	g.maybe(g.maybe(n, "padding_mode", oneOf(g, "zeros", "border", "reflection")), "align_corners", g.yes())
}
