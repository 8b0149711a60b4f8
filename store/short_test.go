//go:build !crash

package store

// thorough makes the tests of crashes look at more of what may be left: see make crash.
const thorough = false
