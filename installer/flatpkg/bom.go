package flatpkg

import (
	"bytes"
	"encoding/binary"
	"path"
	"slices"
	"strings"
	"time"
)

// A Bom ("bill of materials", bom(5)) is a store of numbered blocks, some of which have names, among them a B-tree
// of the paths. All numbers are big-endian. Block 0 is empty.
const (
	bomHeader   = 512
	bomBlock    = 4096 // the block size that trees name.
	bomVBlock   = 128
	bomPerLeaf  = 256
	bomFile     = 1 // what a path is.
	bomDir      = 2
	bomLink     = 3
	bomAllArchs = 3
)

type bom struct {
	blocks [][]byte
	names  []bomName
}

type bomName struct {
	name  string
	block uint32
}

// be writes its arguments one after the other, numbers in big-endian order.
func be(values ...any) []byte {
	var b []byte
	for _, v := range values {
		switch v := v.(type) {
		case []byte:
			b = append(b, v...)
		case string:
			b = append(b, v...)
		case uint8:
			b = append(b, v)
		case uint16:
			b = binary.BigEndian.AppendUint16(b, v)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, v)
		}
	}
	return b
}

func (b *bom) add(data []byte) uint32 {
	if len(b.blocks) == 0 {
		b.blocks = append(b.blocks, nil)
	}
	b.blocks = append(b.blocks, data)
	return uint32(len(b.blocks) - 1)
}

func (b *bom) name(name string, data []byte) { b.names = append(b.names, bomName{name, b.add(data)}) }

func bomTree(child, blockSize, paths uint32) []byte {
	return be("tree", uint32(1), child, blockSize, paths, uint8(0))
}

func (b *bom) emptyTree(blockSize uint32) []byte {
	return bomTree(b.add(be(uint16(1), uint16(0), uint32(0), uint32(0))), blockSize, 0)
}

// bomNode is a path with its number and that of its directory.
type bomNode struct {
	id, parent uint32
	entry      entry
}

// bomNodes numbers the entries breadth first, so that leaves come out sorted by directory and name.
func bomNodes(all []entry) []bomNode {
	children := map[string][]entry{}
	nodes := []bomNode{{1, 0, entry{path: ".", mode: typeDir | 0o755}}}
	for _, e := range all {
		if e.path == "." {
			nodes[0].entry = e
			continue
		}
		dir, _ := path.Split(e.path)
		children[strings.TrimSuffix(dir, "/")] = append(children[strings.TrimSuffix(dir, "/")], e)
	}
	for i := 0; i < len(nodes); i++ {
		inside := children[nodes[i].entry.path]
		slices.SortFunc(inside, func(a, b entry) int { return strings.Compare(a.path, b.path) })
		for _, e := range inside {
			nodes = append(nodes, bomNode{uint32(len(nodes) + 1), nodes[i].id, e})
		}
	}
	return nodes
}

// addPath adds the blocks of one path and returns those that a leaf names.
func (b *bom) addPath(n bomNode, at time.Time) (info, key uint32) {
	kind, size, sum, target := uint8(bomFile), uint32(len(n.entry.data)), uint32(0), []byte(nil)
	switch n.entry.mode & typeMask {
	case typeDir:
		kind, size = bomDir, 0
	case typeSymlink:
		kind, target, sum = bomLink, append(slices.Clone(n.entry.data), 0), cksum(n.entry.data)
	default:
		sum = cksum(n.entry.data)
	}
	detail := b.add(be(kind, uint8(1), uint16(bomAllArchs), uint16(n.entry.mode), uint32(0), uint32(0), uint32(at.Unix()), size,
		uint8(1), sum, uint32(len(target)), target))
	info = b.add(be(n.id, detail))
	return info, b.add(be(n.parent, path.Base(n.entry.path), uint8(0)))
}

// addPaths adds the tree of paths and returns its root's child.
func (b *bom) addPaths(nodes []bomNode, at time.Time) uint32 {
	var leaves [][]byte // each the pairs of its paths.
	var last []uint32   // the key of each leaf's last path.
	for part := range slices.Chunk(nodes, bomPerLeaf) {
		var pairs []byte
		var key uint32
		for _, n := range part {
			var info uint32
			info, key = b.addPath(n, at)
			pairs = append(pairs, be(info, key)...)
		}
		leaves, last = append(leaves, pairs), append(last, key)
	}
	first := uint32(len(b.blocks))
	for i, pairs := range leaves {
		var next, previous uint32
		if i+1 < len(leaves) {
			next = first + uint32(i) + 1
		}
		if i > 0 {
			previous = first + uint32(i) - 1
		}
		b.add(be(uint16(1), uint16(len(pairs)/8), next, previous, pairs))
	}
	if len(leaves) == 1 {
		return first
	}
	branch := be(uint16(0), uint16(len(leaves)), uint32(0), uint32(0))
	for i, key := range last {
		branch = append(branch, be(first+uint32(i), key)...)
	}
	return b.add(branch)
}

// makeBom writes the Bom of a payload.
func makeBom(all []entry, at time.Time) []byte {
	b := &bom{}
	n := uint32(len(all))
	b.name("BomInfo", be(uint32(1), n+1, uint32(1), uint32(0), uint32(0), uint32(0), uint32(0)))
	b.name("Paths", bomTree(b.addPaths(bomNodes(all), at), bomBlock, n))
	b.name("HLIndex", b.emptyTree(bomBlock))
	b.name("VIndex", be(uint32(1), b.add(b.emptyTree(bomVBlock)), uint32(0), uint8(0)))
	b.name("Size64", b.emptyTree(bomBlock))
	return b.bytes()
}

// bytes lays the store out: header, blocks, names, index with an empty free list.
func (b *bom) bytes() []byte {
	var body bytes.Buffer
	index := be(uint32(len(b.blocks)))
	for _, data := range b.blocks {
		if data == nil {
			index = append(index, be(uint32(0), uint32(0))...)
			continue
		}
		index = append(index, be(uint32(bomHeader+body.Len()), uint32(len(data)))...)
		body.Write(data)
	}
	index = append(index, be(uint32(2), uint32(0), uint32(0), uint32(0), uint32(0))...)
	names := be(uint32(len(b.names)))
	for _, n := range b.names {
		names = append(names, be(n.block, uint8(len(n.name)), n.name)...)
	}
	at := uint32(bomHeader + body.Len())
	head := be("BOMStore", uint32(1), uint32(len(b.blocks)-1), at+uint32(len(names)), uint32(len(index)), at, uint32(len(names)))
	return be(head, make([]byte, bomHeader-len(head)), body.Bytes(), names, index)
}
