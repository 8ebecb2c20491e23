package supervisor

import (
	"math"
	"os"
	"time"
)

// Job is a daemon to keep running.
type Job struct {
	Name string
	// Binary is opened by the supervisor, so the daemon's own uid need not be able to reach the path.
	Binary string
	Args   []string
	Env    []string
	// Run as another user when RunAs is not nil; the supervisor must be root then.
	RunAs *Credential
	// Grace tells, when it is asked to end, how long the daemon may take after SIGTERM before it is killed; Forever is allowed.
	Grace func() time.Duration
	Log   *Log
	// OnChange is told each change of state; nil is allowed.
	OnChange func(State)
	Backoff  Backoff
}

// Forever is a grace without an end.
const Forever = time.Duration(math.MaxInt64)

// outputDelay is how long the output of an ended daemon's descendants is still read.
const outputDelay = 200 * time.Millisecond

// Credential is whom a daemon runs as.
type Credential struct {
	UID, GID uint32
	Groups   []uint32
}

// Backoff is how long to wait before the n-th restart in a row.
type Backoff struct {
	First, Most time.Duration
	// Settled is how long a daemon must have run for its next restart to be immediate again.
	Settled time.Duration
}

// DefaultBackoff restarts at once, then after 50 ms, doubling to 5 s.
var DefaultBackoff = Backoff{First: 50 * time.Millisecond, Most: 5 * time.Second, Settled: 5 * time.Second}

// Delay tells how long to wait before the restart number n in a row, from 1.
func (b Backoff) Delay(n int) time.Duration {
	if n <= 1 {
		return 0
	}
	d := b.First
	for i := 2; i < n && d < b.Most; i++ {
		d *= 2
	}
	return min(d, b.Most)
}

// Environment keeps of the caller's environment what daemons may see: no more, so that an instance does not depend
// on the shell that started it.
func Environment(home string, extra ...string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + home}
	for _, key := range []string{
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "TZ", "LANG", "GOTRACEBACK", "GODEBUG", "ARCA_FAILPOINTS",
	} {
		if v, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+v)
		}
	}
	return append(env, extra...)
}
