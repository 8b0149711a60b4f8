//go:build interop && !crash

package store

// thorough makes the tests of power cuts look at more of what may be left: see make crash.
const thorough = false
