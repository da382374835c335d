package jobs

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/cluster/engine"
)

// jobOnServer returns a job on a server of the test, and its objects.
func jobOnServer(t *testing.T) (*engine.Job, jetstream.ObjectStore) {
	t.Helper()
	s, err := engine.StartServer(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	e, err := engine.Connect(t.Context(), s.Options())
	require.NoError(t, err)
	t.Cleanup(e.Close)
	j, _, err := e.Open(t.Context(), engine.JobID([]byte("job")))
	require.NoError(t, err)
	js, err := jetstream.New(e.Conn())
	require.NoError(t, err)
	store, err := js.ObjectStore(t.Context(), "sbs-"+j.ID)
	require.NoError(t, err)
	return j, store
}

// filesIn returns the files in a folder.
func filesIn(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, errName := filepath.Rel(folder, path)
		require.NoError(t, errName)
		all[filepath.ToSlash(name)] = string(data)
		return err
	}))
	return all
}

// A worker continues from the files of another one. One that was taken for lost can neither replace them
// nor remove their objects.
func TestSnapshots_AreAChain(t *testing.T) {
	job, store := jobOnServer(t)
	a, b := newSnapshots(1, t.TempDir(), job), newSnapshots(1, t.TempDir(), job)
	found, err := a.restore(t.Context())
	require.NoError(t, err)
	require.False(t, found)
	write(t, filepath.Join(a.folder, "Log/checkpoint"), "1")
	write(t, filepath.Join(a.folder, "Log/lock"), "of this process")
	write(t, filepath.Join(a.folder, "weights"), "the same for ever")
	require.NoError(t, a.save(t.Context()))
	weights := a.current[1].Object
	write(t, filepath.Join(a.folder, "Log/checkpoint"), "2")
	old := a.current[0].Object
	require.NoError(t, a.save(t.Context()))
	require.Equal(t, weights, a.current[1].Object, "it is sent once")
	_, err = store.GetInfo(t.Context(), old.Name)
	require.ErrorIs(t, err, jetstream.ErrObjectNotFound, "what is not needed is removed")

	found, err = b.restore(t.Context())
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, map[string]string{"Log/checkpoint": "2", "weights": "the same for ever"}, filesIn(t, b.folder))
	write(t, filepath.Join(b.folder, "Log/checkpoint"), "3, of b")
	require.NoError(t, b.save(t.Context()))

	write(t, filepath.Join(a.folder, "Log/checkpoint"), "3, of a")
	require.ErrorIs(t, a.save(t.Context()), engine.ErrOvertaken)
	require.False(t, a.due())
	require.ErrorIs(t, a.save(t.Context()), engine.ErrOvertaken)
	files, err := a.result(t.Context()) // its result may still be the first one
	require.NoError(t, err)
	result := t.TempDir()
	require.NoError(t, receive(t.Context(), files, result, job.Read))
	require.Equal(t, map[string]string{"Log/checkpoint": "3, of a", "weights": "the same for ever"}, filesIn(t, result))

	c := newSnapshots(1, t.TempDir(), job)
	found, err = c.restore(t.Context())
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, map[string]string{"Log/checkpoint": "3, of b", "weights": "the same for ever"}, filesIn(t, c.folder))
	write(t, filepath.Join(c.folder, "weights"), "new")
	require.NoError(t, c.save(t.Context()))
	require.NoError(t, receive(t.Context(), files, t.TempDir(), job.Read), "the result of a remains")

	// A state whose objects have expired is none.
	for _, f := range c.current {
		require.NoError(t, job.Delete(t.Context(), f.Name))
	}
	d := newSnapshots(1, t.TempDir(), job)
	found, err = d.restore(t.Context())
	require.NoError(t, err)
	require.False(t, found)
	require.Empty(t, filesIn(t, d.folder))
	write(t, filepath.Join(d.folder, "x"), "")
	require.NoError(t, d.save(t.Context()))
}

func TestReceive_WritesOnlyIntoTheFolder(t *testing.T) {
	for _, path := range []string{"../x", "/x", "a/../../x"} {
		require.ErrorContains(t, receive(t.Context(), []saved{{Path: []byte(path)}}, t.TempDir(), nil), "is not the path of a file of a trial")
	}
	for _, size := range []int64{-1, math.MaxInt64} {
		require.ErrorContains(t, receive(t.Context(), []saved{{Path: []byte("x"), Object: engine.Object{Size: size}}}, t.TempDir(), nil), "x: a file of a trial cannot have")
	}
}

// A specification that is damaged is an error, and no panic.
func TestCompute_RefusesDamagedTrials(t *testing.T) {
	c := &trialing{files: &fetched{in: inputs{models: []string{"a"}}}, trials: &trialsOf{List: []trialOf{{Network: -1}, {Network: 1}}}}
	for task := 1; task <= 3; task++ {
		_, err := c.Compute(t.Context(), task)
		require.EqualError(t, err, fmt.Sprintf("there is no trial %d", task))
	}
}
