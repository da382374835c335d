package jobs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/lock"
)

// Folder is a folder in which a worker keeps the files of jobs. Files with equal contents are there
// once, also for later jobs.
type Folder struct {
	root  *os.Root
	lock  *lock.Lock
	limit int64 // bytes of files that are kept
}

// The folders in a Folder.
const (
	blobsFolder = "files"
	jobsFolder  = "jobs"
)

// DefaultLimit is the default limit of OpenFolder.
const DefaultLimit = 20 << 30

// OpenFolder opens a folder, which it creates if necessary, and locks it. When a job is opened, the
// oldest files are removed until those that remain have at most limit bytes.
func OpenFolder(path string, limit int64) (*Folder, error) {
	l, err := lock.Folder(path)
	if err != nil && !errors.Is(err, lock.ErrUnsupported) {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, errors.Join(err, l.Release())
	}
	for _, name := range []string{blobsFolder, jobsFolder} {
		if err := root.MkdirAll(name, 0o755); err != nil {
			return nil, errors.Join(err, root.Close(), l.Release())
		}
	}
	f := &Folder{root, l, limit}
	if l == nil { // without a lock, another worker may use the folder
		return f, nil
	}
	if err := f.removeJobs(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// validJob is what the ID of a job looks like.
var validJob = regexp.MustCompile(`^[0-9a-f]{32}$`)

// removeJobs removes the files of jobs that a worker has left behind that was killed.
func (f *Folder) removeJobs() error {
	list, err := fs.ReadDir(f.root.FS(), jobsFolder)
	if err != nil {
		return err
	}
	for _, e := range list {
		if validJob.MatchString(e.Name()) {
			if err := f.root.RemoveAll(filepath.Join(jobsFolder, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close closes the folder.
func (f *Folder) Close() error { return errors.Join(f.root.Close(), f.lock.Release()) }

// fetched are the files of a job on a worker.
type fetched struct {
	in     inputs
	folder *Folder
	path   string // in the folder
}

// remove removes the files of the job. Their contents stay in the folder.
func (a *fetched) remove() error {
	if a.path == "" {
		return nil
	}
	return a.folder.root.RemoveAll(a.path)
}

// getter gets objects: see engine.Objects.
type getter interface {
	Get(ctx context.Context, sum string, size int64, read func(io.Reader) error) error
}

// fetch gets the files of a job.
func (f *Folder) fetch(ctx context.Context, id string, s *spec, objects getter) (*fetched, error) {
	at := &fetched{folder: f, path: filepath.Join(jobsFolder, id)}
	if err := f.root.RemoveAll(at.path); err != nil { // of a worker that was killed
		return nil, err
	}
	known, err := f.prune()
	if err != nil {
		return nil, err
	}
	for i := range s.Packs {
		if err := f.get(ctx, &s.Packs[i], known, objects); err != nil {
			return nil, err
		}
	}
	var all []cli.Name
	number := 0
	place := func(args []argument) (paths []string, err error) {
		for i := range args {
			number++
			path, err := f.place(&args[i], filepath.Join(at.path, fmt.Sprintf("%04d", number)))
			if err != nil {
				return nil, err
			}
			paths = append(paths, path)
		}
		all = append(all, names(args, paths)...)
		return paths, nil
	}
	var labels, test, testLabels []string
	if at.in.models, err = place(s.Models); err == nil {
		if at.in.data, err = place(s.Data); err == nil {
			labels, err = place(s.Labels)
		}
	}
	if err == nil && s.Trials != nil {
		if test, err = place(s.Trials.Test); err == nil {
			testLabels, err = place(s.Trials.TestLabels)
		}
	}
	if err != nil {
		return nil, errors.Join(err, at.remove())
	}
	at.in.labels, at.in.test, at.in.testLabels = strings.Join(labels, ""), strings.Join(test, ""), strings.Join(testLabels, "")
	at.in.names = cli.NewNames(all...)
	return at, nil
}

// validSum is what a SHA-256 looks like.
var validSum = regexp.MustCompile(`^[0-9a-f]{64}$`)

func blobPath(sum string) string { return filepath.Join(blobsFolder, sum) }

// get gets the blobs of a pack that are not known.
func (f *Folder) get(ctx context.Context, p *pack, known map[string]int64, objects getter) error {
	missing := false
	total := int64(0)
	for _, b := range p.Blobs {
		if !validSum.MatchString(b.SHA256) || b.Size < 0 || b.Size > p.Size-total {
			return errors.New("the list of the files of the job is damaged")
		}
		total += b.Size
		size, ok := known[b.SHA256]
		missing = missing || !ok || size != b.Size
	}
	if total != p.Size || !validSum.MatchString(p.SHA256) {
		return errors.New("the list of the files of the job is damaged")
	}
	if !missing {
		return nil
	}
	err := objects.Get(ctx, p.SHA256, p.Size, func(r io.Reader) error {
		for _, b := range p.Blobs {
			if err := f.store(&b, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot get the files of the job: %w", err)
	}
	for _, b := range p.Blobs {
		known[b.SHA256] = b.Size
	}
	return nil
}

// store stores the blob that comes next from r.
func (f *Folder) store(b *blob, r io.Reader) (err error) {
	part := filepath.Join(blobsFolder, "part")
	out, err := f.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.CopyN(io.MultiWriter(out, h), r, b.Size)
	if err = errors.Join(err, out.Close()); err == nil && hex.EncodeToString(h.Sum(nil)) != b.SHA256 {
		err = errors.New("the contents of a file do not match their SHA-256")
	}
	if err != nil {
		return errors.Join(err, f.root.Remove(part))
	}
	return f.root.Rename(part, blobPath(b.SHA256))
}

// place makes the files of an argument visible below a folder and returns its path.
func (f *Folder) place(a *argument, below string) (string, error) {
	path := filepath.FromSlash(string(a.Path))
	if a.Shared {
		if !filepath.IsAbs(path) {
			return "", fmt.Errorf("%q is not an absolute path on this machine: client and workers must see the files under the same path", path)
		}
		return path + string(a.Member), nil
	}
	inside, err := local(a.Path)
	if err != nil {
		return "", err
	}
	at := filepath.Join(below, inside)
	if err := f.root.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return "", err
	}
	for _, file := range a.Files {
		inside, err := local(file.Path)
		if err != nil {
			return "", err
		}
		if err := f.link(&file, filepath.Join(below, inside)); err != nil {
			return "", err
		}
	}
	abs, err := filepath.Abs(f.root.Name())
	return filepath.Join(abs, at) + string(a.Member), err
}

// local returns an absolute path as one below a folder.
func local(path []byte) (string, error) {
	text := strings.ReplaceAll(string(path), ":", "") // of a volume on Windows
	p := filepath.FromSlash(strings.Trim(text, "/"))
	if !filepath.IsLocal(p) || strings.Contains(p, "\x00") {
		return "", fmt.Errorf("%q is not the path of a file on this machine", path)
	}
	return p, nil
}

// link makes a blob visible under a path.
func (f *Folder) link(file *file, path string) error {
	if err := f.root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if file.Broken {
		return f.root.Symlink("missing", path)
	}
	if !validSum.MatchString(file.Blob) {
		return errors.New("the list of the files of the job is damaged")
	}
	if err := f.root.Link(blobPath(file.Blob), path); err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return f.copy(blobPath(file.Blob), path) // no file system has to have links
}

func (f *Folder) copy(from, to string) (err error) {
	in, err := f.root.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := f.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// prune removes the oldest files if there are too many bytes. It returns the sizes of those that remain.
func (f *Folder) prune() (map[string]int64, error) {
	type entry struct {
		name string
		size int64
		used time.Time
	}
	var entries []entry
	total := int64(0)
	list, err := fs.ReadDir(f.root.FS(), blobsFolder)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		info, err := e.Info()
		if err != nil || !validSum.MatchString(e.Name()) {
			continue // an incomplete file
		}
		entries = append(entries, entry{e.Name(), info.Size(), info.ModTime()})
		total += info.Size()
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.name, b.name)) })
	known := map[string]int64{}
	for _, e := range entries {
		if total > f.limit {
			total -= e.size
			if err := f.root.Remove(blobPath(e.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			continue
		}
		known[e.name] = e.size
	}
	return known, nil
}
