package attack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"

	"helm-tenant/prove"
	"helm-tenant/test/harness"
)

// TestProveAgrees makes, with the real credentials of each identity, the requests that `helm
// tenant prove` tries by impersonation and dry run, and fails if the results differ.
func TestProveAgrees(t *testing.T) {
	p := newProver(t)
	p.tenant(t, "--engine", "tiller", "proof-a", "pa1")
	p.tenant(t, "--engine", "impersonation", "proof-b", "pb1")
	p.tenant(t, "--engine", "impersonation", "proof-c", "pc1")
	if _, err := p.helmTenant(t.Context(), "grant", "proof-b", "--reader", "--user", "proof-b-reader", "--accept-risk=reads-secrets"); err != nil {
		t.Fatalf("grant of a reader: %v", err)
	}
	p.patch(t, "/api/v1/namespaces/pc1", `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`)
	a := &prove.Target{Tenant: "proof-a", Home: "proof-a-tiller", Namespaces: []string{"pa1"}, Binding: "helm-tenant.proof-a.admin", Account: "tiller", Tiller: true}
	b := &prove.Target{Tenant: "proof-b", Home: "proof-b-helm", Namespaces: []string{"pb1"}, Binding: "helm-tenant.proof-b.admin", Account: "helm"}
	c := &prove.Target{Tenant: "proof-c", Home: "proof-c-helm", Namespaces: []string{"pc1"}, Binding: "helm-tenant.proof-c.admin", Account: "helm"}
	other := func(target *prove.Target) *prove.Other {
		return &prove.Other{Tenant: target.Tenant, Home: target.Home, Namespace: target.Namespaces[0], Account: target.Account, Tiller: target.Tiller}
	}
	a.Other, b.Other, c.Other = other(b), other(a), other(a)
	for _, target := range []*prove.Target{a, b, c} {
		t.Run(target.Tenant, func(t *testing.T) {
			target.Member = &prove.Identity{Role: prove.Member, User: memberOf(target.Tenant)}
			target.HasReaders = target == b
			target.Restricted = map[string]bool{"pc1": true}
			target.Quotas = map[string]map[string]bool{}
			// The API server takes a moment to act by policies that init wrote.
			if err := harness.Await(t.Context(), "the guard to act", func(context.Context) (bool, error) {
				row, existing := p.tried(t, target.Tenant)[fmt.Sprintf("own-binding as deployer in %q", target.Namespaces[0])]
				return existing && row.Result != prove.Allowed, nil
			}); err != nil {
				t.Fatal(err)
			}
			tried, done := p.tried(t, target.Tenant), p.done(t, target)
			for key, real := range done {
				if output, existing := tried[key]; !existing || output.Result != real.Result || output.By != real.By {
					t.Errorf("%s: prove says %s by %q (%s), and for real it is %s by %q (%s)",
						key, output.Result, output.By, output.Answer, real.Result, real.By, real.Answer)
				}
			}
			if len(tried) != len(done) {
				t.Errorf("prove has %d rows, and for real there are %d", len(tried), len(done))
			}
		})
	}
}

// key tells rows apart, whichever other tenant is attacked.
func key(r prove.Row) string {
	namespace := r.Namespace
	if strings.HasPrefix(r.Attempt, "other-") {
		namespace = "another tenant's"
	}
	return fmt.Sprintf("%s as %s in %q", r.Attempt, r.As, namespace)
}

func byKey(rows []prove.Row) map[string]prove.Row {
	keyed := map[string]prove.Row{}
	for _, row := range rows {
		keyed[key(row)] = row
	}
	return keyed
}

// tried is what `helm tenant prove` says, once every control is accepted: rights
// come into force a moment after they are written.
func (p *prover) tried(t *testing.T, tenant string) map[string]prove.Row {
	t.Helper()
	var report prove.Report
	err := harness.Await(t.Context(), "the controls to be accepted", func(ctx context.Context) (bool, error) {
		out, err := p.helmTenant(ctx, "prove", tenant, "-o", "json")
		if len(out) == 0 {
			return false, err // 4 and 5 are no failures
		}
		report = prove.Report{}
		if err := json.Unmarshal(out, &report); err != nil {
			return false, err
		}
		return report.Counts[prove.Untried] == 0, nil
	})
	if err != nil {
		t.Fatalf("%v: %+v", err, report.Rows)
	}
	return byKey(report.Rows)
}

// done does all that the table has, for real, and judges the answers as prove does.
func (p *prover) done(t *testing.T, target *prove.Target) map[string]prove.Row {
	t.Helper()
	clients := map[string]*http.Client{}
	var exchanges []prove.Exchange
	send := func(requests []prove.Request) {
		for _, r := range requests {
			client := clients[r.As.User]
			if client == nil {
				client = p.as(t, r.As)
				clients[r.As.User] = client
			}
			exchanges = append(exchanges, prove.Exchange{Request: r, Answer: p.do(t, client, r)})
		}
	}
	send(target.Requests())
	send(target.Follow(exchanges))
	return byKey(target.Judge(exchanges))
}

// as returns a client with the identity's own credentials.
func (p *prover) as(t *testing.T, who prove.Identity) *http.Client {
	t.Helper()
	if account, ok := strings.CutPrefix(who.User, "system:serviceaccount:"); ok {
		namespace, name, _ := strings.Cut(account, ":")
		return p.withToken(t, namespace, name)
	}
	return p.withCertificate(t, who.User, who.Groups...)
}

