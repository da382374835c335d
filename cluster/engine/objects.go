package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Put stores an object under the SHA-256 of its contents, in hexadecimal, unless it is there already.
// It calls open for a reader of the contents and checks them.
func (j *Job) Put(ctx context.Context, sum string, size int64, open func() (io.ReadCloser, error)) error {
	return j.put(ctx, sum, sum, size, open)
}

func (j *Job) put(ctx context.Context, name, sum string, size int64, open func() (io.ReadCloser, error)) error {
	var info *jetstream.ObjectInfo
	err := j.engine.retry(ctx, func(ctx context.Context) (err error) {
		info, err = j.objects.GetInfo(ctx, name)
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			info, err = nil, nil
		}
		return err
	})
	if err != nil || info != nil && int64(info.Size) == size {
		return err
	}
	return j.sendAgain(ctx, name, sum, size, open)
}

// sendAgain sends an object, again if the server fails.
func (j *Job) sendAgain(ctx context.Context, name, sum string, size int64, open func() (io.ReadCloser, error)) error {
	warn := j.engine.warner()
	for try := 1; ; try++ {
		err := j.orGone(ctx, j.send(ctx, name, sum, size, open))
		if err == nil || ctx.Err() != nil || !transient(err) {
			return err
		}
		warn(err)
		pause(ctx, retryPause(try))
	}
}

// maxTries is the number of times that an object is read, unless the server does not answer.
const maxTries = 6

func (j *Job) send(ctx context.Context, name, sum string, size int64, open func() (io.ReadCloser, error)) (err error) {
	r, err := open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	h := sha256.New()
	info, err := j.objects.Put(ctx, jetstream.ObjectMeta{Name: name}, io.TeeReader(r, h))
	if err != nil {
		return err
	}
	if int64(info.Size) != size || hex.EncodeToString(h.Sum(nil)) != sum {
		return errors.Join(ErrChanged, j.objects.Delete(ctx, name))
	}
	return nil
}

// ErrChanged is the error about an object that is not what it was.
var ErrChanged = errors.New("a file has changed while it was sent: run the command again")

// Get calls read with a reader of the object with a SHA-256 and a size. It may call it again from the
// beginning, and checks the contents after read has returned.
func (j *Job) Get(ctx context.Context, sum string, size int64, read func(io.Reader) error) error {
	return j.get(ctx, sum, sum, size, read)
}

func (j *Job) get(ctx context.Context, name, sum string, size int64, read func(io.Reader) error) error {
	h := sha256.New()
	err := j.read(ctx, name, size, func(r io.Reader) error {
		h.Reset()
		return read(io.TeeReader(r, h))
	})
	if err == nil && hex.EncodeToString(h.Sum(nil)) != sum {
		return fmt.Errorf("%w: the SHA-256 of %s does not match", errDamaged, name)
	}
	return err
}

var errDamaged = errors.New("an object on the server is damaged")

// read calls read with a reader of an object of a known size.
func (j *Job) read(ctx context.Context, name string, size int64, read func(io.Reader) error) error {
	warn := j.engine.warner()
	for try := 1; ; try++ {
		err := j.receive(ctx, name, size, read)
		if err == nil || ctx.Err() != nil || gone(err) || errors.Is(err, errDamaged) || try >= maxTries && !transient(err) {
			return missing(name, err)
		}
		warn(err)
		pause(ctx, retryPause(try))
	}
}

// orGone returns err, or the error that the job was removed if err is that of a server that stores nothing
// under its names: it says the same while it is restarted.
func (j *Job) orGone(ctx context.Context, err error) error {
	if !errors.Is(err, jetstream.ErrNoStreamResponse) && !errors.Is(err, nats.ErrNoResponders) {
		return err
	}
	if _, e := j.creation(ctx); e != nil && gone(e) {
		return e
	}
	return err
}

// retryPause is the time to wait after a try.
func retryPause(try int) time.Duration { return min(50*time.Millisecond<<min(try, 10), time.Second) }

// missing explains that an object is missing.
func missing(name string, err error) error {
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return fmt.Errorf("the object %s of the job is not on the server any more: run the command again", name)
	}
	return err
}

// slowest is the least number of bytes per second that a connection must carry.
const slowest = 20000

func (j *Job) receive(ctx context.Context, name string, size int64, read func(io.Reader) error) (err error) {
	// Without a deadline, nats.go takes one of 5 seconds for the whole object.
	ctx, cancel := context.WithTimeout(ctx, callTimeout+time.Duration(size/slowest)*time.Second)
	defer cancel()
	o, err := j.objects.Get(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	info, err := o.Info()
	if err != nil {
		return err
	}
	if int64(info.Size) != size {
		return fmt.Errorf("%w: %s has %d bytes instead of %d", errDamaged, name, info.Size, size)
	}
	limited := &io.LimitedReader{R: o, N: size}
	if err := read(limited); err != nil {
		return err
	}
	if limited.N > 0 {
		return io.ErrUnexpectedEOF // the connection was lost
	}
	return nil
}

// gone reports whether an error says that the job is not on the server any more. A missing object does
// not: in a cluster, a server may not know it yet.
func gone(err error) bool {
	return errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)
}
