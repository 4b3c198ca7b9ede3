package abi

// ValidHeader reports whether HTTP can carry a header: its name is a token, and its value has no control character
// but the tab. Source: RFC 9110, 5.5 and 5.6.2.
func ValidHeader(h Field) bool {
	for i := range len(h.Name) {
		if !isToken(h.Name[i]) {
			return false
		}
	}
	for i := range len(h.Value) {
		if c := h.Value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return h.Name != ""
}

func isToken(c byte) bool {
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
