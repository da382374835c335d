package noise

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/kernel"
)

func parse(t testing.TB, text string) Noise {
	t.Helper()
	n, err := Parse(text)
	require.NoError(t, err, text)
	return n
}

// add returns an image with noise. The image itself stays unchanged.
func add(t testing.TB, text string, pixels []float32, channels, height, width int, seed, image uint64) []float32 {
	t.Helper()
	out := slices.Clone(pixels)
	parse(t, text).Apply(out, channels, height, width, seed, image)
	return out
}

// gradient returns n different values from 0 to 1.
func gradient(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i) / float32(n-1)
	}
	return v
}

func constant(n int, v float32) []float32 { return slices.Repeat([]float32{v}, n) }

// every lists a level for every kind that changes images.
var every = map[string]string{
	"gaussian": "0.3", "salt-and-pepper": "0.2", "uniform": "0.4", "shot": "0.4", "contrast": "0.6", "brightness": "-0.3", "blur": "0.7",
	"occlusion": "3", "rotation": "40", "translation": "1.7", "crop-shift": "2",
}

func TestKinds_HaveNamesLevelsAndStreamsOfTheirOwn(t *testing.T) {
	require.Len(t, every, len(Kinds()), "a kind is missing in the tests")
	streams := map[uint64]string{}
	for _, k := range Kinds() {
		require.Contains(t, every, k.Name)
		require.NotEmpty(t, k.Level)
		require.NotNil(t, k.apply)
		require.Less(t, k.Least, k.Most)
		require.Empty(t, streams[k.stream], "%s draws the same numbers", k.Name)
		streams[k.stream] = k.Name
	}
}

// The expected values come from the formulas in the documentation, without the code of the
// package.
func TestApply_FollowsTheFormulas(t *testing.T) {
	const channels, height, width, seed, image = 3, 5, 7, 11, 13
	plane := height * width
	x := gradient(channels * plane)
	r := func(stream uint64, i int) float64 {
		return float64(kernel.Random(kernel.Key(seed, 0x6e6f697365, image, stream), i))
	}
	clip := func(v float64) float64 { return math.Max(0, math.Min(1, v)) }
	top := int(math.Floor(r(4, 0) * (height - 3 + 1) / 0x1p32))
	left := int(math.Floor(r(4, 1) * (width - 3 + 1) / 0x1p32))
	clipped := 0
	for name, want := range map[string]func(i int, x float64) float64{
		"gaussian": func(i int, x float64) float64 {
			radius := math.Sqrt(2 * math.Log(0x1p32/(r(0, 2*i)+0.5)))
			v := x + 0.3*radius*math.Sin(math.Pi/2-2*math.Pi*r(0, 2*i+1)/0x1p32)
			if v < 0 || v > 1 {
				clipped++
			}
			return clip(v)
		},
		"salt-and-pepper": func(i int, x float64) float64 {
			switch p := i % plane; {
			case r(1, 2*p)/0x1p32 >= 0.2:
				return x
			case r(1, 2*p+1) < 0x1p31:
				return 0
			}
			return 1
		},
		"uniform":  func(i int, x float64) float64 { return x + 0.4*(r(2, i)/0x1p32-x) },
		"contrast": func(_ int, x float64) float64 { return 0.5 + 0.4*(x-0.5) },
		"occlusion": func(i int, x float64) float64 {
			row, column := i%plane/width, i%width
			if row >= top && row < top+3 && column >= left && column < left+3 {
				return 0
			}
			return x
		},
		"brightness": func(_ int, x float64) float64 { return clip(x - 0.3) },
	} {
		got := add(t, name+"="+every[name], x, channels, height, width, seed, image)
		require.NotEqual(t, x, got, name)
		for i, v := range got {
			require.InDelta(t, want(i, float64(x[i])), v, 1e-7, "%s, value %d", name, i)
		}
	}
	require.Greater(t, clipped, 10, "this test checks clipping too")
}

// A change of the generator or of the streams would change all results. A program in Python
// gave the same values.
func TestApply_GivesTheRecordedValues(t *testing.T) {
	for name, want := range map[string][]float32{
		"gaussian=0.1":        {0.610724, 0.26830995, 0.56300145, 0.5229555, 0.4097417, 0.18789361},
		"salt-and-pepper=0.5": {0.5, 0.5, 0, 0.5, 0.5, 0},
		"uniform=0.5":         {0.29948872, 0.38015544, 0.39261937, 0.36136585, 0.58467704, 0.61412984},
		"occlusion=1":         {0.5, 0.5, 0.5, 0, 0.5, 0.5},
	} {
		got := add(t, name, constant(6, 0.5), 1, 2, 3, 1, 2)
		require.InDeltaSlice(t, want, got, 1e-6, name)
	}
}

