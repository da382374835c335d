package classification

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/convert"
	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/converttest"
	"github.com/spike-by-spike/sbs/internal/onnx"
	"github.com/spike-by-spike/sbs/internal/onnx/onnxpb"
)

// shards runs the shards of a run and returns the files of their parts.
func shards(t *testing.T, n int, args ...string) []string {
	t.Helper()
	folder := t.TempDir()
	parts := make([]string, n)
	for i := range parts {
		parts[i] = filepath.Join(folder, fmt.Sprintf("part%d.jsonl", i+1))
		out, _, err := command(t, slices.Concat(args, []string{"--shard", fmt.Sprintf("%d/%d", i+1, n), "-o", parts[i]})...)
		require.NoError(t, err)
		require.Empty(t, out)
	}
	return parts
}

// merge merges parts.
func merge(t *testing.T, parts []string, flags ...string) (stdout, stderr string, err error) {
	t.Helper()
	return command(t, slices.Concat([]string{"merge"}, parts, flags)...)
}

// withoutTime removes the time from an output.
func withoutTime(out string) string {
	return regexp.MustCompile(`in [0-9.]+ s, [0-9]+ images/s|"seconds":[0-9.e-]+`).ReplaceAllString(out, "TIME")
}

func TestMerge_HasTheOutputOfTheWholeRun(t *testing.T) {
	plain, withStages := prototypes(t, convert.Options{}), staged(t)
	numbers := writeLabels(t, strings.Repeat("3\n", 30))
	image := filepath.Join(digits, "7/00000.png")
	for name, args := range map[string][]string{
		"plain":             {plain, digits},
		"noise and seed":    {plain, digits, "--noise", "gaussian=0.4,occlusion=5", "--seed", "7"},
		"stages":            {withStages, digits},
		"stages and noise":  {withStages, digits, "--noise", "gaussian=0.2", "--top", "1"},
		"one stage":         {withStages, digits, "--noise", "contrast=0.2", "--stage", "2", "--spikes", "9,30"},
		"limit":             {plain, digits, "--limit", "7", "--top", "20"},
		"labels":            {plain, digits, "--labels", numbers, "--sampler", "low-discrepancy"},
		"files and folders": {plain, image, digits, image, filepath.Join(digits, "3"), "--invert", "yes"},
		"batches of 7":      {prototypes(t, convert.Options{Batch: 7}), digits, "--workers", "1"},
		"one image":         {plain, image},
		"quiet":             {withStages, digits, "--quiet"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, format := range formats {
				args := append(args, "--format", format)
				want, wantErr, err := command(t, args...)
				require.NoError(t, err)
				counts := []int{1, 3}
				if strings.HasPrefix(name, "stages") {
					counts = append(counts, 40) // more than the images: some shards are empty
				}
				for _, n := range counts {
					parts := shards(t, n, args...)
					slices.Reverse(parts)
					got, gotErr, err := merge(t, parts)
					require.NoError(t, err)
					require.Equal(t, withoutTime(want), withoutTime(got))
					note := regexp.MustCompile(`^note: .*\n`)
					require.Equal(t, note.ReplaceAllString(withoutTime(wantErr), ""), withoutTime(gotErr))
				}
			}
		})
	}
}

func TestMerge_CanPrintAnotherFormat(t *testing.T) {
	args := []string{staged(t), digits}
	parts := shards(t, 2, args...)
	for _, flags := range [][]string{{"--format", "json"}, {"--format", "csv"}, {"--quiet"}, {"--format", "json", "--quiet"}} {
		want, _, err := command(t, append(args, flags...)...)
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "all")
		out, _, err := merge(t, parts, append(flags, "-o", path)...)
		require.NoError(t, err)
		require.Empty(t, out)
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, withoutTime(want), withoutTime(string(got)))
	}
}

