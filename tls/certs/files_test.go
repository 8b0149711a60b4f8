package certs

import (
	"os"
	"path/filepath"
	"testing"
)

// Whatever lies in a file, reading it ends in a certificate with its own key, or in an error.
func FuzzParse(f *testing.F) {
	dir := f.TempDir()
	m, err := Open(Options{Dir: dir, Now: at(today)})
	if err != nil {
		f.Fatal(err)
	}
	if err := m.Apply([]string{"nas.local"}, nil); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{rootFile, intermediateFile, leafFile} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
		f.Add(append(b, b...))
		f.Add(append(b, "rubbish"...))
	}
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := parse(data)
		if err != nil {
			return
		}
		if id.cert == nil || id.key != nil && !id.key.PublicKey.Equal(id.cert.PublicKey) {
			t.Error("taken for a certificate with its key")
		}
	})
}
