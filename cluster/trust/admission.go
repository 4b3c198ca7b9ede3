package trust

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"

	"github.com/sett-run/sett/sdk/abi"
)

// Admission admits nodes that hold a token, by what the store holds. It is an Admitter; it never changes.
type Admission struct {
	Records *Records
	// Peers are nodes of the cluster, this one first; MaxPeers at most are told.
	Peers func(ctx context.Context) []Peer
	// Accept refuses nodes for other reasons, such as their version, before their token is looked at, so what it says
	// is for strangers too; nil: it refuses none. Its error needs a code.
	Accept func(ctx context.Context, r Request) error
}

var _ Admitter = Admission{}

// Admit makes the node a member. A node that did not get the answer may ask again with the same key: only once the
// token is used does anything else happen.
func (a Admission) Admit(ctx context.Context, r Request) (Answer, error) {
	if a.Accept != nil {
		if err := a.Accept(ctx, r); err != nil {
			return Answer{}, err
		}
	}
	public, err := requestKey(r.CSR)
	if err != nil {
		return Answer{}, abi.WithCode(abi.InvalidInput, fmt.Errorf("read certificate request: %w", err))
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Answer{}, fmt.Errorf("read certificate request: %w", err)
	}
	role, err := a.Records.Redeem(ctx, Redemption{Invite: r.Invite, Secret: r.Secret, Key: sha256.Sum256(der),
		Member: Member{ID: r.ID, Name: r.Name, Region: r.Region}})
	if err != nil {
		return Answer{}, err
	}
	return a.answer(ctx, r, role)
}

func (a Admission) answer(ctx context.Context, r Request, role Role) (answer Answer, err error) {
	authority, _, err := a.Records.Authority(ctx, strong())
	if err != nil {
		return answer, err
	}
	answer = Answer{Role: role, Roots: authority.Roots()}
	if answer.Certificate, err = authority.Issue(r.CSR, r.ID); err != nil {
		return answer, err
	}
	if answer.Keys, _, err = a.Records.Keyring(ctx, strong()); err != nil {
		return answer, err
	}
	answer.Peers = a.Peers(ctx)
	answer.Peers = answer.Peers[:min(len(answer.Peers), MaxPeers)]
	return answer, answer.validate()
}
