package dataset

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestIntegers_AreNeverTruncated has integers that an int of 32 bits cannot hold.
func TestIntegers_AreNeverTruncated(t *testing.T) {
	array := func(dtype, elements string) pickledArray {
		return pickledArray{shape: []int{1}, dtype: dtype, elements: elements}
	}
	for _, c := range []struct {
		array pickledArray
		want  int64
	}{
		{array("i8", "\x01\x00\x00\x00\x01\x00\x00\x00"), 1<<32 + 1},
		{array("i8", "\xff\xff\xff\xff\xfe\xff\xff\xff"), -1<<32 - 1},
		{array("u8", "\x01\x00\x00\x00\x01\x00\x00\x00"), 1<<32 + 1},
		{array("i2", "\xfe\xff"), -2},
		{array("u2", "\xfe\xff"), 0xfffe},
	} {
		got, err := c.array.integers()
		if strconv.IntSize == 32 && (c.want > math.MaxInt32 || c.want < math.MinInt32) {
			require.ErrorContains(t, err, "has the element "+strconv.FormatInt(c.want, 10))
			continue
		}
		require.NoError(t, err)
		require.Equal(t, []int{int(c.want)}, got)
	}
	_, err := array("u8", "\xff\xff\xff\xff\xff\xff\xff\xff").integers()
	require.ErrorContains(t, err, "has the element 18446744073709551615, want at most")
}