// A broken image is a result with an error, and the other images are classified.
func TestMerge_ReportsImagesThatCannotBeClassified(t *testing.T) {
	model, err := filepath.Abs(prototypes(t, convert.Options{}))
	require.NoError(t, err)
	good, err := os.ReadFile(filepath.Join(digits, "7/00000.png"))
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	writeImage(t, "blank.png", gray)
	for i, name := range []string{"a\tb.png", "b.png", "c.png", "x\xfe.png", "x\xff.png"} {
		data := good
		if i%2 == 0 {
			data = good[:100]
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Skip("the file system does not accept such names:", err)
		}
	}
	for _, format := range formats {
		args := []string{model, ".", "--format", format}
		want, wantErr, err := command(t, args...)
		require.EqualError(t, err, "3 of 6 images could not be classified")
		require.Contains(t, wantErr, "blank.png is blank")
		got, gotErr, err := merge(t, shards(t, 3, args...))
		require.EqualError(t, err, "3 of 6 images could not be classified")
		require.Equal(t, withoutTime(want), withoutTime(got))
		require.Equal(t, withoutTime(wantErr), withoutTime(gotErr))
	}
}

// gray is a picture of one color.
func gray(int, int) color.NRGBA { return color.NRGBA{90, 90, 90, 255} }

func TestMerge_RefusesPartsThatAreNotOneRun(t *testing.T) {
	model := prototypes(t, convert.Options{})
	images := t.TempDir()
	require.NoError(t, os.CopyFS(images, os.DirFS(digits)))
	parts := shards(t, 3, model, images)
	other := func(args ...string) string { return shards(t, 3, args...)[1] }
	otherModel := filepath.Join(t.TempDir(), "model.onnx")
	data, err := os.ReadFile(model)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(otherModel, data, 0o600))
	require.NoError(t, os.WriteFile(model, mustRead(t, prototypes(t, convert.Options{Batch: 3})), 0o600))
	replaced := other(model, images)
	require.NoError(t, os.WriteFile(model, data, 0o600))
	copied := filepath.Join(t.TempDir(), "copy.jsonl")
	require.NoError(t, os.WriteFile(copied, mustRead(t, parts[1]), 0o600))
	for name, c := range map[string]struct {
		parts []string
		want  []string
	}{
		"gap":           {[]string{parts[0], parts[2]}, []string{"these shards of 3 are missing: 2 (run them with --shard, such as --shard 2/3)"}},
		"first missing": {parts[2:], []string{"shards of 3 are missing: 1 to 2 ("}},
		"last missing":  {parts[:2], []string{"shards of 3 are missing: 3 ("}},
		"double":        {[]string{parts[0], copied, parts[1], parts[2]}, []string{"copy.jsonl and ", "part2.jsonl are both shard 2/3"}},
		"same twice":    {[]string{parts[0], parts[0], parts[1], parts[2]}, []string{"part1.jsonl are both shard 1/3"}},
		"other number":  {append(shards(t, 2, model, images), parts...), []string{"is shard 1/3, but ", "is shard 1/2"}},
		"model path":    {[]string{parts[0], other(otherModel, images), parts[2]}, []string{"part1.jsonl and ", "part2.jsonl are parts of different runs: the model is ", " in the second"}},
		"model":         {[]string{parts[0], replaced, parts[2]}, []string{"the SHA-256 of the model is "}},
		"seed":          {[]string{parts[0], other(model, images, "--seed", "5"), parts[2]}, []string{"different runs: --seed is 0 in the first and 5 in the second"}},
		"noise":         {[]string{parts[0], other(model, images, "--noise", "contrast=0.5"), parts[2]}, []string{"--noise is none in the first and contrast=0.5 in the second"}},
		"spikes":        {[]string{parts[0], other(model, images, "--spikes", "7"), parts[2]}, []string{"--spikes is none in the first and 7 in the second"}},
		"limit":         {[]string{parts[0], other(model, images, "--limit", "29"), parts[2]}, []string{"--limit is none in the first and 29 in"}},
		"top":           {[]string{parts[0], other(model, images, "--top", "2"), parts[2]}, []string{"--top is 3 in the first and 2 in"}},
		"format":        {[]string{parts[0], other(model, images, "--format", "csv"), parts[2]}, []string{"--format is text in the first and csv in"}},
		"images":        {[]string{parts[0], other(model, digits), parts[2]}, []string{"the list of files and folders is "}},
		"labels":        {[]string{parts[0], other(model, images, "--labels", writeLabels(t, strings.Repeat("3\n", 30))), parts[2]}, []string{"the fingerprint of the images (their names, labels and pixels) is "}},
		"no part":       {[]string{parts[0], filepath.Join(digits, "7/00000.png")}, []string{"00000.png is not a part of a run"}},
		"folder":        {[]string{filepath.Dir(parts[0])}, []string{"is a folder: give the files that sbs-run --shard has written"}},
		"missing file":  {[]string{"missing.jsonl"}, []string{"missing.jsonl"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "all")
			out, _, err := merge(t, c.parts, "-o", path)
			require.Error(t, err)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			require.Empty(t, out)
			require.NoFileExists(t, path)
			out, _, err = merge(t, c.parts)
			require.Error(t, err)
			require.Empty(t, out)
		})
	}

	// The images have changed between two shards, without a new name or label.
	writeImage(t, filepath.Join(images, "0/00003.png"), gray)
	_, _, err = merge(t, []string{parts[0], other(model, images), parts[2]})
	require.ErrorContains(t, err, "the fingerprint of the images")
	require.NoError(t, os.Remove(filepath.Join(images, "0/00003.png")))
	_, _, err = merge(t, []string{parts[0], other(model, images), parts[2]})
	require.ErrorContains(t, err, "the number of images is 30 in the first and 29 in the second")
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

