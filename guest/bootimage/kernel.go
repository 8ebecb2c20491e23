package bootimage

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// maxKernel bounds an unpacked kernel.
const maxKernel = 256 << 20

// Kernel brings a distribution's kernel into the form that boots without a boot loader: on amd64 the ELF file within a
// bzImage, which enters by PVH; on arm64 the Image, as it is.
func Kernel(arch string, image []byte) ([]byte, error) {
	switch arch {
	case "amd64":
		return vmlinux(image)
	case "arm64":
		const magicAt, magic = 56, 0x644d5241 // "ARM\x64", Documentation/arch/arm64/booting.rst.
		if len(image) < magicAt+4 || binary.LittleEndian.Uint32(image[magicAt:]) != magic {
			return nil, errors.New("the arm64 kernel is no uncompressed Image")
		}
		return image, nil
	}
	return nil, fmt.Errorf("there is no guest for %s", arch)
}

// vmlinux unpacks the payload of a bzImage (Documentation/arch/x86/boot.rst: setup_sects, payload_offset,
// payload_length). The payload ends with its uncompressed size.
func vmlinux(image []byte) ([]byte, error) {
	const sectorsAt, magicAt, payloadAt = 0x1f1, 0x202, 0x248
	if len(image) < payloadAt+8 || string(image[magicAt:magicAt+4]) != "HdrS" {
		return nil, errors.New("the kernel is no bzImage")
	}
	sectors := int64(image[sectorsAt])
	if sectors == 0 {
		sectors = 4
	}
	offset, size := int64(binary.LittleEndian.Uint32(image[payloadAt:])), int64(binary.LittleEndian.Uint32(image[payloadAt+4:]))
	begin := (sectors+1)*512 + offset
	if size < 8 || begin+size > int64(len(image)) {
		return nil, errors.New("the kernel's payload lies outside of the bzImage")
	}
	payload := image[begin : begin+size]
	want := int64(binary.LittleEndian.Uint32(payload[size-4:]))
	out, err := unpack(payload[:size-4], want)
	if err != nil {
		return nil, fmt.Errorf("unpack the kernel: %w", err)
	}
	if !bytes.HasPrefix(out, []byte("\x7fELF")) {
		return nil, errors.New("unpack the kernel: it is no ELF file")
	}
	return out, nil
}

// unpack reads a stream in whichever of the formats that kernels and modules come in, of want bytes (0: unknown).
func unpack(data []byte, want int64) ([]byte, error) {
	var r io.Reader
	switch {
	case bytes.HasPrefix(data, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		r = d
	case bytes.HasPrefix(data, []byte("\xfd7zXZ")):
		d, err := xz.NewReader(bytes.NewReader(data), xz.DefaultDictMax)
		if err != nil {
			return nil, err
		}
		d.Multistream(false)
		r = d
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		d, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		d.Multistream(false)
		r = d
	default:
		return nil, fmt.Errorf("it is compressed in an unknown way (%x)", data[:min(4, len(data))])
	}
	out, err := io.ReadAll(io.LimitReader(r, maxKernel+1))
	if err != nil {
		return nil, err
	}
	if len(out) > maxKernel || want != 0 && int64(len(out)) != want {
		return nil, fmt.Errorf("it has %d bytes, want %d", len(out), want)
	}
	return out, nil
}
