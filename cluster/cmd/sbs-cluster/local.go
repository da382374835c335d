package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/cluster/jobs"
	"github.com/spike-by-spike/sbs/internal/lock"
)

// local is a NATS server in this process, and workers in processes of their own.
type local struct {
	server *engine.Server
	ended  chan error // receives an error if the workers do not work

	workers, cores int // number of workers, and of cores of each of them
	temporary      string
	lock           *lock.Lock // of the folder of the server
}

// startLocal starts a server. store is its folder, "" for a temporary one.
func startLocal(store string, workers, cores int) (l *local, err error) {
	l = &local{ended: make(chan error, 1)}
	if cores == 0 {
		cores = runtime.GOMAXPROCS(0)
	}
	if l.workers = workers; workers == 0 {
		l.workers = cores
	}
	l.cores = max(cores/l.workers, 1)
	if l.temporary, err = os.MkdirTemp("", "sbs-cluster-"); err != nil {
		return nil, err
	}
	if store == "" {
		store = filepath.Join(l.temporary, "server")
	}
	if l.lock, err = lock.Folder(store); err != nil && !errors.Is(err, lock.ErrUnsupported) {
		return nil, errors.Join(err, l.stop())
	}
	if l.server, err = engine.StartServer(store); err != nil {
		return nil, errors.Join(err, l.stop())
	}
	return l, nil
}

// stop stops the server and removes temporary files.
func (l *local) stop() error {
	if l.server != nil {
		l.server.Stop()
	}
	return errors.Join(l.lock.Release(), os.RemoveAll(l.temporary))
}

// startWorkers starts the workers, and starts them again if they end. stop ends them and waits.
func (l *local) startWorkers(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for i := range l.workers {
		running.Go(func() { l.keepWorker(ctx, i+1) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// maxStarts is the number of times that a worker is started.
const maxStarts = 5

// keepWorker starts a worker, and starts it again if it ends.
func (l *local) keepWorker(ctx context.Context, number int) {
	var err error
	for range maxStarts {
		if err = l.work(ctx, number); ctx.Err() != nil {
			return
		}
	}
	select {
	case l.ended <- &jobs.WorkersError{Err: fmt.Errorf("worker %d on this machine has ended %d times: %w", number, maxStarts, err)}:
	default:
	}
}

// lostAfter is the time without a sign of life after which a shard is given to another worker. No network
// can delay the sign.
const lostAfter = 5 * time.Second

// endsWithin is the time that a worker has to end before it is killed, for example because it was stopped.
const endsWithin = 10 * time.Second

// work runs a worker until it ends or ctx is done. The worker ends when its standard input does, also
// if this process is killed.
func (l *local) work(ctx context.Context, number int) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, "worker", "--"+flagNATS, fromParent, "--workers", strconv.Itoa(l.cores), "--quiet",
		"--folder", filepath.Join(l.temporary, fmt.Sprintf("worker-%d", number)))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	cmd.Cancel, cmd.WaitDelay = in.Close, endsWithin
	if err := cmd.Start(); err != nil {
		return err
	}
	o := l.server.Options()
	o.LostAfter = lostAfter
	if err := json.NewEncoder(in).Encode(o); err != nil {
		return errors.Join(err, in.Close(), cmd.Wait())
	}
	err = cmd.Wait()
	if text := strings.TrimSpace(stderr.String()); text != "" {
		err = errors.New(text)
	} else if err == nil {
		err = io.EOF
	}
	return err
}