func TestMerge_RefusesDamagedParts(t *testing.T) {
	parts := shards(t, 2, staged(t), digits)
	whole := mustRead(t, parts[1])
	lines := strings.SplitAfter(string(whole), "\n")
	refused := func(data, want string) {
		t.Helper()
		require.NoError(t, os.WriteFile(parts[1], []byte(data), 0o600))
		out, _, err := merge(t, parts)
		require.ErrorContains(t, err, "part2.jsonl"+want)
		require.Empty(t, out)
	}
	refused("", " is empty: the shard was interrupted or is not finished")
	for n := 1; n < len(whole); n += 97 {
		want := ": the last line is missing, because the shard was interrupted or is not finished: run shard 2/2 again"
		if n < len(lines[0]) {
			want = " is not a part of a run"
		}
		refused(string(whole[:n]), want)
	}
	refused(string(whole[:len(whole)-1]), ": the last line is missing")
	refused(strings.Join(slices.Delete(slices.Clone(lines), 3, 4), ""), ": the contents do not match their checksum")
	refused(strings.Replace(string(whole), `"class":5`, `"class":6`, 1), ": the contents do not match their checksum")
	refused(strings.Replace(string(whole), `"first":15`, `"first":14`, 1), ": the contents do not match their checksum")
	refused(strings.Replace(string(whole), `{"end":{`, `{"end":`, 1), ": line 17 is damaged")
	refused(string(whole)+string(whole), ": there is more after the end of the part")
	refused(strings.Replace(string(whole), `"sbs-run-part":1`, `"sbs-run-part":2`, 1), " is not a part of a run, or of another version")
	refused(strings.Replace(string(whole), `"shard":2`, `"shard":3`, 1), " is not a part of a run")

	// Parts that match their checksum, but that sbs-run has not written.
	for _, c := range []struct{ old, changed, want string }{
		{`"class":5`, `"class":10`, ": line 2 has numbers that the run does not have"},
		{`"label":5`, `"label":-2`, ": line 2 has numbers that the run does not have"},
		{`"stage":3`, `"stage":4`, ": line 2 has numbers that the run does not have"},
		{`{"image"`, `{"image`, ": line 2 is damaged"},
	} {
		body := strings.Replace(strings.Join(lines[:len(lines)-2], ""), c.old, c.changed, 1)
		end := fmt.Sprintf(`{"end":{"images":15,"seconds":1,"sha256":"%x"}}`+"\n", sha256.Sum256([]byte(body)))
		require.NoError(t, os.WriteFile(parts[1], []byte(body+end), 0o600))
		path := filepath.Join(t.TempDir(), "all")
		_, _, err := merge(t, parts, "-o", path)
		require.ErrorContains(t, err, "part2.jsonl"+c.want)
		require.NoFileExists(t, path)
	}
}

