package message

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"letterbox/store/message/corpus"
)

var update = flag.Bool("update", false, "write testdata/golden anew; read the difference before you keep it")

// Every message of the corpus has its ENVELOPE and BODYSTRUCTURE in
// testdata/golden, one part or address a line so that they can be read.
func TestGolden(t *testing.T) {
	t.Parallel()
	list, err := corpus.Read("testdata/corpus")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		s := parse(m.Data)
		golden(t, m.Name+".envelope", s.AppendEnvelope(nil))
		golden(t, m.Name+".bodystructure", s.AppendBodyStructure(nil))
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	got = append([]byte(strings.NewReplacer(") ((", ")\n ((", ")(", ")\n(").Replace(string(got))), '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	} else if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
	}
}
