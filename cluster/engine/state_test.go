package engine

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// The state of a task changes only from the revision that a worker has seen, and is no result.
func TestState_HasOneOwner(t *testing.T) {
	e, _ := start(t)
	j := open(t, e, "job")
	data, revision, err := j.State(t.Context(), 1)
	require.NoError(t, err)
	require.Nil(t, data)
	first, err := j.SetState(t.Context(), 1, []byte("one"), revision)
	require.NoError(t, err)
	_, err = j.SetState(t.Context(), 1, []byte("of another worker"), revision)
	require.ErrorIs(t, err, ErrOvertaken)
	second, err := j.SetState(t.Context(), 1, []byte("two"), first)
	require.NoError(t, err)
	_, err = j.SetState(t.Context(), 1, []byte("late"), first)
	require.ErrorIs(t, err, ErrOvertaken)
	data, revision, err = j.State(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "two", string(data))
	require.Equal(t, second, revision)
	require.EqualValues(t, 2, j.saves(t.Context(), 1))
	require.Zero(t, j.saves(t.Context(), 2))
	jobs, err := e.Jobs(t.Context())
	require.NoError(t, err)
	require.Zero(t, jobs[0].Results)
	work(t, e, "w", echo)
	results, err := run(t.Context(), j, "job", 2)
	require.NoError(t, err)
	require.Equal(t, []string{"result 1", "result 2"}, results)
	jobs, err = e.Jobs(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, jobs[0].Results)
	require.NoError(t, j.Remove(t.Context()))
	_, err = j.SetState(t.Context(), 1, nil, second)
	require.True(t, IsGone(err), "%v", err)
}

func TestWrite_StoresNamedObjects(t *testing.T) {
	e, _ := start(t)
	j := open(t, e, "job")
	o := Object{Name: "a", SHA256: sumOf([]byte("text")), Size: 4}
	require.NoError(t, j.Write(t.Context(), o, bytesOf([]byte("text"))))
	require.NoError(t, j.Read(t.Context(), o, func(r io.Reader) error {
		data, err := io.ReadAll(r)
		require.Equal(t, "text", string(data))
		return err
	}))
	wrong := o
	wrong.SHA256 = sumOf(nil)
	require.ErrorIs(t, j.Read(t.Context(), wrong, func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }), errDamaged)
	require.NoError(t, j.Delete(t.Context(), "a"))
	require.NoError(t, j.Delete(t.Context(), "a"))
	_, err := j.objects.GetInfo(t.Context(), "a")
	require.ErrorIs(t, err, jetstream.ErrObjectNotFound)
}

// A worker that gives up a task of a job that has come again meanwhile does not remove the new one.
func TestWork_LeavesAJobThatHasComeAgain(t *testing.T) {
	e, _ := start(t)
	begun, removed := make(chan bool), make(chan bool)
	var tries atomic.Int64
	work(t, e, "w", func(ctx context.Context, task int) ([]byte, error) {
		if tries.Add(1) == 1 {
			close(begun)
			<-removed
			return nil, ErrAbandoned
		}
		return echo(ctx, task)
	})
	j := open(t, e, "job")
	require.NoError(t, j.Offer(t.Context(), []byte("job"), 1, 1))
	<-begun
	require.NoError(t, j.Remove(t.Context()))
	again := open(t, e, "job")
	require.NoError(t, again.Offer(t.Context(), []byte("job"), 1, 1))
	close(removed)
	results, err := run(t.Context(), again, "job", 1)
	require.NoError(t, err)
	require.Equal(t, []string{"result 1"}, results)
}

// RunAgain leaves out what is done, tries again what has failed, and begins nothing after a failure.
func TestRunAgain_TriesFailuresAgain(t *testing.T) {
	e, _ := start(t)
	var broken atomic.Bool
	var computed atomic.Int64
	broken.Store(true)
	work(t, e, "w", func(ctx context.Context, task int) ([]byte, error) {
		computed.Add(1)
		if task == 2 && broken.Load() {
			return nil, errors.New("it is broken")
		}
		time.Sleep(20 * time.Millisecond)
		return echo(ctx, task)
	})
	j := open(t, e, "job")
	done := []bool{false, true, false, false, false}
	results := map[int]string{}
	again := func() error {
		return j.RunAgain(t.Context(), []byte("job"), done, func(task int, data []byte) error {
			results[task] = string(data)
			return nil
		})
	}
	var failure *Failure
	require.ErrorAs(t, again(), &failure)
	require.Equal(t, 2, failure.Task)
	require.ErrorAs(t, again(), &failure, "it is still broken")
	info, err := e.tasks.Info(t.Context(), jetstream.WithSubjectFilter(tasksOf(j.ID)))
	require.NoError(t, err)
	require.Empty(t, info.State.Subjects)
	broken.Store(false)
	require.NoError(t, again())
	require.Equal(t, map[int]string{2: "result 2", 3: "result 3", 4: "result 4"}, results)
	require.Equal(t, []bool{false, true, false, false, false}, done)
	require.GreaterOrEqual(t, computed.Load(), int64(5))
}