// The identity of a run has the SHA-256 of the model: of its file, or with its external data.
func TestShard_NamesTheModel(t *testing.T) {
	path := prototypes(t, convert.Options{})
	sum, err := modelSHA256(t.Context(), path)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%x", sha256.Sum256(mustRead(t, path))), sum)

	m, _, err := onnx.ReadFile(t.Context(), save(t, converttest.Digits(), convert.Options{}))
	require.NoError(t, err)
	w := m.Graph.Initializer[0]
	raw := w.RawData
	require.NotEmpty(t, raw)
	w.RawData, w.DataLocation = nil, onnxpb.TensorProto_EXTERNAL
	w.ExternalData = []*onnxpb.StringStringEntryProto{{Key: "location", Value: "data"}}
	data, err := onnx.Marshal(m)
	require.NoError(t, err)
	path = filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	sums := map[string]bool{}
	for range 2 {
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "data"), raw, 0o600))
		sum, err := modelSHA256(t.Context(), path)
		require.NoError(t, err)
		sums[sum] = true
		raw = append(raw[4:], raw[:4]...)
	}
	require.Len(t, sums, 2)
}

func TestShard_WritesToTheStandardOutput(t *testing.T) {
	args := []string{prototypes(t, convert.Options{}), digits, "--shard", "2/3"}
	out, errOut, err := command(t, args...)
	require.NoError(t, err)
	require.Len(t, strings.SplitAfter(out, "\n"), 1+10+1+1)
	require.Contains(t, errOut, "10 images in ")
	path := filepath.Join(t.TempDir(), "part")
	_, _, err = command(t, append(args, "-o", path)...)
	require.NoError(t, err)
	withoutEnd := func(s string) string { return s[:strings.LastIndex(s, "{\"end\"")] }
	require.Equal(t, withoutEnd(out), withoutEnd(string(mustRead(t, path))))
}

func TestOutput_IsReplacedOnlyWithForce(t *testing.T) {
	model := prototypes(t, convert.Options{})
	path := filepath.Join(t.TempDir(), "results.csv")
	args := []string{model, digits, "--format", "csv", "-o", path}
	want, _, err := command(t, args[:4]...)
	require.NoError(t, err)
	_, _, err = command(t, args...)
	require.NoError(t, err)
	require.Equal(t, want, string(mustRead(t, path)))
	_, _, err = command(t, args...)
	require.ErrorContains(t, err, path+" already exists: give another --output, or replace it with --force")
	_, _, err = command(t, append(args, "--force", "--limit", "2")...)
	require.NoError(t, err)
	require.NotEqual(t, want, string(mustRead(t, path)))

	// Not a file, and the standard output.
	for _, force := range []string{"--force", "--force=false"} {
		_, _, err = command(t, model, digits, "-o", filepath.Dir(path), force)
		require.EqualError(t, err, filepath.Dir(path)+" is not a regular file")
	}
	got, _, err := command(t, model, digits, "--format", "csv", "-o", "-")
	require.NoError(t, err)
	require.Equal(t, want, got)

	// A run that fails, or that some images fail in.
	_, _, err = command(t, model, "missing", "-o", path, "--force")
	require.Error(t, err)
	require.Contains(t, string(mustRead(t, path)), "image,label")
	broken := filepath.Join(t.TempDir(), "broken.png")
	require.NoError(t, os.WriteFile(broken, mustRead(t, filepath.Join(digits, "7/00000.png"))[:100], 0o600))
	_, _, err = command(t, model, broken, "-o", path, "--force")
	require.EqualError(t, err, "1 of 1 images could not be classified")
	require.Contains(t, string(mustRead(t, path)), "1 could not be classified")
	files, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, files, 1, "no temporary file is left")

	// Inputs.
	labels := writeLabels(t, "0\n")
	part := filepath.Join(t.TempDir(), "part")
	_, _, err = command(t, model, digits, "--shard", "1/1", "-o", part)
	require.NoError(t, err)
	for input, args := range map[string][]string{
		model: {model, digits}, broken: {model, broken}, labels: {model, broken, "--labels", labels}, part: {"merge", part},
	} {
		before := mustRead(t, input)
		_, _, err := command(t, append(args, "-o", input, "--force")...)
		var usage *cli.UsageError
		require.ErrorAs(t, err, &usage)
		require.ErrorContains(t, err, "is the same file as the argument")
		require.Equal(t, before, mustRead(t, input))
	}
}

