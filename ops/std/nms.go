package std

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spike-by-spike/sbs/ops"
)

// newNonMaxSuppression returns NonMaxSuppression (opsets 10, 11): the boxes with the
// highest scores, without boxes that overlap a better one. boxes is (batch, number, 4) and
// scores is (batch, classes, number), both float32. Three optional scalars follow: the
// maximum number of boxes per class (int64, default 0), the intersection over union above
// which a box is suppressed (float32, default 0), and a score that a box must exceed
// (float32). Each row of the output (selected, 3), int64, holds the image, the class and
// the number of a box.
//
// Attributes: center_point_box (default 0: a box is two opposite corners, (y1, x1, y2, x2);
// 1: the center and the size, (x, y, width, height)).
func newNonMaxSuppression(n ops.Node) (multiOperation, error) {
	if err := n.Attributes.Only("center_point_box"); err != nil {
		return nil, err
	}
	centered, err := ops.Attr(n.Attributes, "center_point_box", int64(0))
	return nonMaxSuppression{centered != 0}, err
}

type nonMaxSuppression struct{ centered bool }

func (k nonMaxSuppression) inferAll(in []*ops.Input) ([]ops.Type, error) {
	boxes, scores := in[0].Type, in[1].Type
	for i, name := range []string{"boxes", "scores"} {
		if err := in[i].Type.CheckDType(name, ops.Float32); err != nil {
			return nil, err
		}
	}
	for i, t := range []ops.DType{ops.Int64, ops.Float32, ops.Float32} {
		if i+2 < len(in) && in[i+2] != nil {
			if err := checkScalar(fmt.Sprintf("input %d", i+2), in[i+2].Type, t); err != nil {
				return nil, err
			}
		}
	}
	ok := len(boxes.Shape) == 3 && len(scores.Shape) == 3
	for _, p := range [][2]int{{0, 0}, {1, 2}} {
		if ok {
			_, ok = mergeDims(boxes.Shape[p[0]], scores.Shape[p[1]])
		}
	}
	if !ok || boxes.Shape[2].Known() && boxes.Shape[2].Size != 4 {
		return nil, fmt.Errorf("%w: boxes is %v, scores is %v", ops.ErrShape, boxes, scores)
	}
	return []ops.Type{{DType: ops.Int64, Shape: ops.Dims(-1, 3)}}, nil
}

// rectangle is a box with ordered corners.
type rectangle struct{ top, left, bottom, right float32 }

func (k nonMaxSuppression) rectangle(v []float32) rectangle {
	if k.centered {
		height, width := float32(v[3]/2), float32(v[2]/2)
		return rectangle{v[1] - height, v[0] - width, v[1] + height, v[0] + width}
	}
	return rectangle{min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])}
}

func (r rectangle) area() float32 { return float32((r.bottom - r.top) * (r.right - r.left)) }

// overlap returns the intersection over union of two boxes.
func (r rectangle) overlap(s rectangle) float32 {
	common := rectangle{max(r.top, s.top), max(r.left, s.left), min(r.bottom, s.bottom), min(r.right, s.right)}
	if common.bottom <= common.top || common.right <= common.left {
		return 0
	}
	return common.area() / (r.area() + s.area() - common.area())
}

func (k nonMaxSuppression) runAll(ctx *ops.Context, in, out []*ops.Tensor) error {
	scores := in[1].Shape()
	most, limit := 0, float32(0)
	if t := optionalInput(in, 2); t != nil {
		most = int(min(max(firstElement[int64](t), 0), ops.MaxElements))
	}
	if t := optionalInput(in, 3); t != nil {
		limit = t.Float32s()[0]
	}
	// The rectangles of an image, the boxes of a class in their order and those that are
	// selected, and all that are selected.
	if err := ctx.Reserve(int64(scores[2]) * (4*4 + 2*8)); err != nil {
		return err
	}
	var found []int64
	rectangles := make([]rectangle, scores[2])
	for image := range scores[0] {
		if err := inPieces(ctx, len(rectangles), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				rectangles[i] = k.rectangle(in[0].Float32s()[(image*scores[2]+i)*4:][:4])
			}
		}); err != nil {
			return err
		}
		for class := range scores[1] {
			s := in[1].Float32s()[(image*scores[1]+class)*scores[2]:][:scores[2]]
			chosen, err := suppress(ctx, rectangles, s, most, limit, optionalInput(in, 4))
			if err != nil {
				return err
			}
			if err := ctx.Reserve(int64(len(chosen)) * 3 * 8); err != nil {
				return err
			}
			for _, i := range chosen {
				found = append(found, int64(image), int64(class), int64(i))
			}
		}
	}
	var err error
	out[0], err = ops.NewTensor([]int{len(found) / 3, 3}, found)
	return err
}

// suppress returns the boxes of one class that are selected, the best one first.
func suppress(ctx *ops.Context, rectangles []rectangle, scores []float32, most int, limit float32, lowest *ops.Tensor) ([]int, error) {
	var chosen []int
	order := make([]int, 0, len(scores))
	if err := inPieces(ctx, len(scores), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if lowest == nil || scores[i] > lowest.Float32s()[0] {
				order = append(order, i)
			}
		}
	}); err != nil {
		return nil, err
	}
	if err := sortBy(ctx, order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) }); err != nil {
		return nil, err
	}
	watching := cancelCheck{ctx: ctx}
	for _, i := range order {
		if len(chosen) >= most {
			break
		}
		suppressed := false
		for first := 0; first < len(chosen) && !suppressed; first += chunk {
			part := chosen[first:min(first+chunk, len(chosen))]
			suppressed = slices.ContainsFunc(part, func(j int) bool { return rectangles[i].overlap(rectangles[j]) > limit })
			if err := watching.after(16 * len(part)); err != nil {
				return nil, err
			}
		}
		if err := watching.after(1); err != nil {
			return nil, err
		}
		if !suppressed {
			chosen = append(chosen, i)
		}
	}
	return chosen, nil
}