// moments returns the mean and the variance of values.
func moments(values []float64) (mean, variance float64) {
	for _, v := range values {
		mean += v
	}
	mean /= float64(len(values))
	for _, v := range values {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(values))
}

// draw returns the values of n images of 100x100 pixels that were constant before the
// noise.
func draw(t *testing.T, text string, x float32, n int) []float64 {
	t.Helper()
	values := make([]float64, 0, n*1e4)
	for image := range n {
		for _, v := range add(t, text, constant(1e4, x), 1, 100, 100, 5, uint64(image)) {
			values = append(values, float64(v))
		}
	}
	return values
}

// standardErrors is how far a measured moment may be from the expected one. The random
// numbers are the same in every run of the tests.
const standardErrors = 4

// The standard error of the mean is sqrt(variance/n), the one of the variance
// sqrt((m4-variance^2)/n) with the fourth central moment m4, and the one of a share p is
// sqrt(p*(1-p)/n).
func TestApply_HasTheKnownMoments(t *testing.T) {
	const n = 1e6
	within := func(name string, want, got, variance float64) {
		t.Helper()
		require.InDelta(t, want, got, standardErrors*math.Sqrt(variance/n), name)
	}
	t.Run("gaussian", func(t *testing.T) {
		// No value is clipped: the largest normal number is 6.8.
		normal := draw(t, "gaussian=0.05", 0.5, 100)
		beyond := 0.0
		var third, fourth float64
		for i, v := range normal {
			z := (v - 0.5) / 0.05
			normal[i] = z
			third += z * z * z / n
			fourth += z * z * z * z / n
			if math.Abs(z) > 2 {
				beyond++
			}
		}
		mean, variance := moments(normal)
		within("mean", 0, mean, 1)
		within("variance", 1, variance, 2)
		within("third moment", 0, third, 15)
		within("fourth moment", 3, fourth, 96)
		p := math.Erfc(math.Sqrt2)
		within("share beyond two standard deviations", p, beyond/n, p*(1-p))
	})
	t.Run("gaussian, clipped", func(t *testing.T) {
		// Half of the values of a black image are clipped. The others have a half-normal
		// distribution.
		mean, _ := moments(draw(t, "gaussian=0.1", 0, 100))
		within("mean", 0.1/math.Sqrt(2*math.Pi), mean, 0.01*(0.5-0.5/math.Pi))
	})
	t.Run("uniform", func(t *testing.T) {
		values := draw(t, "uniform=0.5", 0.4, 100)
		require.GreaterOrEqual(t, slices.Min(values), 0.2)
		require.LessOrEqual(t, slices.Max(values), 0.7)
		mean, variance := moments(values)
		within("mean", 0.45, mean, 0.25/12)
		within("variance", 0.25/12, variance, 0.0625*(1./80-1./144))
	})
	t.Run("salt-and-pepper", func(t *testing.T) {
		var black, white float64
		for _, v := range draw(t, "salt-and-pepper=0.3", 0.5, 100) {
			switch v {
			case 0:
				black++
			case 1:
				white++
			default:
				require.Equal(t, 0.5, v)
			}
		}
		within("black", 0.15, black/n, 0.15*0.85)
		within("white", 0.15, white/n, 0.15*0.85)
	})
	t.Run("contrast", func(t *testing.T) {
		x := gradient(1e4)
		for i, v := range add(t, "contrast=0.6", x, 1, 100, 100, 0, 0) {
			require.InDelta(t, 0.4*float64(x[i])+0.3, v, 1e-7)
		}
	})
}

// The square must lie inside the image, and all its places must be equally probable.
func TestOcclusion_CoversOneSquareAtAnyPlace(t *testing.T) {
	const channels, height, width, side, n = 3, 6, 9, 4, 18000
	const places = (height - side + 1) * (width - side + 1)
	count := map[int]int{}
	noise := parse(t, "occlusion=4")
	for image := range n {
		pixels := constant(channels*height*width, 1)
		noise.Apply(pixels, channels, height, width, 0, uint64(image))
		first := slices.Index(pixels, 0)
		top, left := first/width, first%width
		require.LessOrEqual(t, top, height-side)
		require.LessOrEqual(t, left, width-side)
		for i, v := range pixels {
			row, column := i%(height*width)/width, i%width
			covered := row >= top && row < top+side && column >= left && column < left+side
			require.Equal(t, covered, v == 0)
		}
		count[first]++
	}
	require.Len(t, count, places)
	for place, c := range count {
		const mean = n / places
		require.InDelta(t, mean, c, standardErrors*math.Sqrt(mean), "place %d", place)
	}
	require.Equal(t, constant(50, 0), add(t, "occlusion=5", constant(50, 1), 2, 5, 5, 0, 0), "a square of the size of the image")
}

