package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// start starts a server and returns connections of two versions of a program.
func start(t *testing.T) (a, b *Engine) {
	t.Helper()
	s, err := StartServer(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	connect := func(version string) *Engine {
		o := s.Options()
		o.Version, o.LostAfter = version, time.Second
		e, err := Connect(t.Context(), o)
		require.NoError(t, err)
		t.Cleanup(e.Close)
		return e
	}
	return connect("a"), connect("b")
}

// computer computes tasks with a function.
type computer func(ctx context.Context, task int) ([]byte, error)

func (c computer) Compute(ctx context.Context, task int) ([]byte, error) { return c(ctx, task) }
func (c computer) Close() error                                          { return nil }

// echo returns the number of a task.
func echo(_ context.Context, task int) ([]byte, error) { return fmt.Append(nil, "result ", task), nil }

// another returns another connection to the server: clients and workers are processes of their own.
func another(t *testing.T, e *Engine) *Engine {
	t.Helper()
	e, err := Connect(t.Context(), e.Options)
	require.NoError(t, err)
	t.Cleanup(e.Close)
	return e
}

// work starts a worker, which ends with the test.
func work(t *testing.T, e *Engine, name string, compute computer) {
	t.Helper()
	e = another(t, e)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		err := e.Work(ctx, &Worker{
			Name: name, Cores: 2, Log: t.Logf,
			Open: func(context.Context, string, []byte, Objects) (Computer, error) { return compute, nil },
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// open opens a job.
func open(t *testing.T, e *Engine, spec string) *Job {
	t.Helper()
	j, _, err := e.Open(t.Context(), JobID([]byte(spec)))
	require.NoError(t, err)
	return j
}

// run runs a job and returns its results.
func run(ctx context.Context, j *Job, spec string, tasks int) ([]string, error) {
	results := make([]string, tasks)
	return results, j.Run(ctx, []byte(spec), tasks, func(task int, data []byte) error {
		results[task-1] += string(data)
		return nil
	})
}

func TestRun_ReturnsTheResultOfEveryTaskOnce(t *testing.T) {
	e, _ := start(t)
	for i := range 3 {
		work(t, e, fmt.Sprint(i), echo)
	}
	const n = 300
	for _, spec := range []string{"one", "two"} {
		j := open(t, e, spec)
		results, err := run(t.Context(), j, spec, n)
		require.NoError(t, err)
		for i, r := range results {
			require.Equal(t, fmt.Sprint("result ", i+1), r)
		}
		require.NoError(t, j.Remove(t.Context()))
	}
	jobs, err := e.Jobs(t.Context())
	require.NoError(t, err)
	require.Empty(t, jobs)
	info, err := e.tasks.Info(t.Context())
	require.NoError(t, err)
	require.Zero(t, info.State.Msgs)
}

func TestWork_LeavesTheTasksOfOtherVersions(t *testing.T) {
	a, b := start(t)
	watch, err := a.Watch()
	require.NoError(t, err)
	defer watch.Stop()
	work(t, b, "of b", func(context.Context, int) ([]byte, error) { return nil, errors.New("of b") })
	j := open(t, a, "job")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err = run(ctx, j, "job", 3)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	workers, _, other := watch.Workers()
	require.Zero(t, workers)
	require.Equal(t, "b", other)
	work(t, a, "of a", echo)
	results, err := run(t.Context(), j, "job", 3)
	require.NoError(t, err)
	require.Equal(t, []string{"result 1", "result 2", "result 3"}, results)
	workers, cores, _ := watch.Workers()
	require.Equal(t, 1, workers)
	require.Equal(t, 2, cores)
}

func TestRun_EndsWithTheErrorOfATask(t *testing.T) {
	e, _ := start(t)
	work(t, e, "w", func(ctx context.Context, task int) ([]byte, error) {
		if task == 2 {
			return nil, errors.New("it is broken")
		}
		return echo(ctx, task)
	})
	_, err := run(t.Context(), open(t, e, "job"), "job", 5)
	var failure *Failure
	require.ErrorAs(t, err, &failure)
	require.Equal(t, Failure{2, "w", "it is broken"}, *failure)
}

// A job that comes again after it was removed, at its end or after a failure, is opened again.
func TestWork_OpensAJobThatComesAgain(t *testing.T) {
	e, _ := start(t)
	opened := 0
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	worker := another(t, e)
	go func() {
		ended <- worker.Work(ctx, &Worker{Name: "w", Log: t.Logf, Open: func(context.Context, string, []byte, Objects) (Computer, error) {
			opened++
			if opened == 1 {
				return nil, errors.New("not yet")
			}
			n := opened
			return computer(func(context.Context, int) ([]byte, error) { return fmt.Append(nil, n), nil }), nil
		}})
	}()
	for i := range 3 {
		j := open(t, e, "job")
		results, err := run(t.Context(), j, "job", 2)
		if i == 0 {
			require.ErrorContains(t, err, "not yet")
		} else {
			require.NoError(t, err)
			require.Equal(t, results[0], results[1])
			require.Greater(t, results[0], fmt.Sprint(i))
		}
		require.NoError(t, j.Remove(t.Context()))
	}
	cancel()
	require.NoError(t, <-ended)
}

// A worker whose job is removed while it computes a task, or just before it saves the result, continues with
// other jobs.
func TestWork_LeavesAJobThatIsRemoved(t *testing.T) {
	e, _ := start(t)
	removed := open(t, e, "removed")
	work(t, e, "w", func(ctx context.Context, task int) ([]byte, error) {
		if task == 7 {
			return nil, removed.Remove(ctx)
		}
		return echo(ctx, task)
	})
	require.NoError(t, removed.Offer(t.Context(), []byte("removed"), 7, 7))
	results, err := run(t.Context(), open(t, e, "job"), "job", 1)
	require.NoError(t, err)
	require.Equal(t, []string{"result 1"}, results)

	w := &Worker{engine: e, job: removed}
	require.True(t, gone(w.save(t.Context(), 1, result{Error: "it is broken"}, nil)))
}

func TestRun_EndsIfATaskEndsItsWorkers(t *testing.T) {
	e, _ := start(t)
	w := &Worker{engine: e}
	require.NoError(t, w.subscribe(t.Context()))
	j := open(t, e, "job")
	ended := make(chan error, 1)
	go func() {
		_, err := run(t.Context(), j, "job", 1)
		ended <- err
	}()
	for range maxDeliveries {
		msg, err := w.consumer.Next(jetstream.FetchMaxWait(5 * time.Second))
		require.NoError(t, err)
		require.NoError(t, msg.Nak())
	}
	work(t, e, "w", echo)
	require.ErrorContains(t, <-ended, "task 1 was given to 10 workers, none of which has finished it")
}

func TestSave_KeepsTheFirstResult(t *testing.T) {
	e, _ := start(t)
	j := open(t, e, "job")
	w := &Worker{engine: e, job: j}
	for _, text := range []string{"first", "second", "first"} {
		require.NoError(t, w.save(t.Context(), 1, result{Worker: text}, []byte(text)))
	}
	require.NoError(t, w.save(t.Context(), 1, result{Worker: "third", Error: "late"}, nil))
	results, err := run(t.Context(), j, "job", 1)
	require.NoError(t, err)
	require.Equal(t, []string{"first"}, results)
	objects, err := j.objects.List(t.Context())
	require.NoError(t, err)
	require.Len(t, objects, 2, "the specification and the first result")
}

func TestObjects_AreChecked(t *testing.T) {
	e, _ := start(t)
	j := open(t, e, "job")
	const text = "some text"
	sum := strings.Repeat("0", 64)
	_, err := j.objects.PutBytes(t.Context(), sum, []byte(text))
	require.NoError(t, err)
	discard := func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	require.ErrorContains(t, j.Get(t.Context(), sum, int64(len(text)), discard), "does not match")
	require.ErrorContains(t, j.Get(t.Context(), sum, 5, discard), "has 9 bytes instead of 5")
	require.ErrorContains(t, j.Get(t.Context(), strings.Repeat("1", 64), 5, discard), "is not on the server any more")
	wrong := strings.Repeat("2", 64)
	require.ErrorContains(t, j.Put(t.Context(), wrong, 4, bytesOf([]byte(text))), "a file has changed while it was sent")
	_, err = j.objects.GetInfo(t.Context(), wrong)
	require.ErrorIs(t, err, jetstream.ErrObjectNotFound)

	// A damaged specification, and one of another job.
	_, err = j.objects.PutBytes(t.Context(), specName, []byte("another one"))
	require.NoError(t, err)
	w := &Worker{engine: e}
	require.NoError(t, w.start(t.Context(), j))
	require.ErrorContains(t, w.failure, "its specification is damaged")
}

// An object with several chunks.
func TestObjects_AreSentOnce(t *testing.T) {
	e, _ := start(t)
	j := open(t, e, "job")
	data := bytes.Repeat([]byte("0123456789"), 100000)
	sum := sumOf(data)
	opened := 0
	for range 2 {
		require.NoError(t, j.Put(t.Context(), sum, int64(len(data)), func() (io.ReadCloser, error) {
			opened++
			return bytesOf(data)()
		}))
	}
	require.Equal(t, 1, opened)
	var got []byte
	require.NoError(t, j.Get(t.Context(), sum, int64(len(data)), func(r io.Reader) (err error) {
		got, err = io.ReadAll(r)
		return err
	}))
	require.Equal(t, data, got)
}

func TestOpen_RemovesExpiredJobs(t *testing.T) {
	e, _ := start(t)
	e.Lifetime = 500 * time.Millisecond
	j := open(t, e, "old")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := run(ctx, j, "old", 3)
	require.Error(t, err)
	require.Eventually(t, func() bool {
		open(t, e, "new")
		jobs, err := e.Jobs(t.Context())
		require.NoError(t, err)
		return len(jobs) == 1 && jobs[0].ID == JobID([]byte("new"))
	}, 10*time.Second, 100*time.Millisecond)
	info, err := e.tasks.Info(t.Context())
	require.NoError(t, err)
	require.Zero(t, info.State.Msgs)
}

func TestParseSubject_RefusesWhatIsNoTask(t *testing.T) {
	id := JobID(nil)
	got, n, ok := parseSubject("sbs.task.v." + id + ".17")
	require.True(t, ok)
	require.Equal(t, id, got)
	require.Equal(t, 17, n)
	for _, s := range []string{"", "sbs.task.v.1", "sbs.task.v." + id + ".0", "sbs.task.v." + id + ".10001", "sbs.task.v." + id + ".x", "sbs.task.v...17", "sbs.task.v.../../x.1"} {
		_, _, ok := parseSubject(s)
		require.False(t, ok, s)
	}
}

func TestOlderThan_ComparesVersions(t *testing.T) {
	for version, want := range map[string]bool{"2.9.25": true, "1.10.0": true, "2.10.0": false, "2.10.0-beta.1": false, "3.0.1": false, "dev": false, "": false} {
		require.Equal(t, want, olderThan(version, 2, 10), version)
	}
}

func TestRedacted_RemovesPasswords(t *testing.T) {
	require.Equal(t, "nats://a:1,tls://b,c", redacted("nats://u:p@ss@a:1,tls://token@b,u:p@c"))
}

// The engine hands out any tasks: it does not depend on the code of networks.
func TestEngine_DoesNotDependOnNetworks(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "nats.go")
	require.NotContains(t, strings.ReplaceAll(string(out), "github.com/spike-by-spike/sbs/cluster/engine", ""), "spike-by-spike")
}

// The engine waits for a server that does not answer, also after it submitted many tasks, and prints one warning.
func TestTransient_ServerThatDoesNotAnswer(t *testing.T) {
	require.True(t, transient(fmt.Errorf("x: %w", jetstream.ErrTooManyStalledMsgs)))
	require.True(t, transient(&jetstream.APIError{Code: 503}))
	require.False(t, transient(&jetstream.APIError{Code: 404}))
	synctest.Test(t, func(t *testing.T) {
		var told []string
		e := &Engine{Options: Options{URL: "nats://u:secret@head:4222", Warn: func(text string) { told = append(told, text) }}}
		warn := e.warner()
		warn(errors.New("early"))
		time.Sleep(callTimeout + 1)
		warn(errors.New("full"))
		warn(errors.New("full"))
		require.Equal(t, []string{"waiting for the NATS server nats://head:4222 (full)"}, told)
		warn = e.warner()
		time.Sleep(callTimeout + 1)
		warn(&jetstream.APIError{Code: 503, ErrorCode: 10047})
		require.Contains(t, told[1], "it has no space left; remove jobs that are not needed (sbs-cluster jobs), or raise its limits")
	})
}
