package noise

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
)

// uniformOf returns random number 0 of a kind, from 0 to 1.
func uniformOf(seed, image, stream uint64) float64 {
	return float64(kernel.Random(kernel.Key(seed, 0x6e6f697365, image, stream), 0)) / 0x1p32
}

// movedTo returns the image whose value at each place is the sum of all values of x, each with the
// weight (1-|dy|)*(1-|dx|) for its distance from the place that from returns, if both are below 1.
func movedTo(x []float32, height, width int, from func(y, x float64) (float64, float64)) []float64 {
	out := make([]float64, len(x))
	for i := range out {
		plane, row, column := i/(height*width), i/width%height, i%width
		y, z := from(float64(row), float64(column))
		for j := range height * width {
			dy, dx := math.Abs(float64(j/width)-y), math.Abs(float64(j%width)-z)
			if dy < 1 && dx < 1 {
				out[i] += (1 - dy) * (1 - dx) * float64(x[plane*height*width+j])
			}
		}
	}
	return out
}

func requireClose(t *testing.T, want []float64, got []float32, name string) {
	t.Helper()
	for i, v := range got {
		require.InDelta(t, want[i], v, 2e-7, "%s, value %d", name, i)
	}
}

func TestRotation_TurnsTheImageAboutItsCenter(t *testing.T) {
	const channels, height, width, seed = 2, 8, 11, 6
	x := random(channels * height * width)
	directions := map[bool]int{}
	for text, degrees := range map[string]float64{
		"rotation=1e-3": 1e-3, "rotation=1": 1, "rotation=33.3": 33.3, "rotation=45": 45, "rotation=90": 90, "rotation=135": 135, "rotation=180": 180,
	} {
		for image := range uint64(6) {
			angle := degrees * math.Pi / 180
			counterclockwise := uniformOf(seed, image, 8) < 0.5
			directions[counterclockwise]++
			if counterclockwise { // rows count downward
				angle = -angle
			}
			want := movedTo(x, height, width, func(y, x float64) (float64, float64) {
				// The place in polar coordinates about the center, turned back.
				dy, dx := y-3.5, x-5
				radius, direction := math.Hypot(dy, dx), math.Atan2(dy, dx)-angle
				return 3.5 + radius*math.Sin(direction), 5 + radius*math.Cos(direction)
			})
			requireClose(t, want, add(t, text, x, channels, height, width, seed, image), text)
		}
	}
	require.Len(t, directions, 2)
}

// A point to the right of the center goes up or down.
func TestRotation_TurnsInBothDirections(t *testing.T) {
	const n = 10000
	noise := parse(t, "rotation=90")
	up := 0
	for image := range uint64(n) {
		x := constant(9, 0)
		x[5] = 1
		noise.Apply(x, 1, 3, 3, 2, image)
		require.InDelta(t, 1, x[1]+x[7], 1e-6)
		if x[1] > 0.5 {
			up++
		}
	}
	require.InDelta(t, n/2, up, standardErrors*math.Sqrt(n)/2)
	x := random(100)
	back := slices.Clone(x)
	slices.Reverse(back)
	require.InDeltaSlice(t, back, add(t, "rotation=180", x, 1, 10, 10, 0, 0), 1e-6)
	twice := add(t, "rotation=90", add(t, "rotation=90", x, 1, 10, 10, 0, 0), 1, 10, 10, 0, 0)
	require.InDeltaSlice(t, back, twice, 1e-6)
}

func TestTranslation_MovesTheImage(t *testing.T) {
	const channels, height, width, seed = 3, 7, 9, 6
	x := random(channels * height * width)
	for text, distance := range map[string]float64{"translation=0.01": 0.01, "translation=0.5": 0.5, "translation=1": 1, "translation=2.3": 2.3, "translation=7": 7} {
		for image := range uint64(6) {
			direction := 2 * math.Pi * uniformOf(seed, image, 9)
			want := movedTo(x, height, width, func(y, x float64) (float64, float64) {
				return y - distance*math.Sin(direction), x - distance*math.Cos(direction)
			})
			requireClose(t, want, add(t, text, x, channels, height, width, seed, image), text)
		}
	}
}

// centerOfMass returns the place of the mean of an image of one channel.
func centerOfMass(x []float32, width int) (row, column float64) {
	var sum float64
	for i, v := range x {
		sum += float64(v)
		row += float64(v) * float64(i/width)
		column += float64(v) * float64(i%width)
	}
	return row / sum, column / sum
}

