package privileged

import "github.com/hashicorp/go-hclog"

// LinkMTU is the largest payload that a link carries.
const LinkMTU = 65521

// Config is what the keeper was started with.
type Config struct {
	Home      string // of the instance.
	OwnerUID  uint32 // whose rights open bind sources.
	WorkerUID uint32 // who may dial agents, root beside it.
	WorkerGID uint32
	Guest     string // the agent's program.
	Runc      string // given to agents as tools, when not empty.
	Init      string
	Log       hclog.Logger
}
