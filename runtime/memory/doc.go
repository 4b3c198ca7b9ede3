// Package memory keeps the linear memories of instances: the image a version's instances start from, and the
// slots they run in. Its main types are [Image], the memory as it was at image time, and [Slots], which hands out
// each [Slot] under one budget of bytes.
//
// A slot is address space for the function's whole memory limit, reserved and not yet used, so that growth copies
// nothing. On Linux the image is mapped copy-on-write over its start, and a reset copies back the pages that the
// kernel says were written: by write protection (userfaultfd) where the process may have that, else by scanning for
// private pages, else it drops them all. Elsewhere, and with the build tag sett_portable, it copies the whole image.
//
// The guarantee: after [Slot.Reset] every byte of the memory and its size are the image's again, or Reset answers
// an error and the slot is never used again. A slot is never unmapped or given away under a running call.
package memory
