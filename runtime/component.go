package runtime

import (
	"errors"

	"github.com/sett-run/sett/runtime/component"
	"github.com/sett-run/sett/runtime/registry"
	"github.com/sett-run/sett/runtime/wasmbin"
	"github.com/sett-run/sett/sdk/abi"
)

// recogniseComponent is recognise for a component. What its modules ask of the host is looked at there.
func recogniseComponent(binary []byte) (traits, error) {
	c, err := component.Read(binary)
	if err != nil {
		return traits{}, componentError(err)
	}
	t := traits{Kind: registry.KindComponent, Component: c}
	t.MemoryBytes, t.MaxBytes = c.Memory.MinBytes, c.Memory.MaxBytes
	return t, nil
}

// linkComponent recognises a component and answers it as one module.
func linkComponent(binary []byte) (traits, []byte, error) {
	t, err := recogniseComponent(binary)
	if err != nil {
		return t, nil, err
	}
	linked, err := component.Link(binary)
	if err != nil {
		return t, nil, componentError(err)
	}
	return t, linked, nil
}

// componentError gives what is wrong with a component's modules its code; the rest has one.
func componentError(err error) error {
	var e *wasmbin.Error
	if errors.As(err, &e) {
		return moduleError(err)
	}
	return err
}

// component runs a component's handler for an event.
func (i *instance) component(c *call, e *abi.Event, reply *abi.Reply) *failure {
	c.process.Env = settingsEnv(c.version)
	w := &c.component
	w.Guest = i.guest
	defer w.Close()
	if f := i.prepare(c); f != nil {
		return f
	}
	if c.host.Store != nil {
		w.Store = &c.host
	}
	if c.host.Fetcher != nil {
		w.Sender = &c.host
	}
	if !c.pieces.hold {
		w.Pieces = &c.pieces
	}
	if e.More && e.Stream != nil {
		w.Body = e.Stream
	}
	if f := i.call(c, i.entry, component.ExportHandle, w.Begin(e)); f != nil {
		return f
	}
	if err := w.Reply(reply); err != nil {
		return c.unanswered(err)
	}
	if i.code.Component.PostReturn {
		w.After()
		return i.call(c, i.module.ExportedFunction(component.ExportPostReturn), component.ExportPostReturn, nil)
	}
	return nil
}

// unanswered says why what a component answered is no reply, or could not be sent.
func (c *call) unanswered(err error) *failure {
	var left *lost
	if errors.As(err, &left) {
		return c.reason(err)
	}
	return failed(outcomeReply, err.Error())
}