func TestShard_RefusesInvalidCommandLines(t *testing.T) {
	model := prototypes(t, convert.Options{})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{model, digits, "--shard", "5/3"}, "--shard 5/3: the parts of 3 are 1/3 to 3/3"},
		{[]string{model, digits, "--shard", "0/3"}, "--shard 0/3: the parts of 3 are 1/3 to 3/3"},
		{[]string{model, "-", "--shard", "1/3"}, "shards cannot read - (the standard input)"},
		{[]string{"-", digits, "--shard", "1/3"}, "shards cannot read - (the standard input)"},
		{[]string{"merge"}, "expected the parts of a run: sbs-run merge PART..."},
		{[]string{"--quiet", "merge", "part"}, "merge must be the first word"},
		{[]string{"merge", "part", "--format", "xml"}, "--format xml: want text, json or csv"},
		{[]string{"merge", "part", "--seed", "1"}, "unknown flag --seed"},
	} {
		_, _, err := command(t, c.args...)
		var usage *cli.UsageError
		require.ErrorAs(t, err, &usage, "%v", c.args)
		require.ErrorContains(t, err, c.want)
	}
}

// Every flag that changes the output must be in the identity of a run.
func TestIdentity_HasAllFlags(t *testing.T) {
	elsewhere := []string{
		"top", "quiet", // fields of their own
		"labels",                                        // in the fingerprint
		"workers", "ignore-checksum", "output", "force", // without an effect on the output
		"shard", "help", "version",
		"input", "random", "size", "runs", "profile", // without images
	}
	Command(nil).Flags().VisitAll(func(f *pflag.Flag) {
		require.NotEqual(t, slices.Contains(elsewhere, f.Name), slices.Contains(identityFlags(), f.Name), "--%s", f.Name)
	})
}

func TestJSONText_KeepsAllBytes(t *testing.T) {
	for _, text := range []string{"", "a", "ü\n\t\x00\u2028<>&", "x\xfe", `{"base64":"eA=="}`, "null"} {
		b, err := json.Marshal(jsonText(text))
		require.NoError(t, err)
		var got jsonText
		require.NoError(t, json.Unmarshal(b, &got))
		require.Equal(t, text, string(got))
	}
	var got jsonText
	require.ErrorContains(t, json.Unmarshal([]byte("7"), &got), "7 is not a text")
}

func TestMergeHelp_ShowsExamplesAndFlags(t *testing.T) {
	out, _, err := command(t, "merge", "--help")
	require.NoError(t, err)
	require.Contains(t, out, "Usage:\n  sbs-run merge [flags] PART...\n")
	require.Contains(t, out, "sbs-run merge part1.jsonl part2.jsonl -o all.csv")
	require.Contains(t, out, "output format: text, json, csv (default: that of the shards)")
	for line := range strings.Lines(mergeLong) {
		require.LessOrEqual(t, len(line), 81, line)
	}
	out, _, err = command(t, "--help")
	require.NoError(t, err)
	require.Contains(t, out, "\n  sbs-run merge [flags] PART...\n")
	require.Contains(t, out, "--shard i/n")
}
