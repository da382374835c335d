package main

import (
	"fmt"
	"strconv"
	"strings"
)

// resolve returns the function that a code names, and the program with the settings in the name: a function of
// portable Go may contain several variants.
func (p *program) resolve(name string) (string, *program, error) {
	function, setting, ok := strings.Cut(name, ":")
	if !ok {
		return name, p, nil
	}
	q := *p
	q.trips, q.taken = map[string]int{}, map[string][]int{}
	for k, v := range p.trips {
		q.trips[k] = v
	}
	for k, v := range p.taken {
		q.taken[k] = v
	}
	switch setting {
	case "iid":
		q.trips["numbers#0"], q.trips["numbers#1"] = chunk/2, 0
		return function, &q, nil
	case "low-discrepancy":
		q.trips["numbers#0"], q.trips["numbers#1"] = 0, chunk
		return function, &q, nil
	}
	if strings.HasPrefix(name, "sampleHalves") {
		steps, err := strconv.Atoi(setting)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", name, err)
		}
		q.trips[place(function, 1)] = steps
		return function, &q, nil
	}
	if strings.HasPrefix(name, "sample") { // a search in registers, which may go on in memory
		inRegisters := map[string]int{"registers": 0}
		if strings.Contains(name, "AVX512") {
			inRegisters = map[string]int{"64": 0, "registers": 1}
		}
		if branch, ok := inRegisters[setting]; ok {
			q.taken[place(function, 1)] = []int{branch}
		}
		q.trips[place(function, 2)] = 0 // at most 1024 entries: nothing is halved
		return function, &q, nil
	}
	kind, number, _ := strings.Cut(setting, ":")
	var neurons int
	if _, err := fmt.Sscan(number, &neurons); err != nil {
		return "", nil, fmt.Errorf("%s: %w", name, err)
	}
	halves, blocks := 2, (neurons+15)/16
	if neurons > 96 {
		halves, blocks = 4, blocks/2
	}
	q.trips["grow#0"], q.trips["grow#1"] = halves, blocks
	if kind != "Forgetting" {
		q.taken["grow#1"] = append(q.taken["grow#1"], 0) // nothing is added to h
	}
	if neurons > 48 {
		q.taken["grow#1"] = append(q.taken["grow#1"], 1) // products are not rounded
	}
	if kind != "Fast" {
		q.taken["updatePortable#2"] = []int{0}
	}
	return function, &q, nil
}
