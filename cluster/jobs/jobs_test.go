package jobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/internal/classification"
	"github.com/spike-by-spike/sbs/internal/cli"
)

// objects are the objects of a server. They count how often they are read.
type objects struct {
	data map[string][]byte
	read int
}

func (o *objects) Get(_ context.Context, sum string, size int64, read func(io.Reader) error) error {
	data, ok := o.data[sum]
	if !ok || int64(len(data)) != size {
		return errors.New("there is no such object")
	}
	o.read++
	return read(bytes.NewReader(data))
}

// send adds the packs to the objects.
func (o *objects) send(t *testing.T, packs []pack) {
	t.Helper()
	for _, p := range packs {
		data, err := io.ReadAll(&packReader{blobs: p.Blobs})
		require.NoError(t, err)
		sum := sha256.Sum256(data)
		require.Equal(t, p.SHA256, hex.EncodeToString(sum[:]))
		require.Len(t, data, int(p.Size))
		o.data[p.SHA256] = data
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// sent returns a specification that has gone through JSON, and its objects.
func sent(t *testing.T, paths ...string) (*spec, *objects) {
	t.Helper()
	var p packer
	var s spec
	for _, path := range paths {
		a, err := p.data(t.Context(), path, true)
		require.NoError(t, err)
		s.Data = append(s.Data, a)
	}
	s.Packs = p.packs
	text, err := json.Marshal(s)
	require.NoError(t, err)
	var got spec
	require.NoError(t, json.Unmarshal(text, &got))
	o := &objects{data: map[string][]byte{}}
	o.send(t, p.packs)
	return &got, o
}

func openFolder(t *testing.T, limit int64) *Folder {
	t.Helper()
	f, err := OpenFolder(filepath.Join(t.TempDir(), "folder"), limit)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

func TestFolder_HasTheFilesOfTheClient(t *testing.T) {
	t.Chdir(t.TempDir())
	large := strings.Repeat("0123456789", packSize/10+1)
	write(t, "a/0/x.png", "same")
	write(t, "a/1/y.png", "same")
	write(t, "a/1/z\xff.png", "")
	write(t, "a/large", large)
	write(t, "t10k-images-idx3-ubyte", "images")
	write(t, "t10k-labels-idx1-ubyte", "labels")
	require.NoError(t, os.Symlink("nowhere", "a/1/broken.png"))
	s, o := sent(t, "a/", "t10k-images-idx3-ubyte", "./a/0/x.png")
	require.Len(t, s.Packs, 2, "the large file has a pack of its own, and equal files travel once")

	f := openFolder(t, DefaultLimit)
	at, err := f.fetch(t.Context(), "job", s, o)
	require.NoError(t, err)
	require.Equal(t, 2, o.read)
	for i, shown := range []string{"a/", "t10k-images-idx3-ubyte", "./a/0/x.png"} {
		require.True(t, filepath.IsAbs(at.in.data[i]))
		require.Equal(t, shown, at.in.names.Text(at.in.data[i]))
	}
	for path, want := range map[string]string{"0/x.png": "same", "1/y.png": "same", "1/z\xff.png": "", "large": large} {
		got, err := os.ReadFile(filepath.Join(at.in.data[0], path))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		require.Equal(t, "a/"+path, at.in.names.Text(filepath.Join(at.in.data[0], path)))
	}
	_, err = os.Stat(filepath.Join(at.in.data[0], "1/broken.png"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = os.Lstat(filepath.Join(at.in.data[0], "1/broken.png"))
	require.NoError(t, err)
	labels, err := os.ReadFile(filepath.Join(filepath.Dir(at.in.data[1]), "t10k-labels-idx1-ubyte"))
	require.NoError(t, err)
	require.Equal(t, "labels", string(labels))

	// Another job with the same files does not fetch them again.
	_, err = f.fetch(t.Context(), "other", s, o)
	require.NoError(t, err)
	require.Equal(t, 2, o.read)
	require.NoError(t, at.remove())
	require.NoDirExists(t, filepath.Join(f.root.Name(), jobsFolder, "job"))

	_, err = OpenFolder(f.root.Name(), DefaultLimit)
	require.ErrorContains(t, err, "in use")
}

// The files of the job of a worker that was killed do not stay for ever.
func TestOpenFolder_RemovesTheJobsOfAKilledWorker(t *testing.T) {
	path := t.TempDir()
	id := engine.JobID(nil)
	t.Chdir(path)
	write(t, filepath.Join(jobsFolder, id, "output-1", "model.onnx"), "large")
	write(t, filepath.Join(jobsFolder, "list.txt"), "of the user")
	f, err := OpenFolder(path, 10)
	require.NoError(t, err)
	require.NoDirExists(t, filepath.Join(jobsFolder, id))
	require.FileExists(t, filepath.Join(jobsFolder, "list.txt"))
	require.NoError(t, f.Close())
}

func TestFolder_KeepsItsLimit(t *testing.T) {
	t.Chdir(t.TempDir())
	f := openFolder(t, 10)
	for _, name := range []string{"a", "b", "c"} {
		write(t, name, name+"234567")
		s, o := sent(t, name)
		_, err := f.fetch(t.Context(), "job", s, o)
		require.NoError(t, err)
		files, err := os.ReadDir(filepath.Join(f.root.Name(), blobsFolder))
		require.NoError(t, err)
		require.LessOrEqual(t, len(files), 2, "one that is kept, and the new one")
	}
}

// What comes from the server can be wrong in any way.
func TestFolder_RefusesDamagedLists(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "dir/a", "text a")
	write(t, "dir/b", "text b")
	for name, change := range map[string]func(*spec, *objects){
		"parent":         func(s *spec, _ *objects) { s.Data[0].Files[0].Path = []byte("/../../outside") },
		"parent of all":  func(s *spec, _ *objects) { s.Data[0].Path = []byte("/x/../../../../outside") },
		"empty":          func(s *spec, _ *objects) { s.Data[0].Files[0].Path = nil },
		"zero":           func(s *spec, _ *objects) { s.Data[0].Files[0].Path = []byte("/a\x00b") },
		"blob":           func(s *spec, _ *objects) { s.Data[0].Files[0].Blob = "../../outside" },
		"missing blob":   func(s *spec, _ *objects) { s.Data[0].Files[0].Blob = strings.Repeat("0", 64) },
		"blob in pack":   func(s *spec, _ *objects) { s.Packs[0].Blobs[0].SHA256 = "../outside" },
		"negative size":  func(s *spec, _ *objects) { s.Packs[0].Blobs[0].Size = -1 },
		"large size":     func(s *spec, _ *objects) { s.Packs[0].Blobs[0].Size = 1 << 60 },
		"other sizes":    func(s *spec, _ *objects) { s.Packs[0].Blobs[0].Size--; s.Packs[0].Blobs[1].Size++ },
		"less than all":  func(s *spec, _ *objects) { s.Packs[0].Blobs = s.Packs[0].Blobs[:1] },
		"other contents": func(s *spec, o *objects) { o.data[s.Packs[0].SHA256] = []byte("text btext a") },
		"pack":           func(s *spec, _ *objects) { s.Packs[0].SHA256 = "x" },
		"relative":       func(s *spec, _ *objects) { s.Data[0].Shared, s.Data[0].Path = true, []byte("relative") },
	} {
		t.Run(name, func(t *testing.T) {
			s, o := sent(t, "dir")
			change(s, o)
			f := openFolder(t, DefaultLimit)
			_, err := f.fetch(t.Context(), "job", s, o)
			require.Error(t, err)
			outside, err := filepath.Glob(filepath.Join(filepath.Dir(f.root.Name()), "*"))
			require.NoError(t, err)
			require.Equal(t, []string{f.root.Name()}, outside)
		})
	}
}

// A job must not set flags that write files, for example.
func TestParseFlags_RefusesOtherFlags(t *testing.T) {
	for _, flag := range []string{"--output=x", "--force", "--workers=3", "--labels=/etc/passwd", "-ox", "argument", "--unknown"} {
		var f classification.Flags
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.Register(set)
		require.ErrorContains(t, parseFlags(set, classification.ShardFlags(), []string{"--seed=1", flag}), "the flags of the job are not valid", flag)
	}
}

// What cli.GivenFlags returns sets the same values again.
func TestSetFlags_KeepsAllValues(t *testing.T) {
	define := func() *pflag.FlagSet {
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		set.StringArray("noise", nil, "")
		set.Bool("resize", false, "")
		set.String("spikes", "", "")
		set.String("output", "", "")
		return set
	}
	names := []string{"noise", "resize", "spikes"}
	set := define()
	require.NoError(t, set.Parse([]string{"--noise", "gaussian=1,2", "--noise=a b=c", "--resize", "--spikes=", "--output", "x"}))
	got := define()
	require.NoError(t, parseFlags(got, names, cli.GivenFlags(set, names)))
	noise, err := got.GetStringArray("noise")
	require.NoError(t, err)
	require.Equal(t, []string{"gaussian=1,2", "a b=c"}, noise)
	require.True(t, got.Changed("spikes"))
	require.Equal(t, "true", got.Lookup("resize").Value.String())
	require.Equal(t, "", got.Lookup("output").Value.String())
}

func TestOpen_RefusesOtherJobs(t *testing.T) {
	open := (&Work{Version: "v1", Cores: 1, Folder: openFolder(t, DefaultLimit)}).Open
	for text, want := range map[string]string{
		"x":                               "the specification of job id is damaged",
		`{"version":"v2","kind":"run"}`:   "the job is of version v2 of sbs-cluster, and this worker of version v1",
		`{"version":"v1","kind":"walk"}`:  `unknown kind of job "walk"`,
		`{"version":"v1","kind":"train"}`: "the specification of job id is damaged",
		`{"version":"v1","kind":"run"}`:   "the job needs one model and images",
		`{"version":"v1","kind":"sweep","flags":["--output=x"]}`: "the flags of the job are not valid",
	} {
		_, err := open(t.Context(), "id", []byte(text), nil)
		require.ErrorContains(t, err, want)
	}
}

func TestShardsOf_FitsTheCost(t *testing.T) {
	for _, c := range []struct {
		images  int
		updates float64
		want    int
	}{{0, 0, 1}, {3, 1e12, 3}, {10000, 0, 16}, {10000, 4e7, 16}, {100000, 1e11, 510}, {1 << 30, 1e15, 2000}} {
		require.Equal(t, c.want, shardsOf(c.images, c.updates))
	}
}

// A file that changes while the files are sent, such as the log of the training, is named.
func TestSend_NamesAFileThatHasChanged(t *testing.T) {
	s, err := engine.StartServer(t.TempDir())
	require.NoError(t, err)
	defer s.Stop()
	e, err := engine.Connect(t.Context(), s.Options())
	require.NoError(t, err)
	defer e.Close()
	job, _, err := e.Open(t.Context(), engine.JobID([]byte("job")))
	require.NoError(t, err)
	folder := t.TempDir()
	log := filepath.Join(folder, "metrics.jsonl")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "images.npy"), []byte("images"), 0o600))
	require.NoError(t, os.WriteFile(log, []byte("1\n"), 0o600))
	var p packer
	_, err = p.data(t.Context(), folder, true)
	require.NoError(t, err)
	require.Len(t, p.packs, 1)
	require.NoError(t, os.WriteFile(log, []byte("1\n2\n"), 0o600))
	require.EqualError(t, p.packs[0].send(t.Context(), job), log+" has changed since the command has begun: give the images in a folder of their own, and run the command again")
	require.NoError(t, os.WriteFile(log, []byte("1\n"), 0o600))
	require.NoError(t, p.packs[0].send(t.Context(), job))
}
