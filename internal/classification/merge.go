package classification

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spike-by-spike/sbs/internal/cli"
)

// mergeWord is the first argument of the command that merges parts.
const mergeWord = "merge"

const mergeLong = `Merges the parts that sbs-run --shard has written to the output of the whole
run: the same bytes, in the same format, as without --shard. Only the time is
another one: the sum of the times of all shards.

PART is a file that one shard has written. The parts can be in any order. All
parts of the run must be there, each once, complete, and of the same run: the
same version of sbs-run, model, images and flags. Otherwise the error names the
parts, and nothing is written.

Errors of single images are in the parts. They are reported as without --shard,
and the exit code is 1.`

const mergeExample = `  sbs-run model.onnx images/ --format csv --shard 1/2 -o part1.jsonl
  sbs-run model.onnx images/ --format csv --shard 2/2 -o part2.jsonl
  sbs-run merge part1.jsonl part2.jsonl -o all.csv`

// merging holds the values of the command line of sbs-run merge.
type merging struct {
	format string
	quiet  bool
	took   time.Duration // of the run; 0 stands for the sum of the times of all shards
	output
}

// Merge prints the output of the run whose parts are in files. The run took some time.
func Merge(ctx context.Context, parts []string, took time.Duration, out, stderr io.Writer) error {
	m := merging{took: took}
	return m.merge(ctx, out, stderr, parts)
}

func newMerge() *cobra.Command {
	var m merging
	cmd := &cobra.Command{
		Use:     "sbs-run merge [flags] PART...",
		Short:   "Merges the parts of a run",
		Long:    mergeLong,
		Example: mergeExample,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("expected the parts of a run: sbs-run merge PART... (see sbs-run merge --help)")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			paths := args[1:]
			return m.output.write(cmd.OutOrStdout(), paths, func(out io.Writer) error {
				return m.merge(cmd.Context(), out, cmd.ErrOrStderr(), paths)
			})
		},
	}
	s := cmd.Flags()
	formatVar(s, &m.format)
	s.Lookup(flagFormat).Usage += " (default: that of the shards)"
	m.output.register(s)
	s.BoolVar(&m.quiet, "quiet", false, quietUsage)
	return cmd
}

// merge prints the output of the run whose parts are in the files.
func (m *merging) merge(ctx context.Context, out, stderr io.Writer, paths []string) error {
	parts, err := readParts(ctx, paths)
	if err != nil {
		return err
	}
	run := parts[0].header.Run
	how := style{cmp.Or(m.format, run.Flags[flagFormat]), run.Top, run.Quiet || m.quiet}
	classes := make([]string, len(run.Classes))
	for i, c := range run.Classes {
		classes[i] = string(c)
	}
	p := newPrinter(how, classes, paths, out, stderr, run.Images)
	p.staged = run.Stages > 0
	s := newSummary(classes, string(run.Model), run.Flags[flagNoise], run.Stages)
	for _, part := range parts {
		s.seconds += part.end.End.Seconds
	}
	if m.took > 0 {
		s.seconds = m.took.Seconds()
	}
	if err := p.printAll(results(ctx, parts), s); err != nil {
		return errors.Join(err, p.abort(s, err))
	}
	if err := p.end(s, run.Flags[flagInvert]); err != nil {
		return err
	}
	return s.failure()
}

// results returns the results of all parts.
func results(ctx context.Context, parts []*storedPart) iter.Seq2[result, error] {
	return func(yield func(result, error) bool) {
		for _, p := range parts {
			ended := false
			err := p.read(ctx, func(r result) bool {
				ended = !yield(r, nil)
				return !ended
			})
			if err != nil && !ended {
				yield(result{}, err)
			}
			if err != nil || ended {
				return
			}
		}
	}
}

// readParts reads the parts in files and checks that they are all parts of one run, each once.
// It returns them in the order of the shards.
func readParts(ctx context.Context, paths []string) ([]*storedPart, error) {
	parts := make([]*storedPart, len(paths))
	var errs []error
	for i, path := range paths {
		p, err := openPart(ctx, path)
		if ctx.Err() != nil {
			return nil, cli.ErrInterrupted
		}
		const most = 10 // errors
		if err != nil {
			errs = append(errs, err)
		}
		if len(errs) == most {
			break
		}
		parts[i] = p
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	first := parts[0]
	for _, p := range parts[1:] {
		if p.header.Shards != first.header.Shards {
			return nil, fmt.Errorf("%s is shard %v, but %s is shard %v: the parts must be of one run with one number of shards",
				p.path, p.header.shard(), first.path, first.header.shard())
		}
		if d := difference(first.header.Run, p.header.Run); d != "" {
			return nil, fmt.Errorf("%s and %s are parts of different runs: %s", first.path, p.path, d)
		}
	}
	slices.SortStableFunc(parts, func(a, b *storedPart) int { return a.header.Shard - b.header.Shard })
	return parts, complete(parts)
}

// complete returns an error if shards are missing or twice among the parts, which are in the
// order of the shards, or if their images are not those of the run.
func complete(parts []*storedPart) error {
	next, count := 1, parts[0].header.Shards // the next shard, and the number of shards
	var missing []string
	gap := func(to int) {
		switch {
		case to == next+1:
			missing = append(missing, fmt.Sprint(next))
		case to > next:
			missing = append(missing, fmt.Sprintf("%d to %d", next, to-1))
		}
	}
	for i, p := range parts {
		n := p.header.Shard
		if i > 0 && n == parts[i-1].header.Shard {
			return fmt.Errorf("%s and %s are both shard %v: give every part once", parts[i-1].path, p.path, p.header.shard())
		}
		gap(n)
		next = n + 1
	}
	gap(count + 1)
	if len(missing) > 0 {
		return fmt.Errorf("the parts of these shards of %d are missing: %s (run them with --shard, such as --shard %s/%d)",
			count, strings.Join(missing, ", "), strings.Fields(missing[0])[0], count)
	}
	images := 0
	for _, p := range parts {
		if p.header.First != images {
			return fmt.Errorf("%s begins with image %d, want image %d: the file is damaged, run shard %v again", p.path, p.header.First, images, p.header.shard())
		}
		images += p.end.End.Images
	}
	if last := parts[len(parts)-1]; images != last.header.Run.Images {
		return fmt.Errorf("%s ends with image %d of %d: the file is damaged, run shard %v again", last.path, images, last.header.Run.Images, last.header.shard())
	}
	return nil
}
