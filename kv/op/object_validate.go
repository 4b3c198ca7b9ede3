package op

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// ValidateBucket accepts what S3 does: 3 to 63 of a-z, 0-9, - and full stops, with a letter or digit at both ends and
// no two stops in a row; it must not look like an IPv4 address. Else it answers ErrInvalid.
func ValidateBucket(name string) error {
	ok := len(name) >= 3 && len(name) <= 63 && !strings.Contains(name, "..") && strings.Trim(name, "0123456789.") != ""
	for i, c := range []byte(name) {
		inner := i > 0 && i < len(name)-1
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || inner && (c == '-' || c == '.'))
	}
	if !ok {
		return fmt.Errorf("bucket %.80q is not 3 to 63 of a-z, 0-9, - and . with a letter or digit at both ends: %w", name, ErrInvalid)
	}
	return nil
}

// Validate answers ErrInvalid or ErrTooLarge for a name that no object has: a key is 1 to MaxObjectKeyBytes of UTF-8
// without a zero byte.
func (n ObjectName) Validate() error {
	if err := ValidateApp(n.App); err != nil {
		return err
	}
	if err := ValidateBucket(n.Bucket); err != nil {
		return err
	}
	return ValidateObjectKey(n.Key)
}

// ValidateObjectKey answers ErrInvalid or ErrTooLarge for what is no key.
func ValidateObjectKey(key string) error {
	if key == "" {
		return fmt.Errorf("empty key: %w", ErrInvalid)
	}
	return validateObjectText(key)
}

func validateObjectText(key string) error {
	if len(key) > MaxObjectKeyBytes {
		return fmt.Errorf("key %.40q... has %d bytes, at most %d are allowed: %w", key, len(key), MaxObjectKeyBytes, ErrTooLarge)
	}
	if !utf8.ValidString(key) || strings.Contains(key, "\x00") {
		return fmt.Errorf("key %.80q is not UTF-8 without zero bytes: %w", key, ErrInvalid)
	}
	return nil
}

// Validate answers ErrInvalid or ErrTooLarge for what is not kept.
func (a ObjectAbout) Validate() error {
	h := a.Headers
	text := h.ContentType + h.CacheControl + h.ContentDisposition + h.ContentEncoding + h.ContentLanguage + h.Expires
	if len(text) > MaxObjectHeaderBytes {
		return fmt.Errorf("content type and headers have %d bytes, at most %d are allowed: %w", len(text), MaxObjectHeaderBytes, ErrTooLarge)
	}
	size := 0
	for name, value := range a.Metadata {
		if name == "" {
			return fmt.Errorf("metadata without a name: %w", ErrInvalid)
		}
		text += name + value
		size += len(name) + len(value)
	}
	if size > MaxObjectMetadataBytes {
		return fmt.Errorf("metadata has %d bytes, at most %d are allowed: %w", size, MaxObjectMetadataBytes, ErrTooLarge)
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("headers or metadata are not UTF-8: %w", ErrInvalid)
	}
	return nil
}

// Validate answers ErrInvalid or ErrTooLarge for what cannot be asked. The token is looked at by whoever made it.
func (q ObjectQuery) Validate() error {
	for _, text := range []string{q.Prefix, q.Delimiter, q.After} {
		if err := validateObjectText(text); err != nil {
			return err
		}
	}
	if q.Limit < 0 {
		return fmt.Errorf("limit %d is negative: %w", q.Limit, ErrInvalid)
	}
	return nil
}

// Validate answers ErrInvalid for a negative limit.
func (q ObjectQuota) Validate() error {
	if q.Objects < 0 || q.Bytes < 0 {
		return fmt.Errorf("quota of %d objects and %d bytes is negative: %w", q.Objects, q.Bytes, ErrInvalid)
	}
	return nil
}
