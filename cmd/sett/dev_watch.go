package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/sett-run/sett/sdk/abi"
)

// Limits of watching.
const (
	// maxFolders is how many folders are watched. Raising it lets larger projects be watched, and takes more of what the
	// system has for all programs (fs.inotify.max_user_watches; files on macOS).
	maxFolders = 4096
	// quietTime is how long nothing may change before what changed is looked at: an editor writes several times.
	// Raising it makes half-written files rarer and every redeployment slower.
	quietTime = 50 * time.Millisecond
	// gatherTime is how long quietTime is waited for, where something always changes.
	gatherTime = 500 * time.Millisecond
)

// everything as a path says that changes were missed, so that anything may have changed.
const everything = ""

// change is what changed at about one time.
type change struct {
	first time.Time       // when the first one was heard of
	paths map[string]bool // absolute, without links; everything is one of them
}

// sources says whether a file is among the paths that a person edits to change what is deployed, going by its name.
func (c change) sources() bool {
	for path := range c.paths {
		switch filepath.Ext(path) {
		case ".go", ".s", ".h", ".mod", ".sum", ".work", ".yaml", ".yml", ".json", ".wasm", ".js", ".mjs", ".py", ".c", ".wit", ".rs", ".toml":
			return true
		}
		if path == everything {
			return true
		}
	}
	return false
}

// gather makes changes of paths: it hands on what it heard once nothing more came for a while. What comes while
// nobody takes a change becomes part of it. It ends with the context.
func gather(ctx context.Context, paths <-chan string, changes chan<- change) {
	var heard change
	var ready chan<- change // nil: not quiet yet
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case path := <-paths:
			if heard.paths == nil {
				heard = change{first: time.Now(), paths: map[string]bool{}}
			}
			heard.paths[path] = true
			ready = nil
			timer.Reset(min(quietTime, max(0, gatherTime-time.Since(heard.first))))
		case <-timer.C:
			if heard.paths != nil {
				ready = changes
			}
		case ready <- heard:
			heard, ready = change{}, nil
		case <-ctx.Done():
			return
		}
	}
}

// watcher tells which files below a folder change, and in single folders elsewhere. Close ends it.
type watcher struct {
	root   string
	system *fsnotify.Watcher
	mu     sync.Mutex      // guards folders
	all    map[string]bool // folders that are watched
}

// watchTree watches root, which has no links in it, and all folders below it that are not ignored.
func watchTree(root string) (*watcher, error) {
	system, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", root, err)
	}
	w := &watcher{root: root, system: system, all: map[string]bool{}}
	if _, err := w.addTree(root); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *watcher) close() error { return w.system.Close() }

// add watches the files in a folder, and not those in folders below it.
func (w *watcher) add(folder string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all[folder] {
		return nil
	}
	if len(w.all) == maxFolders {
		return abi.WithCode(abi.TooLarge, fmt.Errorf("watch %s: there are more than %d folders; node_modules and those whose name "+
			"starts with a dot do not count", folder, maxFolders))
	}
	switch err := w.system.Add(folder); {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil // gone again already, or not for us
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("watch %s: the system watches no more folders; raise fs.inotify.max_user_watches", folder)
	case err != nil:
		return fmt.Errorf("watch %s: %w", folder, err)
	}
	w.all[folder] = true
	return nil
}

// addTree watches a folder and those below it, and answers the files that are there.
func (w *watcher) addTree(root string) (files []string, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case path != root && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)):
			return nil // gone again, or not for us
		case err != nil:
			return fmt.Errorf("watch %s: %w", path, err)
		case path != root && ignored(d.Name()) && d.IsDir():
			return filepath.SkipDir
		case d.IsDir():
			return w.add(path)
		}
		files = append(files, path)
		return nil
	})
	return files, err
}

// drop forgets a folder that went away under its name, and those below it.
func (w *watcher) drop(folder string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for f := range w.all {
		if f == folder || strings.HasPrefix(f, folder+string(filepath.Separator)) {
			delete(w.all, f)
			_ = w.system.Remove(f) // mostly gone with the folder
		}
	}
}

// ignored says which folders are not looked into and which files do not matter: those with a dot in front, where
// version control, editors and sett itself keep things, and node_modules.
func ignored(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || name == "node_modules"
}

// run sends the paths that change until the context ends. It answers why it cannot go on, nil when it was told to end.
func (w *watcher) run(ctx context.Context, paths chan<- string) error {
	for {
		var changed []string
		select {
		case event := <-w.system.Events:
			var err error
			if changed, err = w.heard(event); err != nil {
				return err
			}
		case err := <-w.system.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return fmt.Errorf("watch: %w", err)
			}
			changed = []string{everything}
		case <-ctx.Done():
			return nil
		}
		for _, path := range changed {
			select {
			case paths <- path:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// heard answers which paths an event is about. A folder that is new is watched too.
func (w *watcher) heard(event fsnotify.Event) ([]string, error) {
	gone := event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename)
	if gone && event.Name == w.root {
		return nil, abi.WithCode(abi.NotFound, fmt.Errorf("watch %s: the folder is gone", w.root))
	}
	if event.Op == fsnotify.Chmod || event.Name == "" || ignored(filepath.Base(event.Name)) {
		return nil, nil
	}
	if gone {
		w.drop(event.Name)
	}
	if event.Has(fsnotify.Create) && below(event.Name, w.root) {
		if info, err := os.Lstat(event.Name); err == nil && info.IsDir() {
			files, err := w.addTree(event.Name)
			return append(files, event.Name), err
		}
	}
	return []string{event.Name}, nil
}
