package container

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"

	"github.com/arca-engine/arca/api-frontend/container/oci"
	"github.com/arca-engine/arca/api-frontend/container/record"
)

// link is one of the default network's: the container calls another one by a name of its own. The record has it as
// "ID:alias".
type link struct {
	child *record.Container
	alias string
}

// registerLinks puts full IDs in the place of names.
func (e *Engine) registerLinks(rec *record.Container) error {
	hc := rec.HostConfig
	if !hc.NetworkMode.IsBridge() {
		return nil
	}
	all := make([]string, len(hc.Links))
	for i, l := range hc.Links {
		name, alias, has := strings.Cut(l, ":")
		if !has {
			alias = strings.TrimPrefix(name, "/")
		}
		child, err := e.Get(name)
		if err != nil {
			return fmt.Errorf("could not get container for %s: %w", name, err)
		}
		if child.Record().HostConfig.NetworkMode.IsHost() {
			return invalid("conflicting options: host type networking can't be used with links. This would result in undefined behavior")
		}
		all[i] = child.id + ":" + strings.TrimPrefix(alias, "/")
	}
	hc.Links = all
	return nil
}

// linksOf are the links of a container to those that are still there.
func (e *Engine) linksOf(rec *record.Container) (all []link) {
	if !rec.HostConfig.NetworkMode.IsBridge() {
		return nil
	}
	for _, l := range rec.HostConfig.Links {
		id, alias, _ := strings.Cut(l, ":")
		if child, err := e.Get(id); err == nil {
			all = append(all, link{child.Record(), alias})
		}
	}
	return all
}

// shownLinks are links as inspect shows them.
func (e *Engine) shownLinks(rec *record.Container) (shown []string) {
	for _, l := range e.linksOf(rec) {
		shown = append(shown, "/"+l.child.Name+":/"+rec.Name+"/"+l.alias)
	}
	return shown
}

// checkLinks refuses to start a container that is linked to one that does not run.
func (e *Engine) checkLinks(rec *record.Container) error {
	for _, l := range e.linksOf(rec) {
		if !l.child.State.IsRunning() {
			return &sentence{"Cannot link to a non running container: /" + l.child.Name + " AS /" + rec.Name + "/" + l.alias, errdefs.ErrUnknown}
		}
		if !e.bridgeAddress(l.child).IsValid() {
			return fmt.Errorf("container %s not attached to default bridge network", l.child.ID)
		}
	}
	return nil
}

// bridgeAddress is a running container's address in the default network.
func (e *Engine) bridgeAddress(rec *record.Container) netip.Addr {
	m := e.networks.Membership(rec.ID)
	if m == nil {
		return netip.Addr{}
	}
	for _, ep := range m.Endpoints {
		if n := m.Networks[ep.NetworkID]; n != nil && n.Name == network.NetworkBridge {
			return ep.IPv4.Addr()
		}
	}
	return netip.Addr{}
}

// linkLines are the lines of /etc/hosts for links.
func (e *Engine) linkLines(rec *record.Container) (lines []oci.HostLine) {
	for _, l := range e.linksOf(rec) {
		a := e.bridgeAddress(l.child)
		if !a.IsValid() {
			continue
		}
		names := []string{l.alias, l.child.Config.Hostname}
		if l.alias != l.child.Name {
			names = append(names, l.child.Name)
		}
		lines = append(lines, oci.HostLine{Address: a, Names: names})
	}
	return lines
}

// linkEnvironment are the variables that tell of links.
func (e *Engine) linkEnvironment(rec *record.Container) (env []string) {
	for _, l := range e.linksOf(rec) {
		if a := e.bridgeAddress(l.child); a.IsValid() {
			env = append(env, linkVariables(rec.Name, l, a)...)
		}
	}
	return env
}

func linkVariables(parent string, l link, a netip.Addr) (env []string) {
	alias := strings.ReplaceAll(strings.ToUpper(l.alias), "-", "_")
	var ports []network.Port
	for p := range l.child.Config.ExposedPorts {
		ports = append(ports, p)
	}
	slices.SortFunc(ports, func(a, b network.Port) int {
		if d := int(a.Num()) - int(b.Num()); d != 0 {
			return d
		}
		return strings.Compare(string(a.Proto()), string(b.Proto())) // tcp before udp.
	})
	for i, p := range ports {
		url := fmt.Sprintf("%s://%s:%d", p.Proto(), a, p.Num())
		if i == 0 {
			env = append(env, alias+"_PORT="+url)
		}
		prefix := fmt.Sprintf("%s_PORT_%d_%s", alias, p.Num(), strings.ToUpper(string(p.Proto())))
		env = append(env, prefix+"="+url, fmt.Sprintf("%s_ADDR=%s", prefix, a), fmt.Sprintf("%s_PORT=%d", prefix, p.Num()), fmt.Sprintf("%s_PROTO=%s", prefix, p.Proto()))
	}
	env = append(env, alias+"_NAME=/"+parent+"/"+l.alias)
	for _, v := range l.child.Config.Env {
		if k, value, ok := strings.Cut(v, "="); ok && k != "HOME" && k != "PATH" {
			env = append(env, alias+"_ENV_"+k+"="+value)
		}
	}
	return env
}

// tellParents gives the new address of a container to those that are linked to it.
func (e *Engine) tellParents(ctx context.Context, child *record.Container) {
	var parents []*record.Container
	e.mu.RLock()
	for _, c := range e.byID {
		rec := c.Record()
		if len(rec.HostConfig.Links) > 0 && rec.State.IsRunning() &&
			slices.ContainsFunc(rec.HostConfig.Links, func(l string) bool { return strings.HasPrefix(l, child.ID+":") }) {
			parents = append(parents, rec)
		}
	}
	e.mu.RUnlock()
	for _, rec := range parents {
		if err := e.rewrite(ctx, rec, e.membershipOf(rec)); err != nil {
			e.log.Warn("tell a linked container's new address", "container", rec.ID, "linked", child.ID, "error", err)
		}
	}
}

// unlink takes a link away: ref is "parent/alias".
func (e *Engine) unlink(ctx context.Context, ref string) error {
	parent, alias, ok := strings.Cut(strings.TrimPrefix(ref, "/"), "/")
	if !ok {
		return invalid("Conflict, cannot remove the default link name of the container")
	}
	c, err := e.Get(parent)
	if err != nil {
		return &sentence{"Cannot get parent /" + parent + " for link name /" + parent + "/" + alias, err}
	}
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	rec, err := e.change(c, func(n *record.Container) error {
		hc := *n.HostConfig
		hc.Links = slices.DeleteFunc(slices.Clone(hc.Links), func(l string) bool { return strings.HasSuffix(l, ":"+alias) })
		if len(hc.Links) == len(n.HostConfig.Links) {
			return notFound(ref)
		}
		n.HostConfig = &hc
		return nil
	})
	if err != nil || !rec.State.IsRunning() {
		return err
	}
	return e.rewrite(ctx, rec, e.membershipOf(rec))
}
