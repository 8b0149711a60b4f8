package store

import "letterbox/store/maildir"

// A signature tells whether a folder's files changed: that of new/ and cur/,
// of dovecot-uidlist, dovecot-keywords and letterbox-folder, as numbers.
type signature = [16]int64

// sign reads the folder's signature.
func (m *Mailbox) sign() (signature, maildir.Stamp, error) { return signatureOf(m.folder) }

func signatureOf(folder *maildir.Folder) (signature, maildir.Stamp, error) {
	st, err := folder.Stamp()
	if err != nil {
		return signature{}, st, err
	}
	var sig signature
	for i, f := range []maildir.FileStamp{st.New, st.Cur, st.UIDList, st.Keywords} {
		sig[3*i], sig[3*i+1], sig[3*i+2] = int64(f.Inode), f.Size, f.ModTime
	}
	sig[12], sig[13] = st.FolderFile.Size, st.FolderFile.ModTime
	return sig, st, nil
}

// untouched reports whether nobody else changed the folder since the index was
// true to it. The caller holds writeMu and is about to change the folder.
func (m *Mailbox) untouched() bool {
	sig, _, err := m.sign()
	return err == nil && sig == m.sig
}

// resign takes the folder's signature after a change of ours, when untouched
// said before it that the index is true to it. The caller holds writeMu.
func (m *Mailbox) resign() {
	sig, _, err := m.sign()
	if err != nil {
		sig = signature{}
	}
	m.sig = sig
	m.settled = false
}

// own runs change, a change of ours of the folder's files, and keeps the
// signature true if it was: else the next opening compares everything.
// The caller holds writeMu.
func (m *Mailbox) own(change func() error) error {
	was := m.untouched()
	err := change()
	if was {
		m.resign()
	} else {
		m.sig, m.settled = signature{}, false
	}
	return err
}
