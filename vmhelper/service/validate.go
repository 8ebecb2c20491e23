package service

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	vmhelperv1 "github.com/arca-engine/arca/proto/vmhelper/v1"
	"github.com/arca-engine/arca/vmhelper/sandbox"
)

// Bounds of requests.
const (
	maxItems  = 256
	maxLinks  = 512 // of a sandbox that is created; more can be added later.
	maxPath   = 4096
	maxBootID = 64
	maxPort   = 65535
	maxCPUs   = 1 << 16
)

func invalid(format string, a ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, a...), errdefs.ErrInvalidArgument)
}

func lacks(sentence string) error {
	return fmt.Errorf("%s with this kind of sandbox: %w", sentence, errdefs.ErrFailedPrecondition)
}

// within tells whether s has 1 to most bytes, all of them in set.
func within(s, set string, most int) bool {
	return len(s) > 0 && len(s) <= most && strings.Trim(s, set) == ""
}

const (
	hex   = "0123456789abcdef"
	lower = "abcdefghijklmnopqrstuvwxyz0123456789"
	name  = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ_.-"
)

func checkID(what, id string) error {
	if len(id) != 64 || !within(id, hex, 64) {
		return invalid("the ID of a %s must be 64 lower-case hexadecimal digits, and is %.80q", what, id)
	}
	return nil
}

func checkVolume(id string) error {
	if !within(id, name, 255) || strings.Contains("_.-", id[:1]) {
		return invalid("the ID of a volume is %.80q", id)
	}
	return nil
}

func checkPath(path string) error {
	if len(path) > maxPath || !filepath.IsAbs(path) || filepath.Clean(path) != path || strings.Contains(path, "\x00") {
		return invalid("a path of the host must be absolute and clean, and is %.200q", path)
	}
	return nil
}

// once refuses what is named a second time.
type once map[[2]string]bool

func (o once) see(kind, id string) error {
	if o[[2]string{kind, id}] {
		return invalid("%s %s is named twice", kind, id)
	}
	o[[2]string{kind, id}] = true
	return nil
}