func TestSaltAndPepper_ChangesWholePixelsAndGrowsWithTheLevel(t *testing.T) {
	const plane = 400
	x := gradient(3 * plane)
	little, much := add(t, "salt-and-pepper=0.1", x, 3, 20, 20, 3, 4), add(t, "salt-and-pepper=0.3", x, 3, 20, 20, 3, 4)
	changed := 0
	for i := range plane {
		if little[i] != x[i] {
			changed++
			for c := range 3 {
				require.Equal(t, little[i], little[c*plane+i])
				require.Equal(t, little[i], much[c*plane+i])
			}
		}
	}
	require.Greater(t, changed, 10)
	for _, v := range add(t, "salt-and-pepper=1", x, 3, 20, 20, 3, 4) {
		require.True(t, v == 0 || v == 1, "%v", v)
	}
}

func TestApply_ChangesNothingAtLevel0(t *testing.T) {
	x := append(gradient(70), math.Float32frombits(1), math.Nextafter32(1, 0), 0, 1, float32(math.Copysign(0, -1)))
	for name := range every {
		for _, level := range []string{"0", "-0", "0e5"} {
			got := add(t, name+"="+level, x, 1, 5, 15, 1, 1)
			for i := range x {
				require.Equal(t, math.Float32bits(x[i]), math.Float32bits(got[i]), "%s=%s", name, level)
			}
		}
	}
	got := slices.Clone(x)
	Noise{}.Apply(got, 1, 5, 15, 1, 1)
	require.Equal(t, x, got)
}

func TestApply_StaysFromZeroToOne(t *testing.T) {
	x := gradient(10000)
	for _, text := range []string{
		"gaussian=0.6", "gaussian=100", "gaussian=1e-300", "salt-and-pepper=1", "uniform=1", "contrast=1", "occlusion=100",
		"gaussian=5,uniform=0.5,contrast=0.5", "shot=10", "shot=0.2", "shot=1e-300", "brightness=-1", "brightness=1", "brightness=0.01",
		"blur=0.2", "blur=3", "blur=100", "rotation=33", "rotation=180", "translation=100", "translation=0.3", "crop-shift=9",
	} {
		for _, v := range add(t, text, x, 1, 100, 100, 0, 0) {
			require.True(t, v >= 0 && v <= 1, "%s gives %v", text, v)
		}
	}
	require.Equal(t, constant(10000, 0.5), add(t, "contrast=1", x, 1, 100, 100, 0, 0))
	// At level 1, nothing of the image is left.
	require.Equal(t, add(t, "uniform=1", x, 1, 100, 100, 0, 0), add(t, "uniform=1", constant(10000, 0.5), 1, 100, 100, 0, 0))
}

func TestApply_AppliesKindsInTheGivenOrder(t *testing.T) {
	x := gradient(100)
	first := add(t, "occlusion=5", x, 1, 10, 10, 7, 8)
	require.Equal(t, add(t, "contrast=0.5", first, 1, 10, 10, 7, 8), add(t, "occlusion=5,contrast=0.5", x, 1, 10, 10, 7, 8))
	first = add(t, "contrast=0.5", x, 1, 10, 10, 7, 8)
	require.Equal(t, add(t, "occlusion=5", first, 1, 10, 10, 7, 8), add(t, "contrast=0.5,occlusion=5", x, 1, 10, 10, 7, 8))
}

// correlation returns the correlation of two sequences.
func correlation(a, b []float64) float64 {
	meanA, varianceA := moments(a)
	meanB, varianceB := moments(b)
	sum := 0.0
	for i := range a {
		sum += (a[i] - meanA) * (b[i] - meanB)
	}
	return sum / float64(len(a)) / math.Sqrt(varianceA*varianceB)
}

