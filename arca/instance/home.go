package instance

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// maxHome keeps the longest socket path of an instance below the 104 bytes that macOS allows (108 on Linux):
// DIR/vmhelper/sandboxes/<12 hex digits>/agent.sock is dialled by descriptor, so DIR/run/vmhelper/descriptor.sock is the longest.
const maxHome = 104 - len("/run/vmhelper/descriptor.sock") - 1

// Home is the directory of an instance, absolute and clean.
type Home string

// Resolve chooses the directory: the flag, else ARCA_HOME, else the default of the calling user.
func Resolve(flag string) (Home, error) {
	dir := flag
	if dir == "" {
		dir = os.Getenv("ARCA_HOME")
	}
	if dir == "" {
		def, err := defaultHome()
		if err != nil {
			return "", err
		}
		dir = def
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("home %q: %w", dir, err)
	}
	if len(abs) > maxHome {
		return "", fmt.Errorf("home %s is %d characters long; socket paths allow at most %d: choose a shorter one with --home", abs, len(abs), maxHome)
	}
	return Home(abs), nil
}

func defaultHome() (string, error) {
	if os.Geteuid() == 0 && runtime.GOOS == "linux" {
		return "/var/lib/arca", nil
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no home directory is known: name one with --home: %w", err)
	}
	return filepath.Join(dir, ".arca"), nil
}

// IsDefault tells whether this is the home that `arca up` takes without flags.
func (h Home) IsDefault() bool {
	def, err := defaultHome()
	return err == nil && string(h) == def
}

func (h Home) String() string { return string(h) }

// Path joins names to the directory.
func (h Home) Path(names ...string) string {
	return filepath.Join(append([]string{string(h)}, names...)...)
}

// Run is the directory of sockets, locks and pid files.
func (h Home) Run() string { return h.Path("run") }

// APISocket is where the Docker Engine API is served.
func (h Home) APISocket() string { return h.Path("run", "arca.sock") }

// Endpoint is the API socket as DOCKER_HOST wants it.
func (h Home) Endpoint() string { return "unix://" + h.APISocket() }

// VMHelperSocket is where vmhelper serves the frontend.
func (h Home) VMHelperSocket() string { return h.Path("run", "vmhelper", "vmhelper.sock") }

// Helper is where the frontend tells of the networks' helper.
func (h Home) Helper() string { return h.Path("run", "helper.json") }

// HelperLog is the helper's output.
func (h Home) HelperLog() string { return h.Path("frontend", "helper.log") }

// Log is the log file of a job.
func (h Home) Log(job string) string { return h.Path("log", job+".log") }

// Config is the daemon's configuration file.
func (h Home) Config() string { return h.Path("daemon.json") }
