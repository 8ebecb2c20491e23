package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/arca-engine/arca/helpervm/supervise"
)

// Names of the daemons, as health tells them.
const (
	OVSDB      = "ovsdb-server"
	VSwitch    = "ovs-vswitchd"
	Northd     = "ovn-northd"
	Controller = "ovn-controller"
)

// Names of the databases.
const (
	VSwitchDB    = "Open_vSwitch"
	NorthboundDB = "OVN_Northbound"
	SouthboundDB = "OVN_Southbound"
)

// Bridge is OVN's integration bridge.
const Bridge = "br-int"

// Layout is where the daemons' programs and files are.
type Layout struct {
	// Run holds sockets and databases; it is made when missing, for root alone.
	Run string
	// Root stands before the paths of programs and schemas; empty in the image.
	Root string
}

// Socket is the one address of all three databases.
func (l Layout) Socket() string { return filepath.Join(l.Run, "db.sock") }

// Endpoint is Socket in OVSDB's notation.
func (l Layout) Endpoint() string { return "unix:" + l.Socket() }

type database struct {
	name, file, schema string
}

func (l Layout) databases() []database {
	return []database{
		{VSwitchDB, filepath.Join(l.Run, "conf.db"), filepath.Join(l.Root, "/usr/share/openvswitch/vswitch.ovsschema")},
		{NorthboundDB, filepath.Join(l.Run, "ovnnb.db"), filepath.Join(l.Root, "/usr/share/ovn/ovn-nb.ovsschema")},
		{SouthboundDB, filepath.Join(l.Run, "ovnsb.db"), filepath.Join(l.Root, "/usr/share/ovn/ovn-sb.ovsschema")},
	}
}

// Clean removes what an earlier process left: state is rebuilt, never taken over.
func (l Layout) Clean() error {
	if err := os.RemoveAll(l.Run); err != nil {
		return fmt.Errorf("clean the daemons' directory: %w", err)
	}
	if err := os.MkdirAll(l.Run, 0o700); err != nil {
		return fmt.Errorf("make the daemons' directory: %w", err)
	}
	return nil
}

// Children are the daemons in the order in which they are started. configured returns when OVS's database has OVN's settings:
// ovn-controller 23.03 crashes without them.
func (l Layout) Children(configured func(ctx context.Context) error) []supervise.Child {
	// One arena for all threads: they do little, and each would keep memory of its own.
	env := []string{"PATH=/usr/sbin:/usr/bin", "LANG=C", "MALLOC_ARENA_MAX=1"}
	for _, of := range []string{"OVS", "OVN"} {
		for _, dir := range []string{"RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR"} {
			env = append(env, of+"_"+dir+"="+l.Run)
		}
	}
	// Only what matters is told, and on stderr alone: it becomes a line of our log.
	quiet := []string{"-vconsole:warn", "-vsyslog:off", "-vfile:off"}
	control := func(name string) string { return "--unixctl=" + filepath.Join(l.Run, name+".ctl") }
	child := func(name, path string, args ...string) supervise.Child {
		return supervise.Child{Name: name, Path: filepath.Join(l.Root, path), Args: append(args, quiet...), Env: env}
	}

	ovsdb := child(OVSDB, "/usr/sbin/ovsdb-server", "--remote=punix:"+l.Socket(), control(OVSDB))
	for _, db := range l.databases() {
		ovsdb.Args = append(ovsdb.Args, db.file)
	}
	ovsdb.Prepare = func(context.Context) error { return l.createDatabases() }
	list := []supervise.Child{
		ovsdb,
		child(VSwitch, "/usr/lib/openvswitch-switch/ovs-vswitchd", l.Endpoint(), control(VSwitch)),
		child(Northd, "/usr/bin/ovn-northd", "--ovnnb-db="+l.Endpoint(), "--ovnsb-db="+l.Endpoint(), control(Northd)),
		// ovn-controller 23.03 knows no --unixctl.
		child(Controller, "/usr/bin/ovn-controller", l.Endpoint()),
	}
	for i := range list[1:] {
		list[i+1].Prepare = l.awaitServer
	}
	list[len(list)-1].Prepare = configured
	return list
}

// awaitServer waits, for a while, until the databases can be reached: a daemon that does not reach its own at once tries
// again only after a second, and then after two.
func (l Layout) awaitServer(ctx context.Context) error {
	const (
		limit = 3 * time.Second
		again = 5 * time.Millisecond
	)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "unix", l.Socket())
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("reach the databases: %w", err)
		case <-time.After(again): // A socket does not tell when it is listened to.
		}
	}
}