// The noise of other seeds, images, kinds and places must be unrelated, and so must be the
// numbers that draw spikes. The standard error of a correlation is 1/sqrt(n).
func TestNumbers_AreIndependent(t *testing.T) {
	const n = 40000
	values := func(text string, seed, image uint64) []float64 {
		var v []float64
		for _, x := range add(t, text, constant(n, 0.5), 1, 200, 200, seed, image) {
			v = append(v, float64(x))
		}
		return v
	}
	spikes := func(layer, image, position uint64) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(kernel.Random(kernel.Key(1, layer, image, position), i))
		}
		return v
	}
	uniform := values("uniform=0.5", 1, 2)
	normal := values("gaussian=0.05", 1, 2)
	require.Equal(t, uniform, values("uniform=0.5", 1, 2))
	require.InDelta(t, 1, correlation(uniform, values("uniform=0.25", 1, 2)), 1e-6, "another level has the same numbers")
	for name, other := range map[string][]float64{
		"the next value":                    append(slices.Clone(uniform[1:]), uniform[0]),
		"the next row":                      append(slices.Clone(uniform[200:]), uniform[:200]...),
		"another image":                     values("uniform=0.5", 1, 3),
		"another seed":                      values("uniform=0.5", 2, 2),
		"seed and image exchanged":          values("uniform=0.5", 2, 1),
		"another kind":                      normal,
		"pixels of salt and pepper":         values("salt-and-pepper=0.5", 1, 2),
		"spikes of layer 0":                 spikes(0, 2, 0),
		"spikes of layer 2":                 spikes(2, 2, 2),
		"spikes of layer 0, other position": spikes(0, 2, 1),
	} {
		require.Less(t, math.Abs(correlation(uniform, other)), standardErrors/math.Sqrt(n), name)
	}
	require.Less(t, math.Abs(correlation(normal, append(slices.Clone(normal[1:]), normal[0]))), standardErrors/math.Sqrt(n))
}

func TestBoxMuller_IsFiniteForAllNumbers(t *testing.T) {
	require.InDelta(t, 6.7637, boxMuller(0, 0), 1e-3)
	require.InDelta(t, -6.7637, boxMuller(0, 1<<31), 1e-3)
	require.InDelta(t, 0, boxMuller(math.MaxUint32, 0), 2e-5)
	require.InDelta(t, 0, boxMuller(0, 1<<30), 1e-9)
}

func TestParse_ReadsWhatStringWrites(t *testing.T) {
	for text, want := range map[string]string{
		"contrast=0.6": "contrast=0.6", "gaussian=2e-1": "gaussian=0.2", " uniform = 0.25 ": "uniform=0.25", "occlusion=8.0": "occlusion=8",
		"occlusion=8, gaussian=0.1": "occlusion=8,gaussian=0.1", "salt-and-pepper=1": "salt-and-pepper=1", "gaussian=-0": "gaussian=0",
	} {
		require.Equal(t, want, parse(t, text).String())
		require.Equal(t, want, parse(t, want).String())
	}
	require.Empty(t, Noise{}.String())
}

func TestParse_RefusesInvalidNoise(t *testing.T) {
	const kinds = "the kinds are gaussian, salt-and-pepper, uniform, shot, contrast, brightness, blur, occlusion, rotation, translation and crop-shift"
	for text, want := range map[string]string{
		"contrast=1.5":             "contrast takes a level from 0 to 1",
		"contrast=-0.1":            "contrast takes a level from 0 to 1",
		"contrast=NaN":             "contrast takes a level from 0 to 1",
		"contrast=Inf":             "contrast takes a level from 0 to 1",
		"contrast=1.0000000000001": "contrast takes a level from 0 to 1",
		"uniform=2":                "uniform takes a level from 0 to 1",
		"salt-and-pepper=1e400":    "salt-and-pepper takes a level from 0 to 1",
		"gaussian=-1":              "gaussian takes a level from 0 to 100",
		"gaussian=+Inf":            "gaussian takes a level from 0 to 100",
		"gaussian=nan":             "gaussian takes a level from 0 to 100",
		"gaussian=1e400":           "gaussian takes a level from 0 to 100",
		"occlusion=2.5":            "occlusion takes a whole number from 0 to 65535",
		"occlusion=-1":             "occlusion takes a whole number from 0 to 65535",
		"occlusion=inf":            "occlusion takes a whole number from 0 to 65535",
		"shot=10.5":                "shot takes a level from 0 to 10",
		"shot=-0.1":                "shot takes a level from 0 to 10",
		"brightness=1.01":          "brightness takes a level from -1 to 1",
		"brightness=-1.01":         "brightness takes a level from -1 to 1",
		"blur=-1":                  "blur takes a level from 0 to 100",
		"blur=101":                 "blur takes a level from 0 to 100",
		"rotation=-10":             "rotation takes a level from 0 to 180",
		"rotation=181":             "rotation takes a level from 0 to 180",
		"translation=-1":           "translation takes a level from 0 to 65535",
		"translation=65536":        "translation takes a level from 0 to 65535",
		"crop-shift=1.5":           "crop-shift takes a whole number from 0 to 65535",
		"crop-shift=-1":            "crop-shift takes a whole number from 0 to 65535",
		"contrast=much":            `contrast takes a level from 0 to 1; "much" is not a number`,
		"contrast=0.5=0.6":         `contrast takes a level from 0 to 1; "0.5=0.6" is not a number`,
		"contrast":                 "the level is missing: write contrast=LEVEL; contrast takes a level from 0 to 1",
		"occlusion=":               "the level is missing: write occlusion=LEVEL; occlusion takes a whole number from 0 to 65535",
		"fog=0.5":                  `"fog" is not a kind of noise; ` + kinds,
		"Contrast=0.5":             `"Contrast" is not a kind of noise; ` + kinds,
		"0.5":                      `"0.5": want KIND=LEVEL, such as contrast=0.6; ` + kinds,
		"contrast=0,3":             `"3": want KIND=LEVEL, such as contrast=0.6; ` + kinds,
		"":                         "want KIND=LEVEL, such as contrast=0.6; " + kinds,
		"=0.5":                     "want KIND=LEVEL, such as contrast=0.6; " + kinds,
		"contrast=0.5,":            "want KIND=LEVEL, such as contrast=0.6; " + kinds,
		"gaussian=1,contrast=2":    "contrast takes a level from 0 to 1",
		"uniform=0.1,uniform=0.2":  "uniform is given twice",
		"uniform=0.1;contrast=0.2": `uniform takes a level from 0 to 1; "0.1;contrast=0.2" is not a number`,
		"salt-and-pepper=0,3":      `"3": want KIND=LEVEL, such as contrast=0.6; ` + kinds,
		strings.Repeat("gaussian=1,", 1000) + "gaussian=1": "gaussian is given twice",
	} {
		n, err := Parse(text)
		require.EqualError(t, err, want, text)
		require.Empty(t, n.String())
	}
}

