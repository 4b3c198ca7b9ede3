package logs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/sett-run/sett/sdk/abi"
)

// A segment is a file of lines, each a JSON object and a line feed. A crash may leave half a line at its end.

// maxRecordBytes is more than any line takes: escaping makes at most six bytes of one.
const maxRecordBytes = 6*(2*maxLineBytes+8*nameBytes) + 1024

// encodeLine appends line to b as one record.
func encodeLine(b *bytes.Buffer, line abi.Line) error {
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(line)
}

// readSegment hands every line of a segment to keep. It answers the offset after the last complete record, where
// writing may go on, and how many records were damaged and left out.
func readSegment(r io.Reader, keep func(abi.Line)) (end int64, damaged int, err error) {
	records := bufio.NewReaderSize(r, maxRecordBytes)
	for offset := int64(0); ; {
		record, err := records.ReadSlice('\n')
		offset += int64(len(record))
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) { // too long for a record: leave it out
			record, err = records.ReadSlice('\n')
			offset += int64(len(record))
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return end, damaged, err
		}
		end = offset
		var line abi.Line
		if long || json.Unmarshal(record, &line) != nil {
			damaged++
			continue
		}
		keep(line)
	}
}
