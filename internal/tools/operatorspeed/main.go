// Command operatorspeed compares the speed of single operators with onnxruntime:
//
//	SBS_ONNXRUNTIME=FOLDER go run ./internal/tools/operatorspeed [-threads 1,2] [-rounds 5] [PATTERN]
//
// FOLDER is where "npm install --ignore-scripts onnxruntime-node" was run. PATTERN is a regular
// expression that selects cases by their names. The two programs run in turn, and the shortest time
// of each counts, because other load on the machine only makes a run longer. A model has several
// copies of the node, whose outputs are cut to one element, so that the time to start a run and to
// copy the output does not count much.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spike-by-spike/sbs/runtime"
)

func main() {
	threads := flag.String("threads", "1,2", "numbers of `threads`, separated by commas")
	rounds := flag.Int("rounds", 5, "number of `rounds`, in which each program runs for a moment")
	moment := flag.Duration("moment", 60*time.Millisecond, "the `time` of a program in a round")
	flag.Parse()
	if err := compare(flag.Arg(0), *threads, *rounds, *moment); err != nil {
		fmt.Fprintln(os.Stderr, "operatorspeed:", err)
		os.Exit(1)
	}
}

func compare(pattern, threads string, rounds int, moment time.Duration) error {
	selected, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	chosen := slices.DeleteFunc(cases(), func(c *benchmark) bool { return !selected.MatchString(c.name) })
	if len(chosen) == 0 {
		return fmt.Errorf("no case has a name that matches %q", pattern)
	}
	var counts []int
	for _, s := range strings.Split(threads, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fmt.Errorf("-threads %s: want numbers of threads", threads)
		}
		counts = append(counts, n)
	}
	dir, err := os.MkdirTemp("", "operatorspeed")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	other, err := startOther()
	if err != nil {
		return err
	}
	defer other.end()
	fmt.Printf("%-44s", "microseconds per node")
	for _, n := range counts {
		fmt.Printf("  %7s %7s %6s", fmt.Sprint("here/", n), "there", "ratio")
	}
	fmt.Println()
	for _, c := range chosen {
		fmt.Printf("%-44s", c.name)
		for _, n := range counts {
			here, there, err := c.measure(dir, other, n, rounds, moment)
			if errors.Is(err, errEnded) {
				fmt.Println()
				return err
			}
			if err != nil {
				fmt.Printf("  %v", err)
				break
			}
			fmt.Printf("  %7.0f %7.0f %6.2f", here*1e6, there*1e6, here/there)
		}
		fmt.Println()
	}
	return nil
}

// copies is the number of copies of a node in a model.
const copies = 4

// measure returns the shortest times of a node in seconds, in this program and in onnxruntime.
func (c *benchmark) measure(dir string, other *onnxruntime, threads, rounds int, moment time.Duration) (here, there float64, err error) {
	model, inputs, err := c.model()
	if err != nil {
		return 0, 0, err
	}
	job := job{Model: filepath.Join(dir, fmt.Sprintf("model%d.onnx", other.models)), Threads: threads, Seconds: moment.Seconds(), Inputs: map[string]input{}}
	other.models++
	if err := os.WriteFile(job.Model, model, 0o600); err != nil {
		return 0, 0, err
	}
	for name, x := range inputs {
		in := input{Type: x.DType().String(), Dims: x.Shape(), File: filepath.Join(dir, name)}
		if err := os.WriteFile(in.File, bytesOf(x), 0o600); err != nil {
			return 0, 0, err
		}
		job.Inputs[name] = in
	}
	m, err := runtime.New(model, runtime.Workers(threads))
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = m.Close() }()
	here, there = math.Inf(1), math.Inf(1)
	for range rounds {
		begin := time.Now()
		for time.Since(begin) < moment {
			start := time.Now()
			if _, err := m.Run(context.Background(), inputs); err != nil {
				return 0, 0, err
			}
			here = min(here, time.Since(start).Seconds())
		}
		time.Sleep(time.Millisecond)
		t, err := other.run(job)
		if err != nil {
			return 0, 0, err
		}
		there = min(there, t)
		time.Sleep(5 * time.Millisecond) // its threads wait for a moment before they sleep
	}
	return here / copies, there / copies, nil
}

// onnxruntime is a running docs/benchmarks/operators.js.
type onnxruntime struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	models int
}

type (
	job struct {
		Model   string           `json:"model"`
		Threads int              `json:"threads"`
		Seconds float64          `json:"seconds"`
		Inputs  map[string]input `json:"inputs"`
	}
	input struct {
		Type string `json:"type"`
		Dims []int  `json:"dims"`
		File string `json:"file"`
	}
)

func startOther() (*onnxruntime, error) {
	o := &onnxruntime{cmd: exec.Command("node", "docs/benchmarks/operators.js")}
	o.cmd.Stderr = os.Stderr
	var err error
	if o.in, err = o.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	o.out = bufio.NewScanner(out)
	return o, o.cmd.Start()
}

func (o *onnxruntime) end() {
	_ = o.in.Close()
	_ = o.cmd.Wait()
}

// errEnded is the error of a program that runs no longer, after it has printed why.
var errEnded = errors.New("docs/benchmarks/operators.js has ended")

// run returns the shortest time of a run in seconds.
func (o *onnxruntime) run(j job) (float64, error) {
	if err := json.NewEncoder(o.in).Encode(j); err != nil {
		return 0, fmt.Errorf("%w: %w", errEnded, err)
	}
	if !o.out.Scan() {
		return 0, errEnded
	}
	t, err := strconv.ParseFloat(o.out.Text(), 64)
	if err != nil {
		return 0, fmt.Errorf("onnxruntime: %s", o.out.Text())
	}
	return t, nil
}
