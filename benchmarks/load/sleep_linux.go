package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepUntil waits without the millisecond that the runtime's timers may be late by when nothing else happens.
func sleepUntil(due time.Time) {
	for {
		left := time.Until(due)
		if left <= 0 {
			return
		}
		t := unix.NsecToTimespec(left.Nanoseconds())
		if err := unix.Nanosleep(&t, nil); err == nil {
			return
		}
	}
}