func TestFits_RefusesLevelsThatAreTooLargeForTheImages(t *testing.T) {
	require.NoError(t, Noise{}.Fits(1, 1, 0))
	for text := range map[string]bool{
		"gaussian=100,occlusion=28": true, "translation=28": true, "crop-shift=3": true, "crop-shift=0": true, "rotation=180,blur=100,shot=10,brightness=1": true,
	} {
		require.NoError(t, parse(t, text).Fits(28, 30, 3), text)
		require.NoError(t, parse(t, text).Fits(30, 28, 3), text)
	}
	require.NoError(t, parse(t, "crop-shift=0").Fits(28, 28, 0))
	for text, want := range map[string]string{
		"contrast=1,occlusion=29":   "occlusion=29: the square of 29x29 pixels is larger than the images of 28x30 (height x width)",
		"occlusion=65535":           "occlusion=65535: the square of 65535x65535 pixels is larger than the images of 28x30 (height x width)",
		"translation=28.5,blur=1":   "translation=28.5: images of 28x30 (height x width) can move by at most 28 pixels",
		"crop-shift=4":              "crop-shift=4: the crop can move by at most 3 pixels, because the model crops that many on each side",
		"crop-shift=3,occlusion=30": "occlusion=30: the square of 30x30 pixels is larger than the images of 28x30 (height x width)",
	} {
		require.EqualError(t, parse(t, text).Fits(28, 30, 3), want, text)
		require.Error(t, parse(t, text).Fits(30, 28, 3), text)
	}
	require.EqualError(t, parse(t, "crop-shift=1").Fits(28, 28, 0),
		"crop-shift=1: the model does not crop its images: use translation, which moves the whole image")
}

func TestApply_PanicsForSizesThatDoNotFit(t *testing.T) {
	require.Panics(t, func() { parse(t, "contrast=0.5").Apply(make([]float32, 11), 1, 3, 4, 0, 0) })
	require.Panics(t, func() { parse(t, "occlusion=4").Apply(make([]float32, 12), 1, 3, 4, 0, 0) })
	require.Panics(t, func() { parse(t, "translation=3.5").Apply(make([]float32, 12), 1, 3, 4, 0, 0) })
	require.Panics(t, func() { parse(t, "crop-shift=2").Apply(make([]float32, 16), 1, 4, 4, 0, 0) })
}

func BenchmarkApply(b *testing.B) {
	for name, level := range every {
		b.Run(name, func(b *testing.B) {
			n, x := parse(b, name+"="+level), gradient(784)
			for i := range b.N {
				n.Apply(x, 1, 28, 28, 0, uint64(i))
			}
		})
	}
}
