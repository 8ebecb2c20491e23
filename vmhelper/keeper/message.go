package keeper

import "github.com/arca-engine/arca/vmhelper/keeper/wire"

// The keeper's own requests. Numbers from FirstBackendOp on are the Backend's.
const (
	OpPut          uint16 = 1 // Name, with one file.
	OpGet          uint16 = 2 // Name; the answer carries the file.
	OpDrop         uint16 = 3 // Name.
	OpNames        uint16 = 4 // Name: list what comes after it; Names is the answer.
	FirstBackendOp uint16 = 16
)

const (
	maxName  = 256
	maxNames = 256
)

// Name names a descriptor.
type Name struct{ Name string }

// Wire lists the fields.
func (m *Name) Wire(c *wire.Codec) { c.String(&m.Name, maxName) }

// Names is a part of the list of stored names, at most 256; an empty one is the end.
type Names struct{ Names []string }

// Wire lists the fields.
func (m *Names) Wire(c *wire.Codec) { c.Strings(&m.Names, maxNames, maxName) }

// Nothing is an empty message.
type Nothing struct{}

// Wire lists no fields.
func (*Nothing) Wire(*wire.Codec) {}
