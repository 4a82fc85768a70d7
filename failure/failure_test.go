package failure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
)

// sentence is an error that names subjects in a sentence of its own.
func sentence(text string, subjects ...string) error { return Naming(errors.New(text), subjects...) }

func TestSubjectsAreNamedOnce(t *testing.T) {
	const c, c2, pod = `context "c"`, `context "c2"`, "the cluster of this pod"
	of := func(operation, preposition, where string) Error {
		return Error{Operation: operation, Where: Subject{preposition, where}}
	}
	grant := Of("grant", "t", pod)
	grant.Tenant.Preposition = "for"
	unlisted := of("the tenants", "of", c)
	unlisted.Outcome = "can't be listed"
	silent := of(`the Tiller in namespace "h"`, "of", c)
	silent.Outcome = "does not answer"
	frozen := sentence(`tenant "t" is frozen since today: INC-1`, Tenant("t"))
	none := sentence(`there is no tenant "t" in context "c"`, Tenant("t"), c)
	nobody := sentence(`there is no tenant "t" in the cluster of this pod`, Tenant("t"), pod)
	unreachable := sentence(`the API server of context "c" can't be reached: refused`, c)
	denied := errors.New("forbidden")
	for _, test := range []struct {
		err  error
		want string
	}{
		{OfTenant("t").Wrap(frozen), `tenant "t" is frozen since today: INC-1`},
		{OfTenant("t").Wrap(denied), `tenant "t": forbidden`},
		{In("", c).Wrap(none), `there is no tenant "t" in context "c"`},
		{Of("destroy", "t", c).Wrap(none), `destroy: there is no tenant "t" in context "c"`},
		{grant.Wrap(nobody), `grant: there is no tenant "t" in the cluster of this pod`},
		{grant.Wrap(denied), `grant for tenant "t" in the cluster of this pod: forbidden`},
		{Of("destroy", "t", c).Wrap(sentence(`tenant "t" is frozen`, Tenant("t"))), `destroy in context "c": tenant "t" is frozen`},
		{Of("destroy", "t", c).Wrap(sentence(`tenant "t2" is frozen`, Tenant("t2"))), `destroy of tenant "t" in context "c": tenant "t2" is frozen`},
		{OfTenant("t").Wrap(none), `there is no tenant "t" in context "c"`},
		{In("apply", c).Wrap(In("reading namespaces", c).Wrap(denied)), `apply in context "c": reading namespaces: forbidden`},
		{In("apply", c).Wrap(In("reading namespaces", c2).Wrap(denied)), `apply in context "c": reading namespaces in context "c2": forbidden`},
		{In("apply", c).Wrap(fmt.Errorf("the guard: %w", In("reading namespaces", c).Wrap(denied))), `apply in context "c": the guard: reading namespaces: forbidden`},
		{In("apply", c).Wrap(errors.Join(In("reading a", c).Wrap(denied), In("reading b", c).Wrap(denied))), "apply in context \"c\": reading a: forbidden\nreading b: forbidden"},
		{unlisted.Wrap(In("listing configmaps", c).Wrap(denied)), `the tenants of context "c" can't be listed: listing configmaps: forbidden`},
		{unlisted.Wrap(unreachable), `the tenants can't be listed: the API server of context "c" can't be reached: refused`},
		{Of("init", "t", c).Wrap(unreachable), `init of tenant "t": the API server of context "c" can't be reached: refused`},
		{of("audit", "of", c).Wrap(unreachable), `audit: the API server of context "c" can't be reached: refused`},
		{In("", c).Wrap(sentence(`context "c" has no cluster`, c)), `context "c" has no cluster`},
		{grant.Wrap(In("", pod).Wrap(errors.New("the certificate is gone"))), `grant for tenant "t" in the cluster of this pod: the certificate is gone`},
		{silent.Wrap(unreachable), `the Tiller in namespace "h" does not answer: the API server of context "c" can't be reached: refused`},
		// Two of the same tenant.
		{Of("export", "t", c).Wrap(OfTenant("t").Wrap(denied)), `export of tenant "t" in context "c": forbidden`},
		// A Namer whose text is not shown names nothing.
		{In("apply", c).Wrap(&hiding{none}), `apply in context "c": it did not work`},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
}

// hiding is an error whose text is not that of the error that it wraps.
type hiding struct{ err error }

func (h *hiding) Error() string { return "it did not work" }
func (h *hiding) Unwrap() error { return h.err }

func TestNothingIsNoError(t *testing.T) {
	if err := errors.Join(Of("init", "t", "c").Wrap(nil), Naming(nil, "c")); err != nil {
		t.Error(err)
	}
}

func TestErrorsAreFound(t *testing.T) {
	cause := &os.PathError{Op: "open", Path: "f", Err: os.ErrPermission}
	err := Of("init", "t", "c").Wrap(Naming(fmt.Errorf("c: %w", cause), "c"))
	if found, ok := errors.AsType[*os.PathError](err); !ok || found != cause || !errors.Is(err, os.ErrPermission) {
		t.Error(err)
	}
}

func TestText(t *testing.T) {
	stopped, stop := context.WithCancelCause(context.Background())
	stop(errors.New("the operator left"))
	cut := json.Unmarshal([]byte(`{"a":`), &struct{}{})
	broken := json.Unmarshal([]byte(`{"a" b`), &struct{}{})
	for _, test := range []struct {
		err  error
		want string
	}{
		{context.Canceled, "interrupted"},
		{fmt.Errorf("helm list: %w", context.DeadlineExceeded), "helm list: it took too long"},
		{fmt.Errorf("report.json: %w", cut), "report.json: it ends too early to be JSON"},
		{fmt.Errorf("report.json: %w", broken), `report.json: invalid character 'b' after object key`},
		{fmt.Errorf("record: %w", io.ErrUnexpectedEOF), "record: it ends too early"},
		{fmt.Errorf("read: %w", os.ErrDeadlineExceeded), "read: no answer in time"},
		{context.Cause(stopped), "the operator left"},
		// The values of others stay as they are.
		{fmt.Errorf(`user "context canceled" is no member: %w`, context.Canceled), `user "context canceled" is no member: interrupted`},
		{errors.New(`user "x: i/o timeout" is no member`), `user "x: i/o timeout" is no member`},
		{errors.New("it says: context canceled"), "it says: context canceled"},
		{&hiding{context.Canceled}, "it did not work"},
	} {
		if got := Text(test.err); got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
}
