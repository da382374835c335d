package jobs

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spike-by-spike/sbs/cluster/engine"
	"github.com/spike-by-spike/sbs/internal/lock"
)

// saved is a file of a trial on the server.
type saved struct {
	Path []byte `json:"path"` // in the folder of the trial, with slashes; it may be no UTF-8
	engine.Object
}

// snapshots keep the files of a trial on the server while a worker trains. Only files that have changed
// are sent.
//
// A worker that was taken for lost may still train. The states of a task are a chain: a worker replaces only
// the state that it has read or stored itself, and only then removes the objects of that state that
// the new one does not have. Objects have the name of an attempt in them, so that another worker
// cannot remove them otherwise.
type snapshots struct {
	task    int
	folder  string // with the files
	objects engine.Objects
	attempt string

	current  []saved        // of the state on the server
	list     *engine.Object // that has current
	revision uint64         // of the state
	lost     bool           // another worker has replaced the state

	sent time.Time     // when the last state was stored
	took time.Duration // to store it
}

// newSnapshots returns the snapshots of a task.
func newSnapshots(task int, folder string, objects engine.Objects) *snapshots {
	return &snapshots{task: task, folder: folder, objects: objects, attempt: rand.Text()}
}

// Limits of what is read from the server, in bytes.
const (
	maxFiles = 64 << 20 // of the list of the files of a trial
	maxFile  = 1 << 40  // of a file
)

// restore writes the files of the last state to the folder, which is empty. It reports whether there are
// any. A state whose objects have expired counts as none.
func (s *snapshots) restore(ctx context.Context) (found bool, err error) {
	const tries = 2 // another worker may replace the state meanwhile
	for range tries {
		if found, err = s.restoreOnce(ctx); err == nil || ctx.Err() != nil {
			return found, err
		}
		if err := errors.Join(os.RemoveAll(s.folder), os.Mkdir(s.folder, 0o755)); err != nil {
			return false, err
		}
	}
	s.current, s.list = nil, nil
	return false, nil
}

func (s *snapshots) restoreOnce(ctx context.Context) (bool, error) {
	data, revision, err := s.objects.State(ctx, s.task)
	if err != nil {
		return false, err
	}
	if s.revision = revision; data == nil {
		return false, nil
	}
	list := &engine.Object{}
	if err := json.Unmarshal(data, list); err != nil || list.Size > maxFiles {
		return false, fmt.Errorf("the state of task %d is damaged", s.task)
	}
	var files []saved
	err = s.objects.Read(ctx, *list, func(r io.Reader) error {
		files = nil
		return json.NewDecoder(r).Decode(&files)
	})
	if err != nil {
		return false, err
	}
	if err := receive(ctx, files, s.folder, s.objects.Read); err != nil {
		return false, err
	}
	s.current, s.list = files, list
	return true, nil
}

// receive writes files to a folder.
func receive(ctx context.Context, files []saved, folder string, read func(context.Context, engine.Object, func(io.Reader) error) error) error {
	for _, f := range files {
		inside := filepath.FromSlash(string(f.Path))
		if !filepath.IsLocal(inside) {
			return fmt.Errorf("%q is not the path of a file of a trial", f.Path)
		}
		if f.Size < 0 || f.Size > maxFile {
			return fmt.Errorf("%s: a file of a trial cannot have %d bytes", f.Path, f.Size)
		}
		path := filepath.Join(folder, inside)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		err := read(ctx, f.Object, func(r io.Reader) (err error) {
			out, err := os.Create(path)
			if err != nil {
				return err
			}
			_, err = io.Copy(out, r)
			return errors.Join(err, out.Close())
		})
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return nil
}

// pauses is the time between two states, as a multiple of the time that it takes to store one.
const pauses = 20

// due reports whether it is time for the next state.
func (s *snapshots) due() bool { return !s.lost && time.Since(s.sent) > pauses*s.took }

// save stores the files as the state of the task.
func (s *snapshots) save(ctx context.Context) error {
	if s.lost {
		return engine.ErrOvertaken
	}
	start := time.Now()
	known := map[string]engine.Object{} // by SHA-256
	for _, f := range s.current {
		known[f.SHA256] = f.Object
	}
	files, err := s.send(ctx, known)
	if err != nil {
		return err
	}
	text, err := json.Marshal(files)
	if err != nil {
		return err
	}
	list := s.object(text)
	if err := s.objects.Write(ctx, list, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }); err != nil {
		return err
	}
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	next, err := s.objects.SetState(ctx, s.task, data, s.revision)
	if err != nil {
		s.lost = errors.Is(err, engine.ErrOvertaken)
		return err
	}
	old := s.current
	if s.list != nil {
		old = append(slices.Clone(old), saved{Object: *s.list})
	}
	s.current, s.list, s.revision = files, &list, next
	used := append(slices.Clone(files), saved{Object: list})
	for _, f := range old {
		if !slices.ContainsFunc(used, func(o saved) bool { return o.Name == f.Name }) {
			if err := s.objects.Delete(ctx, f.Name); err != nil {
				return err
			}
		}
	}
	s.sent, s.took = time.Now(), time.Since(start)
	return nil
}

// object describes an object of this attempt.
func (s *snapshots) object(data []byte) engine.Object {
	sum := sha256.Sum256(data)
	text := hex.EncodeToString(sum[:])
	return engine.Object{Name: fmt.Sprintf("trial-%d-%s-%s", s.task, s.attempt, text), SHA256: text, Size: int64(len(data))}
}

// result stores the files as the result of the task. They share no objects with states, which another
// worker could remove.
func (s *snapshots) result(ctx context.Context) ([]saved, error) {
	s.attempt, s.lost = rand.Text(), true
	return s.send(ctx, map[string]engine.Object{})
}

// send stores the files that are not known, by their SHA-256, and returns all files. The folder must not
// change meanwhile.
func (s *snapshots) send(ctx context.Context, known map[string]engine.Object) (files []saved, err error) {
	err = filepath.WalkDir(s.folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || e.Name() == lock.File {
			return err
		}
		inside, err := filepath.Rel(s.folder, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		o := s.object(data)
		if have, ok := known[o.SHA256]; ok {
			o = have
		} else if err := s.objects.Write(ctx, o, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }); err != nil {
			return err
		}
		known[o.SHA256] = o
		files = append(files, saved{[]byte(filepath.ToSlash(inside)), o})
		return nil
	})
	return files, err
}
