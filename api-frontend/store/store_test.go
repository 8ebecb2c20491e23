package store

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	bolt "go.etcd.io/bbolt"

	"github.com/arca-engine/arca/internal/failpoint"
)

type thing struct {
	Name string `json:"name"`
}

var things = Bucket[thing]{Name: "things"}

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(s *Store, key, name string) error {
	return s.Update(func(tx *Tx) error { return things.Put(tx, key, thing{name}) })
}

// dump lists what is stored, in order.
func dump(t *testing.T, s *Store) (all string) {
	t.Helper()
	err := s.View(func(tx *Tx) error {
		return things.Each(tx, func(key string, v thing) error {
			all += key + "=" + v.Name + " "
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestBucket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := open(t, path)
	if got := dump(t, s); got != "" {
		t.Error(got)
	}
	for _, k := range []string{"b", "a", "c"} {
		if err := put(s, k, "v"+k); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Update(func(tx *Tx) error {
		return errors.Join(things.Delete(tx, "c"), things.Delete(tx, "absent"), Bucket[thing]{Name: "none"}.Delete(tx, "x"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	if got := dump(t, s); got != "a=va b=vb " {
		t.Error(got)
	}
	for bucket, key := range map[string]string{"things": "c", "none": "a"} {
		err := s.View(func(tx *Tx) error {
			_, err := Bucket[thing]{Name: bucket}.Get(tx, key)
			return err
		})
		if !errdefs.IsNotFound(err) {
			t.Errorf("%s/%s: %v", bucket, key, err)
		}
	}
}

// A database of a newer build has fields that this one does not know.
func TestUnknownFieldsAndGarbage(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "db"))
	raw := func(value string) {
		t.Helper()
		err := s.db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("things"))
			return errors.Join(err, b.Put([]byte("k"), []byte(value)))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	raw(`{"name":"n","invented":{"later":1}}`)
	if got := dump(t, s); got != "k=n " {
		t.Error(got)
	}
	raw(`{"name":`)
	err := s.View(func(tx *Tx) error {
		_, err := things.Get(tx, "k")
		return err
	})
	if err == nil {
		t.Error("garbage was decoded")
	}
}

// Whatever goes wrong in a transaction, nothing of it is there, and the next one works.
func TestRollback(t *testing.T) {
	t.Cleanup(func() { _ = failpoint.Arm("") })
	s := open(t, filepath.Join(t.TempDir(), "db"))
	committed := false
	change := func(end func() error) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = errors.New("panic")
			}
		}()
		return s.Update(func(tx *Tx) error {
			tx.OnCommit(func() { committed = true })
			if err := things.Put(tx, "k", thing{"new"}); err != nil {
				return err
			}
			return end()
		})
	}
	fine := func() error { return nil }
	for name, f := range map[string]func() error{
		"error":           func() error { return change(func() error { return errors.New("no") }) },
		"panic":           func() error { return change(func() error { panic("no") }) },
		"failpoint error": func() error { _ = failpoint.Arm("store/commit=1*error"); return change(fine) },
		"failpoint panic": func() error { _ = failpoint.Arm("store/commit=1*panic"); return change(fine) },
		"no JSON": func() error {
			return s.Update(func(tx *Tx) error { return Bucket[any]{Name: "things"}.Put(tx, "k", func() {}) })
		},
	} {
		if f() == nil || committed || dump(t, s) != "" {
			t.Errorf("%s: committed %v, stored %q", name, committed, dump(t, s))
		}
	}
	if err := change(fine); err != nil || !committed || dump(t, s) != "k=new " {
		t.Error(err, committed, dump(t, s))
	}
}

func TestSecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	open(t, path)
	if s, err := Open(path); err == nil {
		_ = s.Close()
		t.Error("two writers have the database")
	}
}
