package command

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/arca-engine/arca/arca/account"
	"github.com/arca-engine/arca/arca/instance"
	"github.com/arca-engine/arca/arca/supervisor"
	"github.com/arca-engine/arca/internal/failpoint"
)

// jobOf tells how a daemon is run: its binary, flags and uid.
func jobOf(ctx context.Context, cmd *cobra.Command, home instance.Home, name string, extra []string, o superviseOptions) (supervisor.Job, error) {
	job := supervisor.Job{Name: name, Log: supervisor.NewLog(home.Log(name)), Env: supervisor.Environment(home.String()),
		Grace: func() time.Duration { return vmhelperGrace }, Backoff: restarts()}
	if name == jobVMHelper {
		return vmhelperJob(ctx, cmd, home, job, o)
	}
	return frontendJob(ctx, home, job, extra)
}

// restarts is how a daemon that ends is started again. Where failpoints kill it on purpose nobody gains by waiting.
func restarts() supervisor.Backoff {
	b := supervisor.DefaultBackoff
	if os.Getenv(failpoint.Env) != "" {
		b.Most = 2 * b.First
	}
	return b
}

func frontendJob(ctx context.Context, home instance.Home, job supervisor.Job, extra []string) (supervisor.Job, error) {
	var err error
	if job.Binary, err = binary("arca-frontend"); err != nil {
		return job, err
	}
	job.Args = []string{"--home", home.String()}
	if os.Geteuid() == 0 {
		who, err := account.Frontend(ctx, account.Shadow{Out: job.Log})
		if err != nil {
			return job, err
		}
		job.RunAs = credential(who)
		job.Args = append(job.Args, "--group", account.APIGroup)
	}
	image, err := helperImage(home)
	if err != nil {
		return job, err
	}
	if image != "" {
		job.Args = append(job.Args, "--helper-image", image)
	}
	job.Args = append(job.Args, extra...)
	job.Grace = func() time.Duration { return frontendGrace(home, extra) }
	return job, nil
}

func vmhelperJob(ctx context.Context, cmd *cobra.Command, home instance.Home, job supervisor.Job, o superviseOptions) (supervisor.Job, error) {
	var err error
	if job.Binary, err = binary("arca-vmhelper"); err != nil {
		return job, err
	}
	owner := instance.Identity{UID: o.ownerUID, GID: o.ownerGID}
	if owner.UID < 0 {
		owner = instance.Identity{UID: os.Getuid(), GID: os.Getgid()}
	}
	frontend, worker := owner, owner
	if runtime.GOOS == "linux" {
		if os.Geteuid() != 0 {
			return job, fmt.Errorf("vmhelper must be root: it makes namespaces and mounts")
		}
		if worker, err = account.Worker(ctx, account.Shadow{Out: cmd.ErrOrStderr()}); err != nil {
			return job, err
		}
		if owner.UID == 0 {
			if frontend, err = account.Frontend(ctx, account.Shadow{Out: cmd.ErrOrStderr()}); err != nil {
				return job, err
			}
		}
	}
	job.Args = []string{"keeper", "--home", home.String(), "--owner-uid", strconv.Itoa(owner.UID),
		"--frontend-uid", strconv.Itoa(frontend.UID), "--frontend-gid", strconv.Itoa(frontend.GID),
		"--worker-uid", strconv.Itoa(worker.UID), "--worker-gid", strconv.Itoa(worker.GID)}
	if runtime.GOOS == "linux" {
		for _, p := range []struct{ flag, name string }{{"--guest", "arca-guest"}, {"--runc", "runc"}, {"--init", "arca-init"}} {
			path, err := binary(p.name)
			if err != nil {
				return job, err
			}
			job.Args = append(job.Args, p.flag, path)
		}
	}
	job.Args = append(job.Args, "--log-level", o.logLevel, "--driver", o.driver)
	return job, nil
}

func credential(who instance.Identity) *supervisor.Credential {
	c := &supervisor.Credential{UID: uint32(who.UID), GID: uint32(who.GID)}
	for _, g := range who.Groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c
}
