package flatpkg

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1" // the checksum of the format, not a signature.
	"encoding/hex"
	"encoding/xml"
	"path"
	"time"
)

// xarMember is a file of a xar archive, in at most one directory.
type xarMember struct {
	name     string // "Distribution" or "arca.pkg/Bom".
	data     []byte
	compress bool
}

// The table of contents of a xar archive (version 1), as XML.
type (
	xarTOC struct {
		XMLName  xml.Name    `xml:"xar"`
		Created  string      `xml:"toc>creation-time"`
		Checksum xarChecksum `xml:"toc>checksum"`
		Files    []xarFile   `xml:"toc>file"`
	}
	xarChecksum struct {
		Style  string `xml:"style,attr"`
		Offset int    `xml:"offset"`
		Size   int    `xml:"size"`
	}
	xarFile struct {
		ID    int       `xml:"id,attr"`
		Data  *xarData  `xml:"data"`
		Type  string    `xml:"type"`
		Mode  string    `xml:"mode"`
		UID   int       `xml:"uid"`
		GID   int       `xml:"gid"`
		Name  string    `xml:"name"`
		Files []xarFile `xml:"file"`
	}
	xarData struct {
		Length    int      `xml:"length"`
		Offset    int      `xml:"offset"`
		Size      int      `xml:"size"`
		Encoding  xarStyle `xml:"encoding"`
		Extracted xarSum   `xml:"extracted-checksum"`
		Archived  xarSum   `xml:"archived-checksum"`
	}
	xarStyle struct {
		Style string `xml:"style,attr"`
	}
	xarSum struct {
		Style string `xml:"style,attr"`
		Sum   string `xml:",chardata"`
	}
)

func sha1Sum(data []byte) xarSum {
	sum := sha1.Sum(data)
	return xarSum{"sha1", hex.EncodeToString(sum[:])}
}

func deflate(data []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := zlib.NewWriterLevel(&b, zlib.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// store puts a member's bytes on the heap and tells of them.
func (m xarMember) store(heap *bytes.Buffer) (*xarData, error) {
	stored, style := m.data, "application/octet-stream"
	if m.compress {
		var err error
		if stored, err = deflate(m.data); err != nil {
			return nil, err
		}
		style = "application/x-gzip" // xar's name for zlib.
	}
	d := &xarData{Length: len(stored), Offset: heap.Len(), Size: len(m.data), Encoding: xarStyle{style}, Extracted: sha1Sum(m.data), Archived: sha1Sum(stored)}
	heap.Write(stored)
	return d, nil
}

// makeXar writes an archive. The heap begins with the checksum of the compressed table of contents.
func makeXar(members []xarMember, at time.Time) ([]byte, error) {
	heap := bytes.NewBuffer(make([]byte, sha1.Size))
	toc := xarTOC{Created: at.UTC().Format("2006-01-02T15:04:05"), Checksum: xarChecksum{Style: "sha1", Size: sha1.Size}}
	dirs := map[string]int{} // index in toc.Files.
	id := 0
	next := func() int { id++; return id }
	for _, m := range members {
		into := &toc.Files
		if dir := path.Dir(m.name); dir != "." {
			if _, ok := dirs[dir]; !ok {
				dirs[dir] = len(toc.Files)
				toc.Files = append(toc.Files, xarFile{ID: next(), Type: "directory", Mode: "0755", Name: dir})
			}
			into = &toc.Files[dirs[dir]].Files
		}
		data, err := m.store(heap)
		if err != nil {
			return nil, err
		}
		*into = append(*into, xarFile{ID: next(), Data: data, Type: "file", Mode: "0644", Name: path.Base(m.name)})
	}
	text, err := xml.Marshal(toc)
	if err != nil {
		return nil, err
	}
	text = append([]byte(xml.Header), text...)
	packed, err := deflate(text)
	if err != nil {
		return nil, err
	}
	sum := sha1.Sum(packed)
	copy(heap.Bytes(), sum[:])
	const headerSize, version, sha1Kind = 28, 1, 1
	return be("xar!", uint16(headerSize), uint16(version), uint64(len(packed)), uint64(len(text)), uint32(sha1Kind), packed, heap.Bytes()), nil
}
