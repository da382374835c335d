package kernel

// packing describes columns of a matrix and how vectors of them are loaded from
// memory. It is the same for all taps.
type packing struct {
	offsets []int
	along   bool // whether there are at least minAlong taps, and each follows the one before
	loads
}

// minAlong is the number of taps from which columns that are far from each other are packed along the taps.
const minAlong = 8

// follow reports whether there are at least minAlong taps, and each follows the one before.
func follow(taps []int) bool { return len(taps) >= minAlong && consecutive(taps) }

// consecutive reports whether each number is the one before plus 1.
func consecutive(v []int) bool {
	for i, n := range v {
		if n != v[0]+i {
			return false
		}
	}
	return true
}

// run describes consecutive columns of a panel whose entries of C are consecutive
// in memory, too.
type run struct{ column, place, count int }

// split appends the runs of each panel of width columns, and to starts the index of
// the first run of each panel and the number of runs.
func split(runs []run, starts []int, places []int, width int) ([]run, []int) {
	for j, place := range places {
		if j%width == 0 {
			starts = append(starts, len(runs))
		} else if last := &runs[len(runs)-1]; place == last.place+last.count {
			last.count++
			continue
		}
		runs = append(runs, run{j % width, place, 1})
	}
	return runs, append(starts, len(runs))
}
