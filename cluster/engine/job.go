package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Limits of what is read from the server.
const (
	MaxSpec   = 1 << 28 // bytes of a specification
	maxResult = 1 << 28
	MaxTasks  = 10000
)

// specName is the name of the object with the specification. All others have their SHA-256.
const specName = "spec"

// Job is a job on a server.
type Job struct {
	ID string // the beginning of the SHA-256 of the specification

	engine  *Engine
	objects jetstream.ObjectStore
	results jetstream.KeyValue
	created time.Time // when the results were created
}

// JobID returns the ID of the job with a specification.
func JobID(spec []byte) string {
	return sumOf(spec)[:32]
}

// Open creates a job, or finds it if it is on the server already. Removing expired jobs is a part of it.
func (e *Engine) Open(ctx context.Context, id string) (j *Job, found bool, err error) {
	if err := e.retry(ctx, e.queue); err != nil {
		return nil, false, err
	}
	if err := e.removeExpired(ctx); err != nil {
		return nil, false, err
	}
	j = &Job{ID: id, engine: e}
	err = e.retry(ctx, func(ctx context.Context) (err error) {
		j.objects, err = e.js.ObjectStore(ctx, bucketName+id)
		if found = err == nil; found {
			return nil
		}
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			j.objects, err = e.js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: bucketName + id, TTL: e.Lifetime, Replicas: e.Replicas})
		}
		return err
	})
	if err != nil {
		return nil, false, err
	}
	err = e.retry(ctx, func(ctx context.Context) (err error) {
		if j.results, err = e.js.KeyValue(ctx, bucketName+id); errors.Is(err, jetstream.ErrBucketNotFound) {
			j.results, err = e.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucketName + id, TTL: e.Lifetime, Replicas: e.Replicas})
		}
		if err != nil {
			return err
		}
		j.created, err = j.creation(ctx)
		return err
	})
	return j, found, err
}

// Lost reports whether the job is not on the server any more.
func (j *Job) Lost(ctx context.Context) (lost bool, err error) {
	err = j.engine.retry(ctx, func(ctx context.Context) error {
		created, err := j.creation(ctx)
		if lost = err == nil && !created.Equal(j.created) || err != nil && gone(err); lost {
			return nil
		}
		return err
	})
	return lost, err
}

// creation returns when the results on the server were created.
func (j *Job) creation(ctx context.Context) (created time.Time, err error) {
	status, err := j.results.Status(ctx)
	if bucket, ok := status.(*jetstream.KeyValueBucketStatus); err == nil && ok {
		created = bucket.StreamInfo().Created
	}
	return created, err
}

// key returns the key of the result of a task. It includes the time at which the job was created: a
// worker may still compute a task of a job that was removed and has come again, and its result is not
// one of the new job.
func (j *Job) key(task int) string { return fmt.Sprintf("%d.%d", j.created.UnixNano(), task) }

func (j *Job) putSpec(ctx context.Context, spec []byte) error {
	return j.put(ctx, specName, sumOf(spec), int64(len(spec)), bytesOf(spec))
}

// spec reads the specification.
func (j *Job) spec(ctx context.Context) (spec []byte, err error) {
	var info *jetstream.ObjectInfo
	for try := 1; ; try++ {
		err = j.engine.retry(ctx, func(ctx context.Context) (err error) {
			info, err = j.objects.GetInfo(ctx, specName)
			return err
		})
		if !errors.Is(err, jetstream.ErrObjectNotFound) || try == maxTries {
			break
		}
		pause(ctx, retryPause(try))
	}
	switch {
	case err != nil:
		return nil, missing(specName, err)
	case info.Size > MaxSpec:
		return nil, fmt.Errorf("its specification has %d bytes", info.Size)
	}
	err = j.read(ctx, specName, int64(info.Size), func(r io.Reader) (err error) {
		spec, err = io.ReadAll(r)
		return err
	})
	if err == nil && JobID(spec) != j.ID {
		err = errors.New("its specification is damaged")
	}
	return spec, err
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func bytesOf(data []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

// Remove removes the job from the server.
func (j *Job) Remove(ctx context.Context) error { return j.engine.Remove(ctx, j.ID) }
