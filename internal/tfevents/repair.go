package tfevents

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spike-by-spike/sbs/internal/atomicfile"
)

// maxRepair limits the size of an event file that Repair reads, in bytes.
const maxRepair = 1 << 30

// Repair removes damaged records from the event files of a folder: TensorBoard does not read
// beyond them. A training that was killed leaves a file with an incomplete record at its end.
// Repair returns the names of the files that it has changed, each with what was removed.
func Repair(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var repaired []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasPrefix(e.Name(), Prefix) || !info.Mode().IsRegular() || info.Size() > maxRepair {
			continue
		}
		path := filepath.Join(folder, e.Name())
		content, err := os.ReadFile(path)
		if err != nil {
			return repaired, err
		}
		kept, damaged, rest := intact(content)
		if len(kept) == len(content) {
			continue
		}
		if err := atomicfile.Write(path, kept); err != nil {
			return repaired, err
		}
		var what []string
		switch {
		case damaged == 1:
			what = append(what, "1 damaged record")
		case damaged > 1:
			what = append(what, fmt.Sprintf("%d damaged records", damaged))
		}
		if rest > 0 {
			what = append(what, fmt.Sprintf("%d bytes at the end that are not a complete record", rest))
		}
		repaired = append(repaired, fmt.Sprintf("%s: removed %s", path, strings.Join(what, " and ")))
	}
	return repaired, nil
}

const (
	headSize = 12 // the length and its checksum
	sumSize  = 4
)

// intact returns the intact records of a file, the number of damaged records between them,
// and the number of bytes at the end in which no record can be found.
func intact(content []byte) (kept []byte, damaged, rest int) {
	for len(content) >= headSize {
		size := binary.LittleEndian.Uint64(content)
		if binary.LittleEndian.Uint32(content[8:]) != checksum(content[:8]) || size > uint64(len(content)) || int(size)+headSize+sumSize > len(content) {
			break
		}
		end := headSize + int(size)
		record := content[:end+sumSize]
		if binary.LittleEndian.Uint32(record[end:]) == checksum(record[headSize:end]) {
			kept = append(kept, record...)
		} else {
			damaged++
		}
		content = content[len(record):]
	}
	return kept, damaged, len(content)
}
