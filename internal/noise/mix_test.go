package noise

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func mixOf(t testing.TB, share float64, texts ...string) Mix {
	t.Helper()
	m, err := ParseMix(texts, share)
	require.NoError(t, err)
	return m
}

// TestMix_DrawsSharesKindsAndLevels compares the draws with the moments of their distributions.
func TestMix_DrawsSharesKindsAndLevels(t *testing.T) {
	const n = 30000
	m := mixOf(t, 0.6, "gaussian=0.1:0.5", "brightness=-0.3:0.1", "occlusion=2:5", "blur=1.5")
	counts := map[string]int{}
	var sum, squares [2]float64
	sides := map[float64]int{}
	for i := range uint64(n) {
		drawn, _ := m.draw(3, i%7, i)
		if len(drawn.steps) == 0 {
			counts["clean"]++
			continue
		}
		require.Len(t, drawn.steps, 1)
		s := drawn.steps[0]
		counts[s.kind.Name]++
		require.True(t, s.kind.accepts(s.level), s)
		switch s.kind.Name {
		case "gaussian":
			sum[0], squares[0] = sum[0]+s.level, squares[0]+s.level*s.level
			require.True(t, s.level >= 0.1 && s.level <= 0.5)
		case "brightness":
			sum[1], squares[1] = sum[1]+s.level, squares[1]+s.level*s.level
			require.True(t, s.level >= -0.3 && s.level <= 0.1)
		case "occlusion":
			sides[s.level]++
		default:
			require.Equal(t, 1.5, s.level)
		}
	}
	deviation := func(p float64) float64 { return 5 * math.Sqrt(n*p*(1-p)) }
	require.InDelta(t, 0.4*n, counts["clean"], deviation(0.4))
	for _, kind := range []string{"gaussian", "brightness", "occlusion", "blur"} {
		require.InDelta(t, 0.15*n, counts[kind], deviation(0.15), kind)
	}
	require.Len(t, sides, 4, "2, 3, 4 and 5")
	for side, count := range sides {
		require.InDelta(t, 0.0375*n, count, deviation(0.0375), side)
	}
	for i, want := range []float64{0.3, -0.1} {
		count := float64(counts[[]string{"gaussian", "brightness"}[i]])
		mean := sum[i] / count
		require.InDelta(t, want, mean, 0.01, "the mean of a uniform distribution")
		require.InDelta(t, 0.4*0.4/12, squares[i]/count-mean*mean, 0.001, "its variance")
	}
}

// TestMix_AddsTheNoiseThatItDraws compares an image with the noise of the level drawn.
func TestMix_AddsTheNoiseThatItDraws(t *testing.T) {
	m := mixOf(t, 1, "contrast=0.2:0.9")
	seen := map[float32]bool{}
	for image := range uint64(5) {
		for epoch := range uint64(3) {
			drawn, _ := m.draw(8, epoch, image)
			level := drawn.steps[0].level
			got := gradient(24)
			m.Apply(got, 2, 3, 4, 8, epoch, image)
			for i, x := range gradient(24) {
				require.InDelta(t, (1-level)*float64(x)+level/2, got[i], 1e-6)
			}
			seen[got[0]] = true
			again := gradient(24)
			m.Apply(again, 2, 3, 4, 8, epoch, image)
			require.Equal(t, got, again)
		}
	}
	require.Len(t, seen, 15, "every image has another level in every epoch")
	other := gradient(24)
	m.Apply(other, 2, 3, 4, 9, 0, 0)
	require.False(t, seen[other[0]], "another seed, another level")
}

// TestMix_DrawsNewNoiseInEveryPresentation has a level that does not change.
func TestMix_DrawsNewNoiseInEveryPresentation(t *testing.T) {
	m := mixOf(t, 1, "gaussian=0.2")
	draw := func(epoch uint64) []float32 {
		v := constant(400, 0.5)
		m.Apply(v, 1, 20, 20, 1, epoch, 5)
		return v
	}
	first, second := draw(0), draw(1)
	var product, variance float64
	for i := range first {
		product += float64(first[i]-0.5) * float64(second[i]-0.5)
		variance += float64(first[i]-0.5) * float64(first[i]-0.5)
	}
	require.InDelta(t, 0.04, variance/400, 0.01)
	require.InDelta(t, 0, product/variance, 0.25, "the noise of two epochs is independent")
	test := add(t, "gaussian=0.2", constant(400, 0.5), 1, 20, 20, 1, 5)
	require.NotEqual(t, test, first, "the noise of a test with the same seed is another one")
}

