package daemon

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the format of ovsdb's files asks for it; nothing depends on its strength.
	"fmt"
	"os"

	"github.com/arca-engine/arca/internal/atomicfile"
)

// createDatabases makes the files of databases that are missing. Those that exist are kept: a server that was killed
// goes on with all that it had committed.
func (l Layout) createDatabases() error {
	for _, db := range l.databases() {
		if _, err := os.Stat(db.file); err == nil {
			continue
		}
		schema, err := os.ReadFile(db.schema)
		if err != nil {
			return fmt.Errorf("create database %s: %w", db.name, err)
		}
		if err := atomicfile.Write(db.file, newDatabase(schema), 0o600); err != nil {
			return fmt.Errorf("create database %s: %w", db.name, err)
		}
	}
	return nil
}

// newDatabase is an empty database of a schema, in the standalone format of ovsdb(5): one record, which holds the schema.
func newDatabase(schema []byte) []byte {
	record := append(bytes.TrimSpace(schema), '\n')
	return fmt.Appendf(nil, "OVSDB JSON %d %x\n%s", len(record), sha1.Sum(record), record)
}
