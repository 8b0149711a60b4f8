package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"letterbox/store/atomicfile"
)

// The files in Options.Dir. Each holds a certificate, the leaf's with the intermediate's after it, and the key
// of the first; the root's may be without one.
const (
	rootFile         = "root.pem"
	intermediateFile = "intermediate.pem"
	leafFile         = "household.pem"
)

// maxFile bounds what is read of a file: a certificate for maxNames names is far smaller.
const maxFile = 256 << 10

var errNoRootKey = errors.New("the key of the household's root certificate is not on this box, and it is needed to sign for a new name")

// save writes an identity to one file, whole and synced.
func save(dir, name string, id identity) error {
	var b bytes.Buffer
	for _, c := range append([]*x509.Certificate{id.cert}, id.chain...) {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	if id.key != nil {
		der, err := x509.MarshalPKCS8PrivateKey(id.key)
		if err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	if err := atomicfile.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// load reads what save wrote. A file that is not there is fs.ErrNotExist; a damaged one, or one whose key is
// another certificate's, is an error in one sentence.
func load(dir, name string) (identity, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if err != nil {
		return identity{}, err
	}
	if info.Size() > maxFile {
		return identity{}, fmt.Errorf("%s is damaged: it is %d bytes long", path, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return identity{}, err
	}
	id, err := parse(data)
	if err != nil {
		return identity{}, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return id, nil
}

// parse reads PEM: certificates, and at most one key, which must be the first certificate's.
func parse(data []byte) (identity, error) {
	var id identity
	for {
		b, rest := pem.Decode(data)
		if b == nil {
			break
		}
		data = rest
		switch b.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return identity{}, err
			}
			if id.cert == nil {
				id.cert = c
			} else {
				id.chain = append(id.chain, c)
			}
		case "PRIVATE KEY":
			if id.key != nil {
				return identity{}, errors.New("it holds two keys")
			}
			var err error
			if id.key, err = parseKey(b.Bytes); err != nil {
				return identity{}, err
			}
		}
	}
	return id, check(id, data)
}

// check looks at what parse found, and at what was left over.
func check(id identity, rest []byte) error {
	if id.cert == nil {
		return errors.New("there is no certificate in it")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return errors.New("it ends in something that is not PEM")
	}
	pub, ok := id.cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return errors.New("its certificate is not for an ECDSA key")
	}
	if id.key != nil && !pub.Equal(id.key.Public()) {
		return errors.New("its key does not belong to its certificate")
	}
	return nil
}

func parseKey(der []byte) (*ecdsa.PrivateKey, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("its key cannot be read") // never the bytes of a key in an error
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("its key is not ECDSA")
	}
	return key, nil
}

// protect makes the folder and keeps other users out of it and its files: a copy put back by hand is often
// readable by others. Some file systems have no modes: that is a warning, not the end.
func (m *Manager) protect() error {
	if err := atomicfile.MkdirAll(m.dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of the certificates: %w", err)
	}
	err := os.Chmod(m.dir, 0o700)
	for _, name := range []string{rootFile, intermediateFile, leafFile} {
		if e := os.Chmod(filepath.Join(m.dir, name), 0o600); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		m.log.Warn("other users of this machine may be able to read the keys of the certificates", "err", err)
	}
	return nil
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return !errors.Is(err, fs.ErrNotExist)
}
