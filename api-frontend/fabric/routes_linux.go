package fabric

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// hostRoutes are the destinations that the host routes, without its default routes and its loopback.
func hostRoutes() ([]netip.Prefix, error) {
	four, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	six, err := os.ReadFile("/proc/net/ipv6_route")
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // A kernel without IPv6.
		return nil, fmt.Errorf("read routes: %w", err)
	}
	return append(parseRoutes4(four), parseRoutes6(six)...), nil
}

func parseRoutes4(text []byte) (all []netip.Prefix) {
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		w := strings.Fields(sc.Text())
		if len(w) < 8 {
			continue
		}
		dst, err := strconv.ParseUint(w[1], 16, 32)
		mask, err2 := strconv.ParseUint(w[7], 16, 32)
		if err != nil || err2 != nil {
			continue // The headline.
		}
		var a [4]byte
		binary.LittleEndian.PutUint32(a[:], uint32(dst))
		if p := netip.PrefixFrom(netip.AddrFrom4(a), bits.OnesCount32(uint32(mask))); keeps(p) {
			all = append(all, p)
		}
	}
	return all
}

func parseRoutes6(text []byte) (all []netip.Prefix) {
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		w := strings.Fields(sc.Text())
		if len(w) < 10 || w[9] == "lo" {
			continue
		}
		dst, err := hex.DecodeString(w[0])
		n, err2 := strconv.ParseUint(w[1], 16, 8)
		if err != nil || err2 != nil || len(dst) != 16 {
			continue
		}
		if p := netip.PrefixFrom(netip.AddrFrom16([16]byte(dst)), int(n)); p.IsValid() && keeps(p) {
			all = append(all, p)
		}
	}
	return all
}
