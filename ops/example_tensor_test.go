package ops_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/spike-by-spike/sbs/ops"
)

func ExampleNewTensor() {
	x, err := ops.NewTensor([]int{2, 3}, []int64{1, 2, 3, 4, 5, 6})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ops.TypeOf(x), x.Int64s())
	row, err := x.Take(0, 1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ops.TypeOf(row), row.Int64s())

	_, err = ops.NewTensor([]int{2, 3}, []int64{1, 2})
	fmt.Println(errors.Is(err, ops.ErrShape))
	// Output:
	// int64(2, 3) [1 2 3 4 5 6]
	// int64(3) [4 5 6]
	// true
}
