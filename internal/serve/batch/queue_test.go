package batch_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spike-by-spike/sbs/internal/serve/batch"
	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/ops"
	"github.com/spike-by-spike/sbs/runtime"
)

// watcher implements batch.Observer.
type watcher struct {
	mu      sync.Mutex
	waiting int
	batches []int
}

func (w *watcher) Waiting(images int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting += images
}

func (w *watcher) Waited(time.Duration) {}

func (w *watcher) Ran(images int, _ time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batches = append(w.batches, images)
}

// model is a model that doubles its input x. It fails for the value 13, panics for 66, and takes a
// second per run.
type model struct {
	mu    sync.Mutex
	ended []error // of the contexts of the runs
}

func (m *model) Run(ctx context.Context, inputs map[string]*runtime.Tensor, _ ...runtime.RunOption) (map[string]*runtime.Tensor, error) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	m.mu.Lock()
	m.ended = append(m.ended, ctx.Err())
	m.mu.Unlock()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	x := inputs["x"]
	y := x.Clone()
	for i, v := range x.Float32s() {
		switch v {
		case 13:
			return nil, errors.New("unlucky")
		case 66:
			panic("bug")
		}
		y.Float32s()[i] = 2 * v
	}
	return map[string]*runtime.Tensor{"y": y}, nil
}

func request(lane string, values ...float32) batch.Request {
	x, err := ops.NewTensor([]int{len(values), 1}, values)
	if err != nil {
		panic(err)
	}
	return batch.Request{
		Inputs: map[string]*runtime.Tensor{"x": x}, Images: len(values), Lane: lane,
		Seeds: make([]uint64, len(values)), Numbers: make([]uint64, len(values)),
	}
}

func newQueue(m batch.Runner, c batch.Config) (*batch.Queue, *watcher) {
	w := &watcher{}
	c.Observer, c.Log = w, slog.New(slog.NewTextHandler(io.Discard, nil))
	return batch.New(m, c), w
}

// start runs requests at the same time, in order. The returned function waits for their results.
func start(ctx context.Context, q *batch.Queue, requests ...batch.Request) func() ([][]float32, []error) {
	values, errs := make([][]float32, len(requests)), make([]error, len(requests))
	var group sync.WaitGroup
	for i, r := range requests {
		group.Go(func() {
			out, err := q.Do(ctx, r)
			if errs[i] = err; err == nil {
				values[i] = out.Outputs["y"].Float32s()
			}
		})
		synctest.Wait()
	}
	return func() ([][]float32, []error) {
		group.Wait()
		return values, errs
	}
}

func TestQueue_CollectsRequestsDuringARunAndReturnsTheirRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, w := newQueue(&model{}, batch.Config{MaxImages: 4, MaxWaiting: 100})
		values, errs := start(t.Context(), q, request("", 1), request("", 2, 3), request("", 4), request("", 5, 6), request("", 7, 8, 9, 10, 11))()
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.Equal(t, [][]float32{{2}, {4, 6}, {8}, {10, 12}, {14, 16, 18, 20, 22}}, values)
		require.Equal(t, []int{1, 3, 2, 5}, w.batches, "the first request does not wait, and a batch has at most 4 images")
		require.Zero(t, w.waiting)
	})
}

func TestQueue_WaitsForOthersUntilABatchIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, w := newQueue(&model{}, batch.Config{MaxImages: 4, MaxDelay: 10 * time.Second, MaxWaiting: 100})
		began := time.Now()
		_, errs := start(t.Context(), q, request("", 1), request("", 2, 3))()
		require.Equal(t, []error{nil, nil}, errs)
		require.Equal(t, 11*time.Second, time.Since(began), "the delay and the run")
		began = time.Now()
		_, errs = start(t.Context(), q, request("", 1), request("", 2, 3, 4))()
		require.Equal(t, []error{nil, nil}, errs)
		require.Equal(t, time.Second, time.Since(began))
		require.Equal(t, []int{3, 4}, w.batches)
	})
}

