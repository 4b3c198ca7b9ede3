package events

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/sett-run/sett/sdk/go/internal/host"
)

// Stream is a batch of the changes of keys, oldest first: the event stream.
type Stream struct {
	Records []Change `json:"Records"`
}

// What a Change did: its Kind.
const (
	Insert = "INSERT"
	Modify = "MODIFY"
	Remove = "REMOVE"
)

// Change is one change of a key.
type Change struct {
	ID        string       `json:"eventID"` // its own, and the same whenever it comes
	Kind      string       `json:"eventName"`
	Detail    ChangeDetail `json:"dynamodb"`
	By        *ChangedBy   `json:"userIdentity,omitempty"` // of a key that has expired; else nil
	StreamARN string       `json:"eventSourceARN"`
	Source    string       `json:"eventSource"` // "aws:dynamodb"
	Region    string       `json:"awsRegion"`
}

// ChangedBy says who made a change that no caller did.
type ChangedBy struct {
	Type      string `json:"type"`
	Principal string `json:"principalId"`
}

// ChangeDetail is what a change says of its key.
type ChangeDetail struct {
	Keys     map[string]Value `json:"Keys"`
	New      map[string]Value `json:"NewImage,omitempty"` // key, value and revision afterwards; nil: it is gone
	Old      map[string]Value `json:"OldImage,omitempty"` // those before; nil: there was none, or it is not known
	Sequence string           `json:"SequenceNumber"`     // grows with each change
	Seconds  float64          `json:"ApproximateCreationDateTime"`
	Size     int              `json:"SizeBytes"`
	View     string           `json:"StreamViewType"`
}

// Value is text, bytes or a number; the others are not set.
type Value struct {
	Text   *string `json:"S,omitempty"`
	Bytes  []byte  `json:"B,omitempty"`
	Number string  `json:"N,omitempty"`
}

func (v Value) bytes() []byte {
	if v.Text != nil {
		return []byte(*v.Text)
	}
	return append([]byte{}, v.Bytes...)
}

// Key is the key that was changed.
func (c *Change) Key() string { return string(c.Detail.Keys["key"].bytes()) }

// New is the value after the change, nil when the key is gone.
func (c *Change) New() []byte { return valueOf(c.Detail.New) }

// Old is the value before the change, nil when there was none or it is not known.
func (c *Change) Old() []byte { return valueOf(c.Detail.Old) }

func valueOf(image map[string]Value) []byte {
	if image == nil {
		return nil
	}
	return image["value"].bytes()
}

// Revision is the key's revision after the change; 0 when it is gone.
func (c *Change) Revision() uint64 {
	n, _ := strconv.ParseUint(c.Detail.New["revision"].Number, 10, 64)
	return n
}

// Time is when the change was made, to the second.
func (c *Change) Time() time.Time { return time.Unix(int64(c.Detail.Seconds), 0).UTC() }

// Expired says that the key is gone since its time to live was over.
func (c *Change) Expired() bool { return c.Kind == Remove && c.By != nil }

// Each runs f on each change in order, until it fails on one. That one and those behind it come again; f's error is logged.
// When it fails on the first, so does the batch. The answer counts where the event says functionResponseType:
// ReportBatchItemFailures; without it a handler loses the changes behind a failure, unless it answers an error itself.
func (s Stream) Each(f func(c Change) error) (Failures, error) {
	for i := range s.Records {
		c := &s.Records[i]
		err := f(*c)
		if err == nil {
			continue
		}
		logChange(c, err)
		failures := Failures{Items: []Failure{{c.Detail.Sequence}}}
		if i == 0 {
			return failures, err
		}
		return failures, nil
	}
	return Failures{Items: []Failure{}}, nil
}

// logChange writes why a change failed into the function's log.
func logChange(c *Change, err error) {
	type attrs struct {
		Change string `json:"change"`
		Key    string `json:"key"`
		Err    string `json:"err"`
	}
	record, _ := json.Marshal(struct { // text cannot fail
		Msg   string `json:"msg"`
		Attrs attrs  `json:"attrs"`
	}{"change failed", attrs{c.Detail.Sequence, c.Key(), err.Error()}})
	host.LogWrite(levelWarn, record)
}