// Bilinear interpolation moves the center of mass of an image exactly, if nothing leaves it.
func TestTranslation_HasTheKnownMoments(t *testing.T) {
	const n, size, distance = 10000, 11, 3.5
	noise, double := parse(t, "translation=3.5"), parse(t, "translation=1.75")
	var down, right []float64
	products := 0.0
	for image := range uint64(n) {
		moved := func(n Noise) (float64, float64) {
			x := constant(size*size, 0)
			x[size*size/2] = 1
			n.Apply(x, 1, size, size, 7, image)
			row, column := centerOfMass(x, size)
			return row - size/2, column - size/2
		}
		dy, dx := moved(noise)
		require.InDelta(t, distance, math.Hypot(dy, dx), 1e-5)
		if image < 100 {
			halfDown, halfRight := moved(double)
			require.InDelta(t, dy/2, halfDown, 1e-5, "all levels have the same direction")
			require.InDelta(t, dx/2, halfRight, 1e-5)
		}
		down, right = append(down, dy), append(right, dx)
		products += dy * dx
	}
	// The mean of a coordinate on a circle is 0, its variance d^2/2 and the fourth moment 3*d^4/8.
	const variance = distance * distance / 2
	for _, values := range [][]float64{down, right} {
		mean, v := moments(values)
		require.InDelta(t, 0, mean, standardErrors*math.Sqrt(variance/n))
		require.InDelta(t, variance, v, standardErrors*variance*math.Sqrt(0.5/n))
	}
	require.InDelta(t, 0, products/n, standardErrors*variance*math.Sqrt(0.5/n))
}

// cropOf returns an image without a border.
func cropOf(x []float32, height, width, top, left, border int) []float32 {
	var out []float32
	for y := border; y < height-border; y++ {
		out = append(out, x[(y+top)*width+left+border:(y+top)*width+left+width-border]...)
	}
	return out
}

// The crop of the result must be one of the crops at the 8*d other places, and all of them must be
// equally probable.
func TestCropShift_MovesTheCrop(t *testing.T) {
	const height, width, n = 12, 15, 16000
	x := random(height * width)
	for text, d := range map[string]int{"crop-shift=1": 1, "crop-shift=2": 2, "crop-shift=3": 3} {
		noise := parse(t, text)
		places := map[[2]int]int{}
		for image := range uint64(n) {
			y := slices.Clone(x)
			noise.Apply(y, 1, height, width, 8, image)
			got := cropOf(y, height, width, 0, 0, 3)
			for top := -3; top <= 3; top++ {
				for left := -3; left <= 3; left++ {
					if slices.Equal(got, cropOf(x, height, width, top, left, 3)) {
						places[[2]int{top, left}]++
					}
				}
			}
		}
		require.Len(t, places, 8*d, text)
		for p, count := range places {
			require.Equal(t, float64(d), math.Max(math.Abs(float64(p[0])), math.Abs(float64(p[1]))), text)
			mean := float64(n) / float64(8*d)
			require.InDelta(t, mean, count, standardErrors*math.Sqrt(mean), "%s, %v", text, p)
		}
	}
}

// A model without a border sees the outermost pixels again; models never do.
func TestCropShift_FollowsItsRandomNumber(t *testing.T) {
	const channels, height, width, seed = 3, 9, 8, 5
	x := random(channels * height * width)
	ring := map[int][][2]int{
		1: {{-1, -1}, {-1, 0}, {-1, 1}, {0, 1}, {1, 1}, {1, 0}, {1, -1}, {0, -1}},
		2: {{-2, -2}, {-2, -1}, {-2, 0}, {-2, 1}, {-2, 2}, {-1, 2}, {0, 2}, {1, 2}, {2, 2}, {2, 1}, {2, 0}, {2, -1}, {2, -2}, {1, -2}, {0, -2}, {-1, -2}},
	}
	for text, d := range map[string]int{"crop-shift=1": 1, "crop-shift=2": 2} {
		for image := range uint64(50) {
			move := ring[d][int(uniformOf(seed, image, 10)*float64(8*d))]
			for i, v := range add(t, text, x, channels, height, width, seed, image) {
				row := math.Max(0, math.Min(height-1, float64(i/width%height+move[0])))
				column := math.Max(0, math.Min(width-1, float64(i%width+move[1])))
				require.Equal(t, x[(i/(height*width)*height+int(row))*width+int(column)], v)
			}
		}
	}
}
