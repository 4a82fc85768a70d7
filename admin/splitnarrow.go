package admin

import (
	"context"
	"slices"

	"helm-tenant/tenant"
)

func (s *Split) readRest(ctx context.Context, e *SplitEnd) error {
	if len(e.Rest) == 0 {
		return nil
	}
	releases, err := readReleasesIn(ctx, s.Client, tenant.EngineTiller, s.From)
	if err != nil {
		return err
	}
	e.RestNamespaces = nil
	for _, r := range releases {
		if e.state.Copied(r.Name) == "" && !r.Gone() && r.Problem == "" && !slices.Contains(e.RestNamespaces, r.Namespace) {
			e.RestNamespaces = append(e.RestNamespaces, r.Namespace)
		}
	}
	return nil
}

// narrowed asks for the tenant that the split Tiller becomes.
func (s *Split) narrowed(e *SplitEnd) Request {
	return Request{Tenant: tenant.Tenant{Name: s.Narrow, HomeNamespace: s.From, Namespaces: e.RestNamespaces}, Adopt: true, ClientVersion: s.ClientVersion, Accepted: s.Accepted}
}

// previewNarrow reads where the releases that stay are, and fails if the Tiller could not
// be narrowed to these namespaces, without the releases that moved.
func (s *Split) previewNarrow(ctx context.Context, e *SplitEnd) error {
	if err := s.readRest(ctx, e); err != nil || s.Narrow == "" || len(e.Rest) == 0 {
		return err
	}
	request := s.narrowed(e)
	request.Leaving = map[string]bool{}
	for _, record := range e.moved {
		request.Leaving[record.Release] = true
	}
	prepared, err := Prepare(ctx, s.Client, request)
	if err != nil {
		return err
	}
	e.Plan.Changes = append(e.Plan.Changes, prepared.Plan.Changes...)
	return nil
}

// narrow makes the Tiller a tenant of the namespaces of the releases that stay. By then
// it serves these releases again, with its former rights, and keeps these on an error.
func (s *Split) narrow(ctx context.Context, e *SplitEnd) error {
	if s.Narrow == "" {
		return nil
	}
	request := s.narrowed(e)
	prepared, err := writeRequest(ctx, s.Client, request, s.Event.made)
	if err != nil {
		return &NarrowError{s.Narrow, err}
	}
	for _, note := range prepared.Notes {
		s.Event.note("%s", note)
	}
	return nil
}

// NarrowError reports that the records of the releases that moved are removed, and that
// the split Tiller still has its former rights.
type NarrowError struct {
	Tenant string
	Err    error
}

func (e *NarrowError) Error() string {
	return "the Tiller runs for what stays, and has the rights that it had: tenant " + e.Tenant + ": " + e.Err.Error()
}

func (e *NarrowError) Unwrap() error { return e.Err }
