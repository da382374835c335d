package parallel

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// panicFrom returns what f panics with.
func panicFrom(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

//go:noinline
func faultyBody(value any) { panic(value) }

func TestFor_PanicsWithTheStackOfTheBody(t *testing.T) {
	for _, workers := range []int{1, 3} {
		p := poolOf(t, workers)
		r := panicFrom(func() {
			_ = p.For(t.Context(), 10, 1, func(lo, _ int) error {
				if lo == 5 {
					faultyBody("wrong index")
				}
				return nil
			})
		})
		require.IsType(t, (*Panic)(nil), r)
		got := r.(*Panic)
		require.Equal(t, "wrong index", got.Value)
		require.Contains(t, string(got.Stack), "parallel.faultyBody")
		require.Contains(t, fmt.Sprint(got), "panic in a parallel loop: wrong index\n")
		require.Contains(t, fmt.Sprint(got), "parallel.faultyBody")
		require.NoError(t, errors.Unwrap(got))
		require.NoError(t, p.For(t.Context(), 10, 1, nothing), "the pool can be used after a panic")
	}
}

// TestFor_PanicsWhenAHelperPanics keeps the caller in its first part until a
// helper has begun one, which panics.
func TestFor_PanicsWhenAHelperPanics(t *testing.T) {
	p := poolOf(t, 2)
	var both sync.WaitGroup
	both.Add(2)
	caller := make(chan struct{}) // received by the part that is to return, closed by the other
	first := make(chan struct{}, 1)
	first <- struct{}{}
	r := panicFrom(func() {
		_ = p.For(t.Context(), 2, 1, func(int, int) error {
			both.Done()
			both.Wait()
			select {
			case <-first:
				<-caller
				return nil
			default:
				defer close(caller)
				panic(io.ErrUnexpectedEOF)
			}
		})
	})
	require.IsType(t, (*Panic)(nil), r)
	require.ErrorIs(t, r.(*Panic), io.ErrUnexpectedEOF)
}

func TestFor_PassesOnThePanicOfANestedLoop(t *testing.T) {
	p := poolOf(t, 2)
	r := panicFrom(func() {
		_ = p.For(t.Context(), 2, 1, func(int, int) error {
			return p.For(t.Context(), 2, 1, func(int, int) error { panic("inner") })
		})
	})
	require.IsType(t, (*Panic)(nil), r)
	require.Equal(t, "inner", r.(*Panic).Value)
}
