//go:build interop && crash

package store

const thorough = true
