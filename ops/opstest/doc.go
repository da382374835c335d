// Package opstest is a test harness for operators. [Run] and [Gradient] check the
// results of an operator. They always also check that the operator keeps the contract of
// ops.Op or ops.Differentiable, such as results that do not depend on the number of
// goroutines. [Infer] checks the inference of types:
//
//	func TestSquare(t *testing.T) {
//		opstest.Run(t, square, []opstest.Case{{
//			Name:    "numbers",
//			Inputs:  []*ops.Tensor{opstest.F32([]int{3}, 1, 2, 3)},
//			Outputs: []*ops.Tensor{opstest.F32([]int{3}, 1, 4, 9)},
//		}, {
//			Name:    "bool",
//			Inputs:  []*ops.Tensor{opstest.Tensor(nil, true)},
//			WantErr: "unsupported element type",
//		}})
//	}
package opstest
