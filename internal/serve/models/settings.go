package models

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spike-by-spike/sbs/internal/cli"
	"github.com/spike-by-spike/sbs/internal/serve/inference"
	"github.com/spike-by-spike/sbs/ops/sbs"
	"github.com/spike-by-spike/sbs/runtime"
)

// The parameters of a request.
const (
	paramSpikes   = "spikes"
	paramSampler  = "sampler"
	paramSchedule = "epsilon_schedule"
	paramSeed     = "seed"
	paramTop      = "top"
)

// foreignParams are parameters that clients of other servers send without being asked. They do not
// change what this server computes.
var foreignParams = []string{
	"binary_data_output", "content_type", "headers", "priority", "sequence_end", "sequence_id", "sequence_start", "timeout",
	"triton_enable_empty_final_response",
}

// settings are the parameters of a request.
type settings struct {
	lane    string // names options; "" for none
	options []runtime.RunOption
	seed    *uint64 // nil if the request has none
	top     int     // 0 if the request has none
}

// newSettings reads the parameters of a request.
func newSettings(p inference.Parameters, maxSpikes int) (settings, error) {
	var s settings
	for name := range p {
		if !slices.Contains([]string{paramSpikes, paramSampler, paramSchedule, paramSeed, paramTop}, name) && !slices.Contains(foreignParams, name) {
			return s, inference.Errorf(inference.Invalid, "parameter %q is unknown: the parameters are spikes, sampler, epsilon_schedule, seed and top", name)
		}
	}
	if v, ok := p[paramSeed]; ok {
		seed, ok := whole(v, math.MaxUint64)
		if !ok {
			return s, invalid(paramSeed, v, "want a whole number from 0 to 18446744073709551615")
		}
		s.seed = &seed
	}
	if v, ok := p[paramTop]; ok {
		top, ok := whole(v, math.MaxInt32)
		if !ok || top < 1 {
			return s, invalid(paramTop, v, "want a number of classes of at least 1")
		}
		s.top = int(top)
	}
	return s, s.setDynamics(p, maxSpikes)
}

// setDynamics reads the parameters that change how the layers draw spikes.
func (s *settings) setDynamics(p inference.Parameters, maxSpikes int) error {
	var d sbs.Dynamics
	spikes, err := numbersOfSpikes(p, maxSpikes)
	if err != nil {
		return err
	}
	var names []string
	if v, ok := p[paramSpikes]; ok {
		names = append(names, fmt.Sprintf("%s=%v", paramSpikes, v))
	}
	if v, ok := p[paramSampler]; ok {
		text, _ := v.(string)
		if d.Sampler, err = sbs.ParseSampler(text); err != nil {
			return invalid(paramSampler, v, "want iid or low-discrepancy")
		}
		names = append(names, fmt.Sprintf("%s=%v", paramSampler, d.Sampler))
	}
	if v, ok := p[paramSchedule]; ok {
		text, _ := v.(string)
		schedule, err := cli.ParseSchedule(text)
		if err != nil {
			return invalid(paramSchedule, v, err.Error())
		}
		d.Schedule = &schedule
		names = append(names, fmt.Sprintf("%s=%s", paramSchedule, text))
	}
	s.lane = strings.Join(names, " ")
	if s.lane != "" {
		list := make([]sbs.Dynamics, max(len(spikes), 1))
		for i := range list {
			list[i] = d
			if len(spikes) > 0 {
				list[i].Spikes = spikes[i]
			}
		}
		s.options = []runtime.RunOption{runtime.AllLayers(list[0])}
		if len(list) > 1 {
			s.options = []runtime.RunOption{runtime.EachLayer(list...)}
		}
	}
	return nil
}

// numbersOfSpikes reads the parameter spikes: nil if there is none, one number for all layers, or
// one per layer.
func numbersOfSpikes(p inference.Parameters, most int) ([]int, error) {
	v, ok := p[paramSpikes]
	if !ok {
		return nil, nil
	}
	parts := []any{v}
	if text, ok := v.(string); ok {
		parts = parts[:0]
		for part := range strings.SplitSeq(text, ",") {
			parts = append(parts, strings.TrimSpace(part))
		}
	}
	list := make([]int, len(parts))
	for i, part := range parts {
		n, ok := whole(part, uint64(most))
		if !ok || n < 1 {
			return nil, invalid(paramSpikes, v, fmt.Sprintf("want whole numbers from 1 to %d (--max-spikes of the server), one for all Spike-By-Spike layers or one per layer, as in \"25,100\"", most))
		}
		list[i] = int(n)
	}
	return list, nil
}

// whole returns a parameter that is a whole number from 0 to most.
func whole(v any, most uint64) (uint64, bool) {
	var n uint64
	switch v := v.(type) {
	case uint64:
		n = v
	case int64:
		if v < 0 {
			return 0, false
		}
		n = uint64(v)
	case float64: // 3.0, as some clients write whole numbers
		if v < 0 || v > 1<<53 || v != math.Trunc(v) {
			return 0, false
		}
		n = uint64(v)
	case string: // of a query, and of clients whose parameters are strings
		var err error
		if n, err = strconv.ParseUint(v, 10, 64); err != nil {
			return 0, false
		}
	default:
		return 0, false
	}
	return n, n <= most
}

func invalid(name string, value any, want string) error {
	if text, ok := value.(string); ok {
		value = strconv.Quote(text)
	}
	return inference.Errorf(inference.Invalid, "parameter %q is %v: %s", name, value, want)
}
