package replica

import (
	"errors"
	"fmt"
)

// foundTerm is the term of what is before a founded group's log. Its first leader has the next one.
const foundTerm = 1

// Found makes, in a directory that has none, the log of a group whose first and only member is the voter s and whose
// history begins behind index: the state of that index comes from elsewhere, and members that are added later get it
// from s. Open it with a machine that stands at index. After an error the directory is of no use.
func Found(dir string, s Server, index uint64) error {
	if err := found(dir, s, index); err != nil {
		return fmt.Errorf("found group in %s: %w", dir, err)
	}
	return nil
}

func found(dir string, s Server, index uint64) (err error) {
	s.Voter = true
	c := Config{ID: s.ID, Dir: dir}.withDefaults()
	st, err := openStorage(c, index, func(error) {})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	_, last, err := st.bounds()
	if err != nil {
		return err
	}
	if last > 0 || st.snapshots.newest != nil {
		return errors.New("there is a log already")
	}
	begin := max(1, index) // raft knows no entry 0
	if err := st.stable.SetUint64([]byte(termKey), foundTerm); err != nil {
		return err
	}
	return st.snapshots.keep(&noted{Index: begin, Term: foundTerm, Configuration: configurationOf([]Server{s}),
		ConfigurationIndex: begin, Applied: index})
}
