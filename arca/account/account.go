package account

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strconv"

	"github.com/arca-engine/arca/arca/instance"
)

// Names of the accounts.
const (
	APIGroup      = "arca"
	FrontendUser  = "arca"
	FrontendGroup = "arca-frontend"
	WorkerUser    = "arca-vmhelper"
)

// Maker makes a missing group or user. It says what it does.
type Maker interface {
	Group(ctx context.Context, name string) error
	User(ctx context.Context, name, group string, groups []string) error
}

// Frontend finds the frontend's account, with m making what is missing.
func Frontend(ctx context.Context, m Maker) (instance.Identity, error) {
	for _, g := range []string{APIGroup, FrontendGroup} {
		if err := ensureGroup(ctx, m, g); err != nil {
			return instance.Identity{}, err
		}
	}
	return ensureUser(ctx, m, FrontendUser, FrontendGroup, []string{APIGroup})
}

// Worker finds the account of vmhelper's worker, with m making what is missing.
func Worker(ctx context.Context, m Maker) (instance.Identity, error) {
	if err := ensureGroup(ctx, m, WorkerUser); err != nil {
		return instance.Identity{}, err
	}
	return ensureUser(ctx, m, WorkerUser, WorkerUser, nil)
}

func ensureGroup(ctx context.Context, m Maker, name string) error {
	_, err := user.LookupGroup(name)
	var unknown user.UnknownGroupError
	if !errors.As(err, &unknown) {
		return err
	}
	if err := m.Group(ctx, name); err != nil {
		if _, again := user.LookupGroup(name); again != nil { // else another instance made it meanwhile
			return err
		}
	}
	return nil
}

func ensureUser(ctx context.Context, m Maker, name, group string, groups []string) (instance.Identity, error) {
	_, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		if err := m.User(ctx, name, group, groups); err != nil {
			if id, again := Lookup(name); again == nil { // another instance made it meanwhile
				return id, nil
			}
			return instance.Identity{}, err
		}
	} else if err != nil {
		return instance.Identity{}, err
	}
	return Lookup(name)
}

// Lookup tells the uid and groups of a user by name.
func Lookup(name string) (instance.Identity, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return instance.Identity{}, fmt.Errorf("user %s: %w", name, err)
	}
	return identity(u)
}

// Self tells the uid and groups of the calling user.
func Self() (instance.Identity, error) {
	u, err := user.Current()
	if err != nil {
		return instance.Identity{}, fmt.Errorf("the calling user: %w", err)
	}
	return identity(u)
}

func identity(u *user.User) (instance.Identity, error) {
	id := instance.Identity{Name: u.Username}
	var err error
	if id.UID, err = strconv.Atoi(u.Uid); err != nil {
		return id, fmt.Errorf("user %s: uid %q: %w", u.Username, u.Uid, err)
	}
	if id.GID, err = strconv.Atoi(u.Gid); err != nil {
		return id, fmt.Errorf("user %s: gid %q: %w", u.Username, u.Gid, err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		return id, fmt.Errorf("user %s: groups: %w", u.Username, err)
	}
	for _, g := range groups {
		n, err := strconv.Atoi(g)
		if err != nil {
			return id, fmt.Errorf("user %s: group %q: %w", u.Username, g, err)
		}
		id.Groups = append(id.Groups, n)
	}
	return id, nil
}
