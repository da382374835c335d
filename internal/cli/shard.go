package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// Shard is a part of a job that is divided over several machines: part Index, from 1, of Count.
// The zero value is the whole job.
type Shard struct{ Index, Count int }

// MaxShards bounds the number of parts of a job.
const MaxShards = 10000

// ParseShard parses a shard in the form i/n, such as 2/4.
func ParseShard(text string) (Shard, error) {
	index, count, _ := strings.Cut(text, "/")
	i, err1 := strconv.Atoi(index)
	n, err2 := strconv.Atoi(count)
	switch {
	case err1 != nil || err2 != nil:
		return Shard{}, errors.New("want i/n, part i of n parts, such as 2/4")
	case n < 1 || n > MaxShards:
		return Shard{}, fmt.Errorf("want 1 to %d parts", MaxShards)
	case i < 1 || i > n:
		return Shard{}, fmt.Errorf("the parts of %d are 1/%d to %d/%d", n, n, n, n)
	}
	return Shard{i, n}, nil
}

// String returns the shard in the form that ParseShard reads, or "" for the whole job.
func (s Shard) String() string {
	if s.Count == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Count)
}

// ShardVar defines the flag --shard.
func ShardVar(flags *pflag.FlagSet, s *Shard, usage string) {
	flags.Var((*shardValue)(s), "shard", usage)
}

type shardValue Shard

// Set implements pflag.Value.
func (v *shardValue) Set(text string) error {
	s, err := ParseShard(text)
	*v = shardValue(s)
	return err
}

// String implements pflag.Value.
func (v *shardValue) String() string {
	if v == nil {
		return ""
	}
	return Shard(*v).String()
}

// Type implements pflag.Value.
func (*shardValue) Type() string { return "i/n" }
