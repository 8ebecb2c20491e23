package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// translate puts a registry's error into Docker's words and class.
func translate(named reference.Named, ep endpoint, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	var te *transport.Error
	if errors.As(err, &te) {
		return statusError(named, te)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		why := "no such host"
		if dns.Timeout() || dns.IsTemporary {
			why = "its name cannot be resolved now"
		}
		return unreachable(ep, why, err)
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return unreachable(ep, "it does not answer", err)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return unreachable(ep, op.Err.Error(), err)
	}
	return fmt.Errorf("registry %s: %w", ep.host, err)
}

// UnreachableError says that a registry cannot be reached at all.
type UnreachableError struct {
	Host, Why string
	cause     error
}

func unreachable(ep endpoint, why string, cause error) error {
	return &UnreachableError{Host: ep.host, Why: why, cause: cause}
}

// Error implements error.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("registry %s is unreachable: %s", e.Host, e.Why)
}

// Unwrap gives the network's own error and the class.
func (e *UnreachableError) Unwrap() []error { return []error{errdefs.ErrUnavailable, e.cause} }

// DeniedError says that a registry does not show a repository to these credentials. Docker calls it not found.
type DeniedError struct {
	Repository string
	detail     string
}

// Error says it in Docker's words.
func (e *DeniedError) Error() string {
	return fmt.Sprintf("pull access denied for %s, repository does not exist or may require 'docker login'%s", e.Repository, e.detail)
}

// Unwrap classifies the error.
func (e *DeniedError) Unwrap() error { return errdefs.ErrNotFound }

func statusError(named reference.Named, te *transport.Error) error {
	code := ""
	msg := ""
	if len(te.Errors) > 0 {
		code, msg = string(te.Errors[0].Code), te.Errors[0].Message
	}
	switch {
	case code == "MANIFEST_UNKNOWN" || code == "NAME_UNKNOWN":
		return notFound(te, named, msg)
	case code == "UNAUTHORIZED" || code == "DENIED" || te.StatusCode == http.StatusUnauthorized || te.StatusCode == http.StatusForbidden:
		detail := ""
		if code != "" && msg != "" {
			detail = ": " + strings.ToLower(code) + ": " + msg
		}
		return &DeniedError{Repository: reference.FamiliarName(named), detail: detail}
	case te.StatusCode == http.StatusTooManyRequests:
		return errdefs.ErrResourceExhausted.WithMessage("toomanyrequests: " + cmp.Or(msg, "too many requests"))
	case te.StatusCode == http.StatusNotFound:
		return notFound(te, named, msg)
	case te.StatusCode >= 500:
		return errdefs.ErrUnavailable.WithMessage(fmt.Sprintf("received unexpected HTTP status: %d %s", te.StatusCode, http.StatusText(te.StatusCode)))
	}
	return errdefs.ErrUnknown.WithMessage(te.Error())
}

func notFound(te *transport.Error, named reference.Named, msg string) error {
	if len(te.Errors) > 0 && te.Errors[0].Code == transport.NameUnknownErrorCode {
		return errdefs.ErrNotFound.WithMessage(fmt.Sprintf("repository %s not found: name unknown: %s", reference.FamiliarName(named), cmp.Or(msg, "repository name not known to registry")))
	}
	if te.Request != nil && strings.Contains(te.Request.URL.Path, "/blobs/") {
		return errdefs.ErrNotFound.WithMessage("unknown blob")
	}
	return errdefs.ErrNotFound.WithMessage(fmt.Sprintf("manifest for %s not found: manifest unknown: %s", reference.FamiliarString(named), cmp.Or(msg, "manifest unknown")))
}
