package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"

	"github.com/containerd/errdefs"
)

// JSON decodes the body into v. An empty body leaves v as it is; a body of another media type, malformed JSON and
// content after it are 400s in Docker's words.
func (r *Request) JSON(v any) error {
	if err := r.CheckJSON(); err != nil {
		return err
	}
	if r.length == 0 {
		return nil
	}
	dec := json.NewDecoder(r.body)
	if err := dec.Decode(v); err != nil {
		return jsonError(err)
	}
	if dec.More() {
		return invalid("unexpected content after JSON")
	}
	return nil
}

// CheckJSON refuses a body whose Content-Type is not JSON.
func (r *Request) CheckJSON() error {
	ct := r.Header("Content-Type")
	if ct == "" && r.length == 0 {
		return nil
	}
	media, _, err := mime.ParseMediaType(ct)
	if err != nil {
		return invalid("malformed Content-Type header (%s): %v", ct, err)
	}
	if media != mediaJSON {
		return invalid("unsupported Content-Type header (%s): must be '%s'", ct, mediaJSON)
	}
	return nil
}

func jsonError(err error) error {
	if errors.Is(err, errBodyTooLarge) {
		return err
	}
	if errors.Is(err, io.EOF) {
		return invalid("invalid JSON: got EOF while reading request body")
	}
	return invalid("invalid JSON: %v", err)
}

func invalid(format string, args ...any) error {
	return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf(format, args...))
}
