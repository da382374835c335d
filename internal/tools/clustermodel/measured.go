package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// row is a measurement: see csvHeader in cluster/reduce. Times are in seconds, for rounds that are not slowed down.
type row struct {
	network string
	cluster
	subBatches     int
	compute, round float64 // round is the median
	in, out, cpu   float64 // bytes of the messages to and from the server, and the seconds of its processors
}

// columns are those of the file of measurements.
var columns = []string{
	"network", "gbit_per_s", "delay_ms", "slowed", "machines", "sub_batches", "compute_ms", "round_ms_min", "round_ms_median",
	"server_in_mb", "server_out_mb", "server_cpu_ms", "rounds",
}

// read reads measurements. Of several of the same thing, it keeps the fastest, since other programs can only slow
// down.
func read(file io.Reader) ([]row, error) {
	r := csv.NewReader(file)
	r.Comment = '#'
	records, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	if len(records) < 2 || !slices.Equal(records[0], columns) {
		return nil, fmt.Errorf("want measurements with the columns %v", columns)
	}
	var rows []row
	for _, record := range records[1:] {
		v := make([]float64, len(record))
		for i, text := range record[1:] {
			if v[i+1], err = strconv.ParseFloat(text, 64); err != nil {
				return nil, fmt.Errorf("%s: %w", columns[i+1], err)
			}
		}
		m := row{
			network: record[0], subBatches: int(v[5]), compute: v[6] / 1e3, round: v[8] / 1e3, in: v[9] * 1e6, out: v[10] * 1e6, cpu: v[11] / 1e3,
			cluster: cluster{machines: int(v[4]), gbit: v[1], delay: v[2] / 1e3, slowed: v[3]},
		}
		if m.machines < 1 || m.gbit <= 0 || m.slowed < 1 || m.subBatches < 1 || m.compute <= 0 || m.round <= 0 {
			return nil, fmt.Errorf("%v is no measurement", record)
		}
		same := slices.IndexFunc(rows, func(o row) bool {
			return o.network == m.network && o.cluster == m.cluster && o.subBatches == m.subBatches
		})
		switch {
		case same < 0:
			rows = append(rows, m)
		case m.round < rows[same].round:
			rows[same] = m
		}
	}
	return rows, nil
}

// of returns the measurements of a network.
func of(rows []row, n network) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.network != n.name })
}

// messages returns the seconds per byte that the processors take for messages one after the other: what is missing in
// the model of rounds at full speed, on average.
func messages(rows []row) (float64, error) {
	sum, count := 0.0, 0.0
	for _, n := range networks {
		before := count
		for _, r := range of(rows, n) {
			if r.slowed == 1 && r.machines == r.subBatches {
				sum += (r.round - r.cluster.round(n.length, r.compute, 0, r.subBatches)) / n.length
				count++
			}
		}
		if count == before {
			return 0, fmt.Errorf("there are no measurements of %s at full speed with one sub-batch per machine", n.name)
		}
	}
	return sum / count, nil
}
