package imagetest

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
)

// CutBlobs cuts the first n blob downloads after some bytes, by closing the connection. With ranges the registry then
// serves the rest; without, it ignores the Range header.
func CutBlobs(n int32, after int, ranges bool) Fault {
	var left atomic.Int32
	left.Store(n)
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/sha256:") {
			return false
		}
		rec := httptest.NewRecorder()
		plain := r.Clone(r.Context())
		if !ranges {
			plain.Header.Del("Range")
		}
		next.ServeHTTP(rec, plain)
		body := rec.Body.Bytes()
		if len(body) < after || left.Add(-1) < 0 {
			copyAnswer(w, rec, body)
			return true
		}
		copyAnswer(w, rec, body[:after])
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler) // The only way to cut a connection from a handler.
	}
}

// Corrupt changes a byte of every blob larger than size.
func Corrupt(size int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/sha256:") {
			return false
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		body := bytes.Clone(rec.Body.Bytes())
		if len(body) > size {
			body[len(body)/2] ^= 1
		}
		copyAnswer(w, rec, body)
		return true
	}
}

// HoldBlobs lets blob downloads wait until release is closed, or their client leaves.
func HoldBlobs(release <-chan struct{}, size int) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/sha256:") {
			return false
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		if rec.Body.Len() > size {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		copyAnswer(w, rec, rec.Body.Bytes())
		return true
	}
}

// RequireBasic asks for a user's name and password.
func RequireBasic(user, password string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		u, p, ok := r.BasicAuth()
		if ok && u == user && p == password {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
		return true
	}
}

// RedirectBlobs sends blob downloads elsewhere.
func RedirectBlobs(to string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/sha256:") {
			return false
		}
		http.Redirect(w, r, to+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	}
}

func copyAnswer(w http.ResponseWriter, rec *httptest.ResponseRecorder, body []byte) {
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body) // A client that left is no concern of the registry.
}
