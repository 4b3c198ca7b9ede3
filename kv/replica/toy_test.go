package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// toy is a machine of counters. A command is "id key delta"; its reply is the counter's new value. What it has applied
// since the last Sync is lost when it is opened again, as after a power loss.
type toy struct {
	file string // empty: in memory

	mu      sync.Mutex
	state   toyState
	durable uint64
	applies int   // calls of Apply
	broken  error // what Apply answers
	stalled chan struct{}
	padding int // bytes that every reply has more
}

type toyState struct {
	Index    uint64
	Counters map[string]int64
	Replies  map[string]string // by id
}

func newToy() *toy {
	return &toy{state: toyState{Counters: map[string]int64{}, Replies: map[string]string{}}}
}

// openToy opens the state in a directory.
func openToy(dir string) (*toy, error) {
	m := newToy()
	m.file = filepath.Join(dir, "toy.json")
	text, err := os.ReadFile(m.file)
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &m.state)
	}
	m.durable = m.state.Index
	return m, err
}

func toyPack(commands [][]byte) []byte {
	var b []byte
	for _, c := range commands {
		b = append(binary.AppendUvarint(b, uint64(len(c))), c...)
	}
	return b
}

func (m *toy) Apply(index uint64, entry []byte) (replies [][]byte, err error) {
	if s := m.stall(nil); s != nil {
		<-s
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return nil, m.broken
	}
	if index <= m.state.Index {
		return nil, fmt.Errorf("entry %d after %d", index, m.state.Index)
	}
	m.applies++
	m.state.Index = index
	for len(entry) > 0 {
		n, w := binary.Uvarint(entry)
		command := string(entry[w : w+int(n)])
		entry = entry[w+int(n):]
		replies = append(replies, append([]byte(m.apply(command)), make([]byte, m.padding)...))
	}
	return replies, nil
}

func (m *toy) apply(command string) string {
	f := strings.Fields(command)
	if old, seen := m.state.Replies[f[0]]; seen {
		return old
	}
	delta, _ := strconv.ParseInt(f[2], 10, 64)
	m.state.Counters[f[1]] += delta
	r := strconv.FormatInt(m.state.Counters[f[1]], 10)
	m.state.Replies[f[0]] = r
	return r
}

// stall has Apply wait for a channel; nil changes nothing.
func (m *toy) stall(s chan struct{}) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s != nil {
		m.stalled = s
	}
	return m.stalled
}

func (m *toy) breakWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = err
}

func (m *toy) Applied() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Index
}

func (m *toy) Durable() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.durable
}

func (m *toy) get(key string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Counters[key]
}

func (m *toy) entries() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applies
}

func (m *toy) Sync(context.Context) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Index, m.save()
}

func (m *toy) save() error {
	if m.file != "" {
		text, err := json.Marshal(&m.state)
		if err != nil {
			return err
		}
		if err := replaceFile(m.file, text); err != nil {
			return err
		}
	}
	m.durable = m.state.Index
	return nil
}

func (m *toy) Snapshot() (Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, err := json.Marshal(&m.state)
	return &toySnapshot{m.state.Index, text}, err
}

func (m *toy) Restore(r io.Reader) error {
	var s toyState
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = s
	return m.save()
}

type toySnapshot struct {
	index uint64
	text  []byte
}

func (s *toySnapshot) Index() uint64                      { return s.index }
func (s *toySnapshot) WriteTo(w io.Writer) (int64, error) { return bytes.NewReader(s.text).WriteTo(w) }
func (s *toySnapshot) Close() error                       { return nil }