// do makes a request without its dry run, and takes back what it did.
func (p *prover) do(t *testing.T, client *http.Client, r prove.Request) prove.Answer {
	t.Helper()
	if strings.HasSuffix(r.Path, "/selfsubjectaccessreviews") {
		return p.act(t, client, r)
	}
	before := []byte(nil)
	if r.Method == http.MethodDelete || r.Method == http.MethodPatch {
		_, before = p.send(t, p.client, http.MethodGet, r.Path, "", nil, nil)
	}
	query := ""
	if r.Method == http.MethodGet {
		query = "?" + r.Query.Encode()
	}
	code, body := p.send(t, client, r.Method, r.Path+query, r.Type, r.Body, nil)
	if code < 300 {
		p.undo(t, r, before, body)
	}
	return prove.Answer{Code: code, Body: body}
}

// undo takes back what a request did that was accepted.
func (p *prover) undo(t *testing.T, r prove.Request, before, created []byte) {
	t.Helper()
	var object map[string]any
	source := created
	if before != nil {
		source = before
	}
	if err := json.Unmarshal(source, &object); err != nil {
		t.Fatal(err)
	}
	meta, _ := object["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	for _, field := range []string{"resourceVersion", "uid", "managedFields", "creationTimestamp"} {
		delete(meta, field)
	}
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	code, answer := 200, []byte(nil)
	switch {
	case r.Method == http.MethodDelete:
		code, answer = p.send(t, p.client, http.MethodPost, r.Path[:strings.LastIndex(r.Path, "/")], "application/json", text, nil)
	case r.Method == http.MethodPatch:
		code, answer = p.send(t, p.client, http.MethodPut, r.Path, "application/json", text, nil)
	case r.Method == http.MethodPost && name != "":
		code, answer = p.send(t, p.client, http.MethodDelete, r.Path+"/"+name+"?gracePeriodSeconds=0", "", nil, nil)
	}
	if code >= 300 {
		t.Fatalf("taking back %s %s: %d %s", r.Method, r.Path, code, answer)
	}
}

// act does what an access review asks about, and answers as the review would.
func (p *prover) act(t *testing.T, client *http.Client, r prove.Request) prove.Answer {
	t.Helper()
	var review authorizationv1.SelfSubjectAccessReview
	if err := json.Unmarshal(r.Body, &review); err != nil {
		t.Fatal(err)
	}
	a := review.Spec.ResourceAttributes
	code := 0
	var body []byte
	switch a.Verb + " " + a.Resource + "/" + a.Subresource {
	case "create pods/attach":
		code, body = p.send(t, client, http.MethodPost, "/api/v1/namespaces/"+a.Namespace+"/pods/none/attach?stdout=true", "", nil, spdyStreams)
	case "patch pods/ephemeralcontainers", "patch pods/status":
		code, body = p.send(t, client, http.MethodPatch, "/api/v1/namespaces/"+a.Namespace+"/pods/none/"+a.Subresource, "application/merge-patch+json", []byte("{}"), nil)
	case "patch deployments/scale":
		code, body = p.send(t, client, http.MethodPatch, "/apis/apps/v1/namespaces/"+a.Namespace+"/deployments/none/scale", "application/merge-patch+json", []byte(`{"spec":{"replicas":0}}`), nil)
	case "create pods/eviction":
		code, body = p.send(t, client, http.MethodPost, "/api/v1/namespaces/"+a.Namespace+"/pods/none/eviction", "application/json",
			[]byte(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"none"}}`), nil)
	case "create services/proxy":
		code, body = p.send(t, client, http.MethodPost, "/api/v1/namespaces/"+a.Namespace+"/services/none/proxy/", "", nil, nil)
	case "create pods/exec", "create pods/portforward":
		// Authorization comes before the pod is looked for.
		code, body = p.send(t, client, http.MethodPost, "/api/v1/namespaces/"+a.Namespace+"/pods/none/"+a.Subresource+"?command=true&stdout=true", "", nil, spdyStreams)
	case "create serviceaccounts/token":
		code, body = p.send(t, client, http.MethodPost, "/api/v1/namespaces/"+a.Namespace+"/serviceaccounts/"+a.Name+"/token", "application/json",
			[]byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`), nil)
	case "get nodes/proxy":
		code, body = p.send(t, client, http.MethodGet, "/api/v1/nodes/node/proxy/pods", "", nil, nil)
	case "impersonate serviceaccounts/":
		code, body = p.send(t, client, http.MethodGet, "/version", "", nil, http.Header{"Impersonate-User": {"system:serviceaccount:" + a.Namespace + ":" + a.Name}})
	default:
		t.Fatalf("nothing does %s %s/%s for real", a.Verb, a.Resource, a.Subresource)
	}
	if code == http.StatusForbidden && !byRBAC.Match(body) && !bytes.Contains(body, []byte(`cannot `)) {
		t.Errorf("%s %s/%s was refused in words that are not known: %s", a.Verb, a.Resource, a.Subresource, body)
	}
	review.Status = authorizationv1.SubjectAccessReviewStatus{Allowed: code != http.StatusForbidden}
	text, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	return prove.Answer{Code: http.StatusCreated, Body: text}
}

// patch changes an object as root.
func (p *prover) patch(t *testing.T, path, patch string) {
	t.Helper()
	if code, body := p.send(t, p.client, http.MethodPatch, path, "application/merge-patch+json", []byte(patch), nil); code >= 300 {
		t.Fatalf("patching %s: %d %s", path, code, body)
	}
}

func (p *prover) send(t *testing.T, client *http.Client, method, path, contentType string, body []byte, headers http.Header) (int, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, p.cluster.Server+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range headers {
		request.Header[name] = values
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response.StatusCode, nil
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}
