package dataset

import "slices"

// Limit returns a Source of the first n images of a source that Open returned. Of images
// in class folders, which are in the order of the classes, it takes an equal share of every
// class instead, as far as a class has that many, and reports true.
func Limit(s Source, n int) (limited Source, shared bool) {
	if n >= s.Len() {
		return s, false
	}
	chosen := make([]int, n)
	for i := range chosen {
		chosen[i] = i
	}
	all, ok := s.(*set)
	if shared = ok && all.folders; shared {
		chosen = share(all.labels, n)
	}
	return &chosenImages{s, chosen}, shared
}

// chosenImages is a part of a Source.
type chosenImages struct {
	Source

	numbers []int
}

func (c *chosenImages) Len() int          { return len(c.numbers) }
func (c *chosenImages) Name(i int) string { return c.Source.Name(c.numbers[i]) }
func (c *chosenImages) Label(i int) int   { return c.Source.Label(c.numbers[i]) }
func (c *chosenImages) At(i int) Image    { return c.Source.At(c.numbers[i]) }

// share returns the numbers of n images, the first ones of every class in turn, in
// ascending order.
func share(labels []int, n int) []int {
	count := map[int]int{} // images of the class so far
	type place struct{ turn, image int }
	places := make([]place, len(labels))
	for i, l := range labels {
		places[i] = place{count[l], i}
		count[l]++
	}
	slices.SortStableFunc(places, func(a, b place) int { return a.turn - b.turn })
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = places[i].image
	}
	slices.Sort(numbers)
	return numbers
}
