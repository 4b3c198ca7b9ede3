//go:build !unix || aix || solaris || illumos

package runtime

import "errors"

func reserve(int) ([]byte, error) { return nil, errors.ErrUnsupported }

func release([]byte) {}
