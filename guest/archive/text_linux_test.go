package archive

import "testing"

func TestText(t *testing.T) {
	for in, want := range map[string]string{"plain": "plain", "ü": "ü", "a\xff\xfeb": "a\ufffd\ufffdb", "": ""} {
		if got := Text(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
