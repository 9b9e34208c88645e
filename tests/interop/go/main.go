// A verifier that Chancery did not write: Go's checksum-database libraries, golang.org/x/mod/sumdb/note and
// golang.org/x/mod/sumdb/tlog, and here only what connects them to a ledger's C2SP tiles.
//
// It opens the checkpoint, walks the tiles down to random events, checks their inclusion, and that the tree of an older
// checkpoint is the beginning of the newest one's. It says what it checked and ends with 0; at the first thing that does not
// hold it says which and ends with 1.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	height = 8
	width  = 1 << height
)

// cosigner checks a witness's line of a checkpoint, which C2SP tlog-cosignature defines and the library does not know: a
// time, and a signature of it and the checkpoint's text.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newCosigner(vkey string) (*cosigner, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("a witness's key is NAME+ID+KEY")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != 4 {
		return nil, fmt.Errorf("not the key of a witness: %s", vkey)
	}
	id := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	hash := binary.BigEndian.Uint32(id[:4])
	if fmt.Sprintf("%08x", hash) != parts[1] {
		return nil, fmt.Errorf("not the id of this key: %s", vkey)
	}
	return &cosigner{parts[0], hash, ed25519.PublicKey(key[1:])}, nil
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

func (c *cosigner) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(signature), text)
	return ed25519.Verify(c.key, []byte(message), signature[8:])
}

// ledger is where a ledger is read from; spoil names what is changed by a bit on the way.
type ledger struct {
	url, apiKey, spoil string
	verifier           note.Verifier
	witnesses          []note.Verifier
	tiles, bundles     int
}

