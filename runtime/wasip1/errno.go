package wasip1

// errno is the result of a call, 0 for success.
type errno uint16

// Error numbers that this host answers. Source: preview1/docs.md, "errno".
const (
	success errno = 0
	badf    errno = 8  // no such open file
	fault   errno = 21 // a pointer outside the guest's memory
	inval   errno = 28
	nosys   errno = 52
	notdir  errno = 54
	notsock errno = 57
	spipe   errno = 70 // seeking in what has no positions
)
