package std

import "github.com/spike-by-spike/sbs/ops"

// newRNN returns RNN (opsets 7, 14): h = f(x*W' + h*R' + b), where f is Tanh by default.
// See recurrent.
func newRNN(n ops.Node) (multiOperation, error) {
	return newRecurrent(n, "RNN", 1, func(k *recurrent, s *sequence) {
		f := s.activations[0]
		s.project(s.gates, s.r, s.h, s.rb)
		for i, v := range s.gates {
			s.h[i] = f(k.bound(s.x[i] + v))
		}
	}, singleCell{addStates, rnnSingle})
}

// newGRU returns GRU (opsets 7, 14) with the gates z, r and h. See recurrent. The
// activations are f (default Sigmoid) for z and r, and g (default Tanh) for h:
//
//	z = f(x*Wz' + h*Rz' + b)
//	r = f(x*Wr' + h*Rr' + b)
//	n = g(x*Wh' + (r.h)*Rh' + b), or with linear_before_reset g(x*Wh' + r.(h*Rh' + Rbh) + Wbh)
//	h = (1-z).n + z.h
func newGRU(n ops.Node) (multiOperation, error) {
	return newRecurrent(n, "GRU", gruGates, gru, singleCell{gruProducts, gruSingle}, "linear_before_reset")
}

// gruGates is the number of gates of GRU.
const gruGates = 3

func gru(k *recurrent, s *sequence) {
	n, f, g := len(s.h), s.activations[0], s.activations[1]
	s.project(s.gates[:2*n], s.r, s.h, s.rb)
	for i := range 2 * n {
		s.gates[i] = f(k.bound(s.x[i] + s.gates[i]))
	}
	z, r, candidate := s.gates[:n], s.gates[n:2*n], s.gates[2*n:]
	copy(s.reset, s.h)
	if !k.linearBefore {
		for i := range s.reset {
			s.reset[i] *= r[i]
		}
	}
	s.project(candidate, s.r[2*n*n:], s.reset, s.rb[2*n:])
	for i, v := range candidate {
		if k.linearBefore {
			v *= r[i]
		}
		s.h[i] = float64((1-z[i])*g(k.bound(s.x[2*n+i]+v))) + float64(z[i]*s.h[i])
	}
}

// newLSTM returns LSTM (opsets 7, 14) with the gates i, o, f and c. See recurrent. The
// activations are f (default Sigmoid) for the gates, g (default Tanh) for the cell, and h
// (default Tanh) for the output:
//
//	i = f(x*Wi' + h*Ri' + Pi.c + b)
//	f = f(x*Wf' + h*Rf' + Pf.c + b), or with input_forget 1-i
//	c = f.c + i.g(x*Wc' + h*Rc' + b)
//	o = f(x*Wo' + h*Ro' + Po.c + b)
//	h = o.h(c)
func newLSTM(n ops.Node) (multiOperation, error) {
	return newRecurrent(n, "LSTM", 4, lstm, singleCell{addStates, lstmSingle}, "input_forget")
}

func lstm(k *recurrent, s *sequence) {
	n, f, g, h := len(s.h), s.activations[0], s.activations[1], s.activations[2]
	s.project(s.gates, s.r, s.h, s.rb)
	for j := range n {
		in, out, forget, cell := s.gates[j]+s.x[j], s.gates[n+j]+s.x[n+j], s.gates[2*n+j]+s.x[2*n+j], s.gates[3*n+j]+s.x[3*n+j]
		if s.p != nil {
			in += float64(s.p[j] * s.c[j])
			forget += float64(s.p[2*n+j] * s.c[j])
		}
		in = f(k.bound(in))
		forget = f(k.bound(forget))
		if k.coupled {
			forget = 1 - in
		}
		s.c[j] = float64(forget*s.c[j]) + float64(in*g(k.bound(cell)))
		if s.p != nil {
			out += float64(s.p[n+j] * s.c[j])
		}
		s.h[j] = f(k.bound(out)) * h(s.c[j])
	}
}
