package server

import (
	"net/url"
	"strconv"
	"strings"
)

// Query returns the decoded query. A query that cannot be decoded was answered with 400 before the handler ran.
func (r *Request) Query() url.Values { return r.query }

// Get returns the first value of a query parameter.
func (r *Request) Get(key string) string { return r.query.Get(key) }

// Bool reads a query parameter as Docker does: "", 0, no, false and none are false, all else is true.
func (r *Request) Bool(key string) bool {
	switch strings.ToLower(strings.TrimSpace(r.query.Get(key))) {
	case "", "0", "no", "false", "none":
		return false
	default:
		return true
	}
}

// BoolOr is Bool with a default for a parameter that is absent.
func (r *Request) BoolOr(key string, def bool) bool {
	if !r.query.Has(key) {
		return def
	}
	return r.Bool(key)
}

// Int64 reads a decimal query parameter; set is false when it is absent or empty.
func (r *Request) Int64(key string) (v int64, set bool, err error) {
	s := r.query.Get(key)
	if s == "" {
		return 0, false, nil
	}
	v, err = strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, true, badParameter(key, s, err)
	}
	return v, true, nil
}

// Int64OrZero reads a decimal query parameter; whatever is not a number is zero.
func (r *Request) Int64OrZero(key string) int64 {
	v, _, err := r.Int64(key)
	if err != nil {
		return 0
	}
	return v
}

// Uint32 reads a query parameter that must be there and lie in 0 to 2^32-1.
func (r *Request) Uint32(key string) (uint32, error) {
	s := r.query.Get(key)
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, badParameter(key, s, err)
	}
	return uint32(v), nil
}

func badParameter(key, value string, err error) error {
	if inner, ok := err.(*strconv.NumError); ok { //nolint:errorlint // strconv returns it unwrapped.
		err = inner.Err
	}
	return invalid("invalid value for parameter %s: %q: %v", key, value, err)
}
