package atomicfile

import (
	"os"
	"time"
)

// Rename renames a file, as os.Rename does. Windows does not replace or move a file that another
// process has open, for example a virus scanner or a viewer: there, Rename tries again for a second.
func Rename(from, to string) error {
	return retry(func() error { return os.Rename(from, to) }, isInUse, time.Sleep)
}

// patience bounds the pauses between two attempts, which double. Their sum is below twice that time.
const patience = 512 * time.Millisecond

// retry calls try until it succeeds, fails for another reason than that a file is in use, or has failed
// for about a second.
func retry(try func() error, isInUse func(error) bool, sleep func(time.Duration)) error {
	for pause := time.Millisecond; ; pause *= 2 {
		err := try()
		if err == nil || pause > patience || !isInUse(err) {
			return err
		}
		sleep(pause)
	}
}
