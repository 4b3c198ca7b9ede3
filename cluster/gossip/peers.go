package gossip

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"time"
)

// maxPeersBytes is the size of a peers file that is read: more than maxMembers take.
const maxPeersBytes = 4 << 20

// peersFile is what gossip remains across restarts.
type peersFile struct {
	Boot  int64  `json:"boot"` // of the run that wrote it
	Peers []peer `json:"peers"`
}

// peer is another node that was seen and has not left.
type peer struct {
	ID    string    `json:"id"`
	Boot  int64     `json:"boot"`
	Addr  string    `json:"addr"` // where it gossips, IP:PORT
	Seen  time.Time `json:"seen"` // last known to be alive
	About About     `json:"about"`
}

// readPeers answers an empty file when there is none or the path is empty.
func readPeers(path string) (peersFile, error) {
	if path == "" {
		return peersFile{}, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return peersFile{}, nil
	}
	if err != nil {
		return peersFile{}, fmt.Errorf("read peers: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPeersBytes+1))
	if err != nil {
		return peersFile{}, fmt.Errorf("read peers: %w", err)
	}
	return parsePeers(data)
}

// parsePeers leaves out peers that nobody could have written.
func parsePeers(data []byte) (peersFile, error) {
	if len(data) > maxPeersBytes {
		return peersFile{}, fmt.Errorf("read peers: more than %d bytes", maxPeersBytes)
	}
	var file peersFile
	if err := json.Unmarshal(data, &file); err != nil {
		return peersFile{}, fmt.Errorf("read peers: %w", err)
	}
	if file.Boot < 0 {
		return peersFile{}, fmt.Errorf("read peers: boot %d", file.Boot)
	}
	good := file.Peers[:0]
	for _, p := range file.Peers {
		if _, err := netip.ParseAddrPort(p.Addr); err == nil && checkID(p.ID) == nil && p.Boot > 0 && len(good) < maxMembers {
			good = append(good, p)
		}
	}
	file.Peers = good
	return file, nil
}

// write puts the file in place whole.
func (f peersFile) write(path string) error {
	data, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write peers: %w", err)
	}
	tmp := path + ".tmp"
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write peers: %w", err)
	}
	_, err = io.Copy(out, bytes.NewReader(append(data, '\n')))
	err = errors.Join(err, out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return fmt.Errorf("write peers: %w", err)
	}
	return nil
}
