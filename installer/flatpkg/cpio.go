package flatpkg

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"time"
)

// maxCPIOSize is the largest file that the odc format can say.
const maxCPIOSize = 1<<33 - 1

// archive writes a cpio archive in the POSIX portable format (odc, IEEE Std 1003.1-1988, 10.1.3), compressed by gzip:
// the form of a Payload and of Scripts.
func archive(all []entry, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	put := func(name string, inode int, mode uint32, links int, data []byte) error {
		if len(data) > maxCPIOSize {
			return fmt.Errorf("%s is too large for a package: %d bytes", name, len(data))
		}
		_, err := fmt.Fprintf(z, "070707%06o%06o%06o%06o%06o%06o%06o%011o%06o%011o%s\x00%s",
			0, inode, mode, 0, 0, links, 0, at.Unix(), len(name)+1, len(data), name, data)
		return err
	}
	for i, e := range all {
		links := 1
		if e.isDir() {
			links = 2
		}
		if err := put(e.path, (i+1)&0o777777, e.mode, links, e.data); err != nil {
			return nil, err
		}
	}
	if err := put("TRAILER!!!", 0, 0, 1, nil); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
