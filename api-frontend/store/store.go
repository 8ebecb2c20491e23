package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	bolt "go.etcd.io/bbolt"

	"github.com/arca-engine/arca/internal/failpoint"
)

// Store is an open database.
type Store struct{ db *bolt.DB }

// Tx is a transaction: a view of the whole database at one moment, or one atomic change of it.
type Tx struct{ tx *bolt.Tx }

// Open opens or makes the database at path. A second process that holds it is an error after two seconds.
func Open(path string) (*Store, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: 2 * time.Second, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return &Store{db: db}, nil
}

// Close waits for open transactions and closes the database.
func (s *Store) Close() error { return s.db.Close() }

// View runs f over a consistent snapshot.
func (s *Store) View(f func(*Tx) error) error {
	return s.db.View(func(tx *bolt.Tx) error { return f(&Tx{tx}) })
}

// Update runs f in a transaction that is committed, and on disk, when Update returns nil.
func (s *Store) Update(f func(*Tx) error) error {
	err := s.db.Update(func(tx *bolt.Tx) error {
		if err := f(&Tx{tx}); err != nil {
			return err
		}
		return failpoint.Hit("store/commit")
	})
	if err != nil {
		return err
	}
	_ = failpoint.Hit("store/committed") // It is durable: only a process that stops here can lose what follows.
	return nil
}

// OnCommit runs f once the transaction is durable. Events are published from here.
func (t *Tx) OnCommit(f func()) { t.tx.OnCommit(f) }

// Bucket is a named collection of JSON values of one type.
type Bucket[T any] struct{ Name string }

// Get returns the value of key; errdefs.ErrNotFound when there is none.
func (b Bucket[T]) Get(tx *Tx, key string) (T, error) {
	var v T
	bk := tx.tx.Bucket([]byte(b.Name))
	if bk == nil {
		return v, fmt.Errorf("%s %q: %w", b.Name, key, errdefs.ErrNotFound)
	}
	raw := bk.Get([]byte(key))
	if raw == nil {
		return v, fmt.Errorf("%s %q: %w", b.Name, key, errdefs.ErrNotFound)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, fmt.Errorf("decode %s %q: %w", b.Name, key, err)
	}
	return v, nil
}

// Put sets the value of key.
func (b Bucket[T]) Put(tx *Tx, key string, v T) error {
	bk, err := tx.tx.CreateBucketIfNotExists([]byte(b.Name))
	if err != nil {
		return fmt.Errorf("make bucket %s: %w", b.Name, err)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s %q: %w", b.Name, key, err)
	}
	return bk.Put([]byte(key), raw)
}

// Delete removes key; an absent key is no error.
func (b Bucket[T]) Delete(tx *Tx, key string) error {
	bk := tx.tx.Bucket([]byte(b.Name))
	if bk == nil {
		return nil
	}
	return bk.Delete([]byte(key))
}

// Each calls f for every value, in the order of keys. f must not change the bucket.
func (b Bucket[T]) Each(tx *Tx, f func(key string, v T) error) error {
	bk := tx.tx.Bucket([]byte(b.Name))
	if bk == nil {
		return nil
	}
	return bk.ForEach(func(k, raw []byte) error {
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("decode %s %q: %w", b.Name, k, err)
		}
		return f(string(k), v)
	})
}
