package ops_test

import (
	"fmt"
	"log"

	"github.com/spike-by-spike/sbs/ops"
)

// A sequence holds tensors of one type, whose shapes may differ.
func ExampleNewSequence() {
	a, err := ops.NewTensor([]int{2}, []float32{1, 2})
	if err != nil {
		log.Fatal(err)
	}
	b, err := ops.NewTensor([]int{3}, []float32{3, 4, 5})
	if err != nil {
		log.Fatal(err)
	}
	s, err := ops.NewSequence(ops.Type{DType: ops.Float32}, []*ops.Tensor{a, b})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s)
	for _, x := range s.Items() {
		fmt.Println(x, x.Float32s())
	}
	// Output:
	// sequence(float32)
	// float32(2) [1 2]
	// float32(3) [3 4 5]
}

// An optional value holds nothing or one value.
func ExampleNewOptional() {
	absent, err := ops.NewOptional(ops.Type{DType: ops.Float32}, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(absent, len(absent.Items()))
	// Output: optional(float32) 0
}

// A map has as many values as keys.
func ExampleNewMap() {
	keys, err := ops.NewTensor([]int{2}, []string{"cat", "dog"})
	if err != nil {
		log.Fatal(err)
	}
	values, err := ops.NewTensor([]int{2}, []float32{0.25, 0.75})
	if err != nil {
		log.Fatal(err)
	}
	m, err := ops.NewMap(keys, values)
	if err != nil {
		log.Fatal(err)
	}
	k, v := ops.MapOf(m)
	names, _ := ops.Data[string](k)
	fmt.Println(m, names, v.Float32s())
	// Output: map(string, float32) [cat dog] [0.25 0.75]
}