func toThings(disks []*vmhelperv1.Disk, uppers, volumes []string, shares []*vmhelperv1.Share) (sandbox.Things, error) {
	t := sandbox.Things{Uppers: uppers, Volumes: volumes}
	for what, n := range map[string]int{"disks": len(disks), "uppers": len(uppers), "volumes": len(volumes), "shares": len(shares)} {
		if n > maxItems {
			return t, invalid("%d %s are more than %d", n, what, maxItems)
		}
	}
	seen := once{}
	for _, d := range disks {
		if err := firstOf(checkID("disk", d.GetId()), seen.see("disk", d.GetId())); err != nil {
			return t, err
		}
		t.Disks = append(t.Disks, d.GetId())
	}
	for _, id := range uppers {
		if err := firstOf(checkID("upper", id), seen.see("upper", id)); err != nil {
			return t, err
		}
	}
	for _, id := range volumes {
		if err := firstOf(checkVolume(id), seen.see("volume", id)); err != nil {
			return t, err
		}
	}
	for _, s := range shares {
		if !within(s.GetTag(), lower, 36) {
			return t, invalid("the tag of a share must be 1 to 36 of a-z and 0-9, and is %.80q", s.GetTag())
		}
		if err := firstOf(checkPath(s.GetHostPath()), seen.see("share", s.GetTag())); err != nil {
			return t, err
		}
		t.Shares = append(t.Shares, sandbox.Share{Tag: s.GetTag(), Path: s.GetHostPath(), ReadOnly: s.GetReadOnly(), Create: s.GetCreate()})
	}
	return t, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func toSpec(p *vmhelperv1.SandboxSpec, f sandbox.Features) (sandbox.Spec, error) {
	spec := sandbox.Spec{
		ID: p.GetId(), MemoryBytes: p.GetMemoryBytes(), CPUs: p.GetCpus(),
		HostNetwork: p.GetHostNetwork(), HostPID: p.GetHostPid(), HostIPC: p.GetHostIpc(), HostUTS: p.GetHostUts(), HostDevices: p.GetHostDevices(),
	}
	if err := checkID("sandbox", spec.ID); err != nil {
		return spec, err
	}
	var err error
	if spec.Things, err = toThings(p.GetDisks(), p.GetUppers(), p.GetVolumes(), p.GetShares()); err != nil {
		return spec, err
	}
	if math.IsNaN(spec.CPUs) || spec.CPUs < 0 || spec.CPUs > maxCPUs || spec.MemoryBytes > math.MaxInt64 {
		return spec, invalid("the processors or the memory of a sandbox are out of range")
	}
	if len(p.GetLinks()) > maxLinks {
		return spec, invalid("%d links are more than %d", len(p.GetLinks()), maxLinks)
	}
	seen := once{}
	for _, l := range p.GetLinks() {
		if err := firstOf(checkLink(l, f), seen.see("link", l.GetName())); err != nil {
			return spec, err
		}
		spec.Links = append(spec.Links, sandbox.LinkSpec{Name: l.GetName(), MAC: l.GetMac(), MTU: l.GetMtu()})
	}
	return spec, checkFeatures(&spec, f)
}

func checkLink(l *vmhelperv1.Link, f sandbox.Features) error {
	switch {
	case !within(l.GetName(), lower+"-", 15):
		return invalid("the name of a link must be 1 to 15 of a-z, 0-9 and -, and is %.80q", l.GetName())
	case len(l.GetMac()) != 0 && (len(l.GetMac()) != 6 || l.GetMac()[0]&1 != 0):
		return invalid("the address of link %s is not that of one interface", l.GetName())
	case l.GetMtu() != 0 && (l.GetMtu() < 68 || l.GetMtu() > f.LinkMTU):
		return invalid("the MTU of link %s must be between 68 and %d", l.GetName(), f.LinkMTU)
	}
	return nil
}

func checkFeatures(s *sandbox.Spec, f sandbox.Features) error {
	for _, c := range []struct {
		wanted, has bool
		what        string
	}{
		{s.HostNetwork, f.HostNetwork, "the host's network namespace cannot be shared"},
		{s.HostPID, f.HostPID, "the host's pid namespace cannot be shared"},
		{s.HostIPC, f.HostIPC, "the host's ipc namespace cannot be shared"},
		{s.HostUTS, f.HostUTS, "the host's uts namespace cannot be shared"},
		{s.HostDevices, f.HostDevices, "devices of the host cannot be used"},
	} {
		if c.wanted && !c.has {
			return lacks(c.what)
		}
	}
	if f.MaxDisks > 0 && len(s.Disks) > int(f.MaxDisks) {
		return lacks(fmt.Sprintf("more than %d disks cannot be used", f.MaxDisks))
	}
	if s.HostNetwork && len(s.Links) > 0 {
		return invalid("a sandbox in the host's network has no links")
	}
	return nil
}

func toAttachments(as []sandbox.Attachment) []*vmhelperv1.Attachment {
	out := make([]*vmhelperv1.Attachment, len(as))
	for i, a := range as {
		out[i] = &vmhelperv1.Attachment{Kind: vmhelperv1.Attachment_Kind(a.Kind), Id: a.ID, Ref: a.Ref, IsDir: a.IsDir}
	}
	return out
}

func toSandbox(i sandbox.Info) *vmhelperv1.Sandbox {
	return &vmhelperv1.Sandbox{Id: i.ID, BootId: i.BootID, Pid: int32(i.Pid), StartedUnixNano: uint64(i.Started.UnixNano())}
}

func features(f sandbox.Features) *vmhelperv1.Features {
	return &vmhelperv1.Features{
		HotDisk: f.HotDisk, HotShare: f.HotShare, HotLink: f.HotLink,
		HostNetwork: f.HostNetwork, HostPid: f.HostPID, HostIpc: f.HostIPC, HostUts: f.HostUTS, HostCgroup: f.HostCgroup, HostDevices: f.HostDevices,
		MemoryGrow: f.MemoryGrow, SharedVolumes: f.SharedVolumes, KernelPerContainer: f.KernelPerContainer,
		LinkTrunk: f.LinkTrunk, LinkMtu: f.LinkMTU, LinkVnetHeader: f.LinkVnetHeader, MaxDisks: f.MaxDisks,
	}
}