func TestQueue_SeparatesOptionsAndDoesNotDelayRequestsWithoutThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, w := newQueue(&model{}, batch.Config{MaxImages: 4, MaxWaiting: 100})
		began := time.Now()
		wait := start(t.Context(), q, request("a", 1), request("b", 1), request("c", 1), request("d", 1), request("d", 1), request("e", 1))
		_, err := q.Do(t.Context(), request("", 1))
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(began))
		_, errs := wait()
		require.Equal(t, make([]error, 6), errs)
		require.Equal(t, 2*time.Second, time.Since(began), "three runs with options at a time")
		require.ElementsMatch(t, []int{1, 1, 1, 1, 2, 1}, w.batches)
	})
}

func TestQueue_RefusesRequestsWhenItIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, w := newQueue(&model{}, batch.Config{MaxImages: 4, MaxWaiting: 3})
		wait := start(t.Context(), q, request("", 1), request("", 2, 3))
		_, err := q.Do(t.Context(), request("", 4, 5))
		require.Equal(t, inference.Busy, inference.KindOf(err))
		require.ErrorContains(t, err, "2 images are waiting, at most 3 may")
		_, errs := wait()
		require.Equal(t, []error{nil, nil}, errs)
		_, err = q.Do(t.Context(), request("", 1, 2, 3, 4, 5))
		require.NoError(t, err, "a request alone is always admitted")
		require.Zero(t, w.waiting)
	})
}

func TestQueue_KeepsFailuresToTheirRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, bad := range []float32{13, 66} {
			q, w := newQueue(&model{}, batch.Config{MaxImages: 4, MaxWaiting: 100})
			values, errs := start(t.Context(), q, request("", 1), request("", 2), request("", bad), request("", 4))()
			require.NoError(t, errs[0])
			require.NoError(t, errs[1])
			require.NoError(t, errs[3])
			require.Error(t, errs[2])
			require.Equal(t, [][]float32{{2}, {4}, nil, {8}}, values)
			require.Zero(t, w.waiting)
		}
	})
}

func TestQueue_EndsARunWhenAllItsClientsHaveGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{}
		q, w := newQueue(m, batch.Config{MaxImages: 4, MaxDelay: time.Second, MaxWaiting: 100})
		one, leave := context.WithCancel(t.Context())
		two, leaveToo := context.WithCancel(t.Context())
		first, second := start(one, q, request("", 1)), start(two, q, request("", 2))
		time.Sleep(1500 * time.Millisecond) // both are in the same run now
		leave()
		_, errs := first()
		require.ErrorIs(t, errs[0], context.Canceled)
		synctest.Wait()
		require.Empty(t, m.ended, "the second client still waits")
		leaveToo()
		_, errs = second()
		require.ErrorIs(t, errs[0], context.Canceled)
		synctest.Wait()
		require.Equal(t, []error{context.Canceled}, m.ended)

		waiting, leave := context.WithCancel(t.Context())
		wait := start(waiting, q, request("", 1, 2, 3))
		require.Equal(t, 3, w.waiting)
		leave()
		_, errs = wait()
		require.ErrorIs(t, errs[0], context.Canceled)
		require.Zero(t, w.waiting, "a request that leaves makes room at once")
		time.Sleep(5 * time.Second)
		require.Len(t, m.ended, 1, "nothing runs for it")
	})
}

// TestQueue_RunsRequestsThatCannotShareABatch uses requests without Images.
func TestQueue_RunsRequestsThatCannotShareABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, w := newQueue(&model{}, batch.Config{MaxImages: 4, MaxDelay: time.Minute, MaxWaiting: 100})
		single := func(values ...float32) batch.Request {
			r := request("", values...)
			r.Images, r.Seeds = 0, []uint64{7}
			return r
		}
		began := time.Now()
		values, errs := start(t.Context(), q, single(1), single(2, 3))()
		require.Equal(t, []error{nil, nil}, errs)
		require.Equal(t, [][]float32{{2}, {4, 6}}, values)
		require.Equal(t, []int{1, 1}, w.batches)
		require.Equal(t, 2*time.Second, time.Since(began), "without the delay for others")
	})
}
