// Package imagetest serves images to tests: a registry in the test's process, builders of small images, and faults.
package imagetest
