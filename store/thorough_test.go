//go:build crash

package store

const thorough = true
