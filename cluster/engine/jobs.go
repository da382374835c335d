package engine

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// JobInfo describes a job on the server.
type JobInfo struct {
	ID      string
	Created time.Time
	Bytes   uint64 // of its objects
	Results uint64 // number
	Waiting uint64 // number of tasks without a result
}

// validID is what the ID of a job looks like.
var validID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Jobs lists the jobs on the server, the oldest first.
func (e *Engine) Jobs(ctx context.Context) (jobs []JobInfo, err error) {
	err = e.retry(ctx, func(ctx context.Context) error {
		jobs = nil
		list := e.js.ObjectStores(ctx)
		for s := range list.Status() {
			id, ok := strings.CutPrefix(s.Bucket(), bucketName)
			if !ok || !validID.MatchString(id) {
				continue
			}
			info := JobInfo{ID: id, Bytes: s.Size()}
			if b, ok := s.(*jetstream.ObjectBucketStatus); ok {
				info.Created = b.StreamInfo().Created
			}
			jobs = append(jobs, info)
		}
		return list.Error()
	})
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		if err := e.count(ctx, &jobs[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(jobs, func(a, b JobInfo) int { return a.Created.Compare(b.Created) })
	return jobs, nil
}

// count counts the results and the tasks of a job.
func (e *Engine) count(ctx context.Context, job *JobInfo) error {
	return e.retry(ctx, func(ctx context.Context) error {
		// The states of tasks are in the bucket, too, with longer keys.
		results, err := e.js.Stream(ctx, "KV_"+bucketName+job.ID)
		if err == nil {
			var info *jetstream.StreamInfo
			if info, err = results.Info(ctx, jetstream.WithSubjectFilter("$KV."+bucketName+job.ID+".*.*")); err == nil {
				job.Results = uint64(len(info.State.Subjects))
			}
		}
		if err != nil && !gone(err) {
			return err
		}
		info, err := e.tasks.Info(ctx, jetstream.WithSubjectFilter(tasksOf(job.ID)))
		if err == nil {
			job.Waiting = uint64(len(info.State.Subjects))
		}
		return err
	})
}

// tasksOf returns the subject of the tasks of a job.
func tasksOf(id string) string { return taskSubject + ".*." + id + ".*" }

// Remove removes a job from the server. It is no error if the job is not there.
func (e *Engine) Remove(ctx context.Context, id string) error {
	return e.retry(ctx, func(ctx context.Context) error {
		err := e.tasks.Purge(ctx, jetstream.WithPurgeSubject(tasksOf(id)))
		// The results go first: without them, workers and clients take the job for removed.
		for _, remove := range []func(context.Context, string) error{e.js.DeleteKeyValue, e.js.DeleteObjectStore} {
			if e := remove(ctx, bucketName+id); e != nil && !gone(e) {
				err = errors.Join(err, e)
			}
		}
		return err
	})
}

// removeExpired removes the jobs whose objects the server has deleted because of their age.
func (e *Engine) removeExpired(ctx context.Context) error {
	jobs, err := e.Jobs(ctx)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j.Bytes == 0 && j.Results == 0 && time.Since(j.Created) > e.Lifetime {
			if err := e.Remove(ctx, j.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