func (l *ledger) get(what, path string) ([]byte, error) {
	request, err := http.NewRequest("GET", l.url+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+l.apiKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	if what == l.spoil {
		// The hashes of a consistency proof stand at its end, behind checkpoints that this client has already.
		at := len(body) / 2
		if what == "consistency" {
			at = len(body) - 10
		}
		body[at] ^= 1
	}
	return body, nil
}

// open checks a checkpoint's signature and reads what it signs.
func (l *ledger) open(checkpoint []byte) (tlog.Tree, error) {
	opened, err := note.Open(checkpoint, note.VerifierList(append(l.witnesses, l.verifier)...))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	signed := map[string]bool{}
	for _, signature := range opened.Sigs {
		signed[fmt.Sprintf("%s+%08x", signature.Name, signature.Hash)] = true
	}
	for _, wanted := range append(l.witnesses, l.verifier) {
		if !signed[fmt.Sprintf("%s+%08x", wanted.Name(), wanted.KeyHash())] {
			return tlog.Tree{}, fmt.Errorf("checkpoint: not signed by %s", wanted.Name())
		}
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != l.verifier.Name() || lines[3] != "" {
		return tlog.Tree{}, fmt.Errorf("checkpoint: not of this log, or not three lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// path is where C2SP tlog-tiles has a tile; the checksum database has the height in its paths too.
func path(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "/tile/", 1)
}

func (l *ledger) Height() int { return height }

func (l *ledger) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range tiles {
		hashes, err := l.get("tile", path(tile))
		if err != nil {
			return nil, err
		}
		l.tiles++
		read = append(read, hashes)
	}
	return read, nil
}

func (l *ledger) SaveTiles([]tlog.Tile, [][]byte) {}

// entry reads an event's leaf out of its bundle.
func (l *ledger) entry(seq, size int64) ([]byte, error) {
	tile := tlog.Tile{H: height, L: -1, N: seq / width, W: width}
	if rest := size - tile.N*width; rest < width {
		tile.W = int(rest)
	}
	bundle, err := l.get("entries", strings.Replace(path(tile), "/data/", "/entries/", 1))
	if err != nil {
		return nil, err
	}
	l.bundles++
	for at := int64(0); ; at++ {
		if len(bundle) < 2 {
			return nil, fmt.Errorf("event %d: the bundle ends before it", seq)
		}
		length := int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < 2+length {
			return nil, fmt.Errorf("event %d: the bundle breaks off", seq)
		}
		if at == seq%width {
			return bundle[2 : 2+length], nil
		}
		bundle = bundle[2+length:]
	}
}

// proof reads a C2SP tlog-proof of an event, and gives the tree its checkpoint signs.
func (l *ledger) proof(seq, size int64) (tlog.RecordProof, tlog.Tree, error) {
	text, err := l.get("proof", fmt.Sprintf("/v1/events/%d/proof?size=%d", seq, size))
	if err != nil {
		return nil, tlog.Tree{}, err
	}
	head, checkpoint, found := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || lines[1] != fmt.Sprintf("index %d", seq) {
		return nil, tlog.Tree{}, fmt.Errorf("event %d: not its tlog-proof", seq)
	}
	proof, err := hashes(lines[2:])
	if err != nil {
		return nil, tlog.Tree{}, fmt.Errorf("event %d: its proof: %w", seq, err)
	}
	tree, err := l.open(checkpoint)
	return proof, tree, err
}

func hashes(lines []string) ([]tlog.Hash, error) {
	var read []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		read = append(read, hash)
	}
	return read, nil
}

// inclusion checks that an event is in the tree, by the tiles and by the proof that the ledger makes.
func (l *ledger) inclusion(seq int64, tree tlog.Tree) error {
	entry, err := l.entry(seq, tree.N)
	if err != nil {
		return err
	}
	leaf := tlog.RecordHash(entry)
	own, err := tlog.ProveRecord(tree.N, seq, tlog.TileHashReader(tree, l))
	if err != nil {
		return fmt.Errorf("event %d: tiles: %w", seq, err)
	}
	if err := tlog.CheckRecord(own, tree.N, tree.Hash, seq, leaf); err != nil {
		return fmt.Errorf("event %d: entry: %w", seq, err)
	}
	proof, signed, err := l.proof(seq, tree.N)
	if err != nil {
		return err
	}
	if signed != tree {
		return fmt.Errorf("event %d: its proof is against another tree", seq)
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, seq, leaf); err != nil {
		return fmt.Errorf("event %d: proof: %w", seq, err)
	}
	return nil
}

// consistency checks that one tree is the beginning of another, by the tiles and by the proof that the ledger makes.
func (l *ledger) consistency(old, tree tlog.Tree) error {
	own, err := tlog.ProveTree(tree.N, old.N, tlog.TileHashReader(tree, l))
	if err != nil {
		return fmt.Errorf("consistency: tiles: %w", err)
	}
	if err := tlog.CheckTree(own, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("consistency: the older checkpoint signs another beginning: %w", err)
	}
	text, err := l.get("consistency", fmt.Sprintf("/v1/ledger/consistency/%d/%d", old.N, tree.N))
	if err != nil {
		return err
	}
	var answer struct{ Proof []string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("consistency: %w", err)
	}
	proof, err := hashes(answer.Proof)
	if err != nil {
		return fmt.Errorf("consistency: %w", err)
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		return fmt.Errorf("consistency: proof: %w", err)
	}
	return nil
}

func run() error {
	l := &ledger{apiKey: os.Getenv("CHANCERY_API_KEY")}
	flag.StringVar(&l.url, "url", "", "the daemon's address")
	flag.StringVar(&l.spoil, "spoil", "", "change a bit of: checkpoint, tile, entries, proof, consistency")
	key := flag.String("key", "", "the verifier key to trust")
	witnesses := flag.String("witnesses", "", "verifier keys of witnesses that must have cosigned, parted by commas")
	older := flag.String("old", "", "a file with an older checkpoint")
	events := flag.Int("events", 10, "how many random events to check")
	seed := flag.Int64("seed", 1, "what they are drawn by")
	flag.Parse()
	var err error
	if l.verifier, err = note.NewVerifier(*key); err != nil {
		return err
	}
	for _, vkey := range strings.FieldsFunc(*witnesses, func(char rune) bool { return char == ',' }) {
		witness, err := newCosigner(vkey)
		if err != nil {
			return err
		}
		l.witnesses = append(l.witnesses, witness)
	}
	checkpoint, err := l.get("checkpoint", "/checkpoint")
	if err != nil {
		return err
	}
	tree, err := l.open(checkpoint)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewSource(*seed))
	for n := 0; n < *events; n++ {
		if err := l.inclusion(random.Int63n(tree.N), tree); err != nil {
			return err
		}
	}
	kept, err := os.ReadFile(*older)
	if err != nil {
		return err
	}
	// It may be older than its witnesses.
	newest := l.witnesses
	l.witnesses = nil
	old, err := l.open(kept)
	l.witnesses = newest
	if err != nil {
		return fmt.Errorf("the older one: %w", err)
	}
	if err := l.consistency(old, tree); err != nil {
		return err
	}
	root := base64.StdEncoding.EncodeToString(tree.Hash[:])
	fmt.Printf("tree of %d, %s: %d events in it, that of %d its beginning; %d tiles, %d bundles read\n",
		tree.N, root, *events, old.N, l.tiles, l.bundles)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}