func TestMix_LeavesImagesWithoutKindsAlone(t *testing.T) {
	m := mixOf(t, 0)
	require.True(t, m.Empty())
	require.Empty(t, m.String())
	v := gradient(9)
	m.Apply(v, 1, 3, 3, 1, 2, 3)
	require.Equal(t, gradient(9), v)
	require.NoError(t, m.Fits(1, 1, 0))
}

func TestMix_TheOrderOfTheKindsHasNoMeaning(t *testing.T) {
	texts := []string{"rotation=0:20", "gaussian=0:0.6", "crop-shift=1"}
	a := mixOf(t, 0.5, texts...)
	slices.Reverse(texts)
	require.Equal(t, a, mixOf(t, 0.5, texts...))
	require.Equal(t, "gaussian=0:0.6 rotation=0:20 crop-shift=1", a.String())
	require.Equal(t, 0.5, a.Share())
}

func TestParseMix_RefusesWhatItCannotDraw(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "want KIND=LEVEL, such as contrast=0.6; the kinds are gaussian, "},
		{"gaussian", "the level is missing"},
		{"gaussian=", "the level is missing"},
		{"gaussian=0.1:", "the level is missing"},
		{"gaussian=:0.1", "the level is missing"},
		{"fog=0:1", `"fog" is not a kind of noise`},
		{"gaussian=0:101", "gaussian takes a level from 0 to 100"},
		{"brightness=-2:0", "brightness takes a level from -1 to 1"},
		{"gaussian=0:x", `"x" is not a number`},
		{"gaussian=NaN:1", "gaussian takes a level from 0 to 100"},
		{"gaussian=0.6:0.2", "FROM is above TO: write gaussian=0.2:0.6"},
		{"gaussian=0:0.6:0.1", "want gaussian=FROM:TO without a step"},
		{"gaussian=0.1,0.2", "want gaussian=FROM:TO, the bounds"},
		{"gaussian=0.1,blur=1", "give every kind of noise separately"},
		{"occlusion=0:2.5", "occlusion takes a whole number from 0"},
		{"crop-shift=0.5", "crop-shift takes a whole number from 0"},
		{"gaussian=0", "level 0 is no noise"},
		{"gaussian=-0:0", "level 0 is no noise"},
	} {
		_, err := ParseMix([]string{"contrast=0:0.5", c.text}, 0.5)
		require.ErrorContains(t, err, "noise "+c.text+": ")
		require.ErrorContains(t, err, c.want)
	}
	_, err := ParseMix([]string{"blur=1", "blur=1:2"}, 0.5)
	require.ErrorContains(t, err, "blur is given twice")
	for _, share := range []float64{0, -1, 1.5, math.NaN()} {
		_, err := ParseMix([]string{"blur=1"}, share)
		require.ErrorContains(t, err, "want a number above 0, at most 1")
	}
}

func TestMix_FitsOnlyIfAllLevelsFit(t *testing.T) {
	require.NoError(t, mixOf(t, 1, "occlusion=0:5", "crop-shift=0:2").Fits(5, 8, 2))
	require.ErrorContains(t, mixOf(t, 1, "gaussian=0:1", "occlusion=0:6").Fits(5, 8, 2), "occlusion=6: the square of 6x6 pixels is larger")
	require.ErrorContains(t, mixOf(t, 1, "crop-shift=0:3").Fits(9, 9, 2), "crop-shift=3: the crop can move by at most 2 pixels")
	require.ErrorContains(t, mixOf(t, 1, "translation=1:7").Fits(5, 8, 0), "translation=7: images of 5x8")
}

// TestMix_DrawsTheRecordedNoise compares draws with those that were recorded: a training with noise
// must have the same result in every version.
func TestMix_DrawsTheRecordedNoise(t *testing.T) {
	m := mixOf(t, 0.75, "gaussian=0.1:0.5", "brightness=-0.3:0.1", "occlusion=2:5")
	var got []string
	for image := range uint64(8) {
		drawn, _ := m.draw(3, 2, image)
		got = append(got, drawn.String())
	}
	require.Equal(t, []string{
		"", "", "occlusion=3", "gaussian=0.261030078586191", "gaussian=0.305734078027308", "", "occlusion=3", "gaussian=0.2545197674073279",
	}, got)
	v := gradient(60)
	m.Apply(v, 1, 6, 10, 3, 2, 3)
	require.Equal(t, []float32{0, 0.16761284, 0.039225455}, v[:3])
}
