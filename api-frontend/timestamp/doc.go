// Package timestamp reads points in time as the API's parameters and filters give them.
package timestamp
