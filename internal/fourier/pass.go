package fourier

// pass is one pass of Stockham's algorithm. With m = n/(radix*stride), butterfly number
// p*stride + q transforms the radix numbers at q + stride*(p + m*j), multiplies number c of
// the result by the unit of angle p*stride*c, and stores it at q + stride*(radix*p + c).
type pass struct {
	p              *Plan
	radix, stride  int
	xr, xi, yr, yi []float64
}

// run computes the butterflies lo to hi-1.
func (q *pass) run(lo, hi int) {
	for lo < hi {
		p, first := lo/q.stride, lo%q.stride
		count := min(q.stride-first, hi-lo)
		from, to := first+q.stride*p, first+q.stride*q.radix*p
		switch q.radix {
		case 2:
			q.radix2(p, from, to, count)
		case 4:
			q.radix4(p, from, to, count)
		default:
			q.radixN(p, from, to, count)
		}
		lo += count
	}
}

// twiddle returns the unit by which result c of the butterflies of p is multiplied.
func (q *pass) twiddle(p, c int) (re, im float64) {
	k := p * q.stride * c
	return q.p.c[k], -q.p.s[k]
}

func (q *pass) radix2(p, from, to, count int) {
	step := q.p.n / 2
	ar, ai := q.xr[from:][:count], q.xi[from:][:count]
	br, bi := q.xr[from+step:][:count], q.xi[from+step:][:count]
	y0r, y0i := q.yr[to:][:count], q.yi[to:][:count]
	y1r, y1i := q.yr[to+q.stride:][:count], q.yi[to+q.stride:][:count]
	wr, wi := q.twiddle(p, 1)
	for i := range ar {
		y0r[i], y0i[i] = ar[i]+br[i], ai[i]+bi[i]
		y1r[i], y1i[i] = times(ar[i]-br[i], ai[i]-bi[i], wr, wi)
	}
}

func (q *pass) radix4(p, from, to, count int) {
	step, s := q.p.n/4, q.stride
	ar, ai := q.xr[from:][:count], q.xi[from:][:count]
	br, bi := q.xr[from+step:][:count], q.xi[from+step:][:count]
	cr, ci := q.xr[from+2*step:][:count], q.xi[from+2*step:][:count]
	dr, di := q.xr[from+3*step:][:count], q.xi[from+3*step:][:count]
	y0r, y0i := q.yr[to:][:count], q.yi[to:][:count]
	y1r, y1i := q.yr[to+s:][:count], q.yi[to+s:][:count]
	y2r, y2i := q.yr[to+2*s:][:count], q.yi[to+2*s:][:count]
	y3r, y3i := q.yr[to+3*s:][:count], q.yi[to+3*s:][:count]
	w1r, w1i := q.twiddle(p, 1)
	w2r, w2i := q.twiddle(p, 2)
	w3r, w3i := q.twiddle(p, 3)
	for i := range ar {
		sr, si := ar[i]+cr[i], ai[i]+ci[i]
		tr, ti := ar[i]-cr[i], ai[i]-ci[i]
		ur, ui := br[i]+dr[i], bi[i]+di[i]
		vr, vi := br[i]-dr[i], bi[i]-di[i]
		y0r[i], y0i[i] = sr+ur, si+ui
		y1r[i], y1i[i] = times(tr+vi, ti-vr, w1r, w1i)
		y2r[i], y2i[i] = times(sr-ur, si-ui, w2r, w2i)
		y3r[i], y3i[i] = times(tr-vi, ti+vr, w3r, w3i)
	}
}

// radixN computes butterflies of an odd radix. The numbers j and radix-j are taken together,
// as the units by which they are multiplied are conjugate.
func (q *pass) radixN(p, from, to, count int) {
	n, r := q.p.n, q.radix
	step := n / r
	var sumR, sumI, difR, difI [largestFactor/2 + 1]float64
	for i := range count {
		x0r, x0i := q.xr[from+i], q.xi[from+i]
		totalR, totalI := x0r, x0i
		for j := 1; j <= r/2; j++ {
			a, b := from+i+j*step, from+i+(r-j)*step
			sumR[j], sumI[j] = q.xr[a]+q.xr[b], q.xi[a]+q.xi[b]
			difR[j], difI[j] = q.xr[a]-q.xr[b], q.xi[a]-q.xi[b]
			totalR += sumR[j]
			totalI += sumI[j]
		}
		q.yr[to+i], q.yi[to+i] = totalR, totalI
		for c := 1; c <= r/2; c++ {
			evenR, evenI, oddR, oddI := x0r, x0i, 0.0, 0.0
			for j := 1; j <= r/2; j++ {
				k := j * c % r * step
				evenR += float64(q.p.c[k] * sumR[j])
				evenI += float64(q.p.c[k] * sumI[j])
				oddR += float64(q.p.s[k] * difI[j])
				oddI += float64(q.p.s[k] * difR[j])
			}
			wr, wi := q.twiddle(p, c)
			a := to + i + c*q.stride
			q.yr[a], q.yi[a] = times(evenR+oddR, evenI-oddI, wr, wi)
			wr, wi = q.twiddle(p, r-c)
			a = to + i + (r-c)*q.stride
			q.yr[a], q.yi[a] = times(evenR-oddR, evenI+oddI, wr, wi)
		}
	}
}
