package relay

import (
	"math/rand/v2"
	"testing"
)

func TestSumIsThatOfRFC1071(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		b := make([]byte, r.IntN(200))
		for i := range b {
			if b[i] = byte(r.Uint32()); r.IntN(3) > 0 {
				b[i] = 0xff // Carries.
			}
		}
		if got, want := fold(sum(b, 0)), slowSum(b); got != want {
			t.Fatalf("sum of %x is %#x, want %#x", b, got, want)
		}
	}
}

func BenchmarkSum(b *testing.B) {
	p := make([]byte, 1460)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		sum(p, 0)
	}
}
