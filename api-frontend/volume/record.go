package volume

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"time"

	"github.com/moby/moby/api/types/volume"

	"github.com/arca-engine/arca/api-frontend/store"
)

// Driver is the name of the only driver.
const Driver = "local"

// AnonymousLabel marks volumes that were made without a name.
const AnonymousLabel = "com.docker.volume.anonymous"

// Record is the durable state of a volume. Labels and Options keep the difference between absent and empty.
type Record struct {
	Name      string            `json:"name"`
	ID        string            `json:"id"` // names its store at vmhelper.
	CreatedAt time.Time         `json:"createdAt"`
	Labels    map[string]string `json:"labels"`
	Options   map[string]string `json:"options"`
	Users     []string          `json:"users,omitempty"` // IDs of containers, sorted.
}

// records holds volumes by name; removing holds those whose store is being removed, by ID; foreign holds the IDs of
// stores that are not ours to remove.
var (
	records  = store.Bucket[Record]{Name: "volumes"}
	removing = store.Bucket[Record]{Name: "volumes-removing"}
	foreign  = store.Bucket[struct{}]{Name: "volumes-foreign"}
	settled  = store.Bucket[bool]{Name: "volumes-settled"}
)

// Anonymous tells whether the volume was made without a name.
func (r *Record) Anonymous() bool {
	_, ok := r.Labels[AnonymousLabel]
	return ok
}

// addUser notes a user; false when it was one already.
func (r *Record) addUser(containerID string) bool {
	i, found := slices.BinarySearch(r.Users, containerID)
	if !found {
		r.Users = slices.Insert(r.Users, i, containerID)
	}
	return !found
}

// dropUser forgets a user; false when it was none.
func (r *Record) dropUser(containerID string) bool {
	i, found := slices.BinarySearch(r.Users, containerID)
	if found {
		r.Users = slices.Delete(r.Users, i, i+1)
	}
	return found
}

// api is the volume as clients see it.
func (s *Service) api(r Record) volume.Volume {
	return volume.Volume{
		Name:       r.Name,
		Driver:     Driver,
		CreatedAt:  r.CreatedAt.Format(time.RFC3339),
		Labels:     r.Labels,
		Options:    r.Options,
		Scope:      "local",
		Mountpoint: s.Mountpoint(r),
	}
}

// NewID returns 64 random hex digits: the ID of a store, or the name of an anonymous volume.
func NewID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // Never fails: crypto/rand.Read ends the program instead.
	return hex.EncodeToString(b[:])
}
