package attack

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// verdict is what came of an attack.
type verdict int

const (
	// broken: it could not run, or was stopped by something that is no defence.
	// That says nothing, and fails the suite; so does an attack without outcome.
	broken verdict = iota
	// refused: something whose task it is stopped it, and said so.
	refused
	// worked: its effect was seen.
	worked
)

type outcome struct {
	verdict verdict
	// by is what refused it, in a few words.
	by string
	// detail is the effect, the text of the refusal, or the failure.
	detail string
}

func (o outcome) String() string {
	switch o.verdict {
	case worked:
		return "WORKED"
	case refused:
		return "refused: " + o.by
	}
	return "COULD NOT RUN"
}

func success(format string, args ...any) outcome {
	return outcome{verdict: worked, detail: fmt.Sprintf(format, args...)}
}

func failure(format string, args ...any) outcome {
	return outcome{verdict: broken, detail: fmt.Sprintf(format, args...)}
}

// refusal is a class of refusals: who refuses, and the text that identifies it.
type refusal struct {
	by    string
	words *regexp.Regexp
}

// Refusals that can meet any attack. RBAC's names the one who was refused, which
// must be the attacker or what acts for it.
var (
	byRBAC   = regexp.MustCompile(`User "([^"]+)" cannot \S+ (?:resource|path) "[^"]+"`)
	refusals = []refusal{
		// helm-tenant asks the API server as the caller, and says what it may not.
		{"RBAC", regexp.MustCompile(`you may not read what this needs(?:, and nothing was written)?; \d+ permissions? (?:is|are) missing: `)},
		{"RBAC", regexp.MustCompile(`you are no member of it, or there is no such tenant: you may not list pods in namespace "[^"]+"`)},
		{"escalation check", regexp.MustCompile(`is attempting to grant RBAC permissions not currently held`)},
		{"admission policy", regexp.MustCompile(`ValidatingAdmissionPolicy 'helm-tenant-records' with binding 'helm-tenant-records' denied request: [^\n]*`)},
		{"guard", regexp.MustCompile(`ValidatingAdmissionPolicy 'helm-tenant-guard-[a-z]+' with binding 'helm-tenant-guard-[a-z]+' denied request: [^\n]*`)},
		{"PodSecurity", regexp.MustCompile(`violates PodSecurity "[^"]+"`)},
	}
)

// refusedBy tells a refusal from a failure. Only the words of a known refusal
// count: a missing binary, a chart that is wrong or a timeout is no defence.
func (s *attackRun) refusedBy(err error, more ...refusal) outcome {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if errors.Is(err, errTimeout) {
		return failure("%s", text)
	}
	for _, r := range append(more, refusals...) {
		if r.words.MatchString(text) {
			return outcome{refused, r.by, text}
		}
	}
	match := byRBAC.FindStringSubmatch(text)
	if match == nil {
		return failure("it failed, and not by a refusal that is known: %s", text)
	}
	switch user := match[1]; {
	case user == s.actor.name:
		return outcome{refused, "RBAC", text}
	case user == s.deployer(s.entry) && s.account == "tiller":
		return outcome{refused, "RBAC, of Tiller", text}
	case user == s.deployer(s.entry):
		return outcome{refused, "RBAC, of the deployer", text}
	case strings.HasPrefix(user, "system:serviceaccount:"+s.own+":") && s.account == "helm":
		return outcome{refused, "RBAC, of that account", text}
	case strings.HasPrefix(user, "system:serviceaccount:"+s.own+":"):
		return outcome{refused, "RBAC, of the pod", text}
	}
	return failure("somebody else was refused: %s", text)
}

// settle judges an attack: it worked if its effect exists, whatever the answer. Without an
// effect it must have been refused.
func (s *attackRun) settle(answer error, effect string, looking error, more ...refusal) outcome {
	switch {
	case looking != nil:
		return failure("looking for the effect: %v", looking)
	case effect != "":
		return success("%s", effect)
	case answer == nil:
		return failure("it was not refused, and had no effect either")
	}
	return s.refusedBy(answer, more...)
}

func TestOnlyRefusalsCount(t *testing.T) {
	home := &tenant{home: "team-a-tiller"}
	s := &attackRun{world: &world{account: "tiller"}, actor: &person{name: "alice"}, entry: home, victim: home, own: "a1"}
	for _, c := range []struct {
		answer string
		want   verdict
		by     string
	}{
		{`pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "team-b-tiller"`, refused, "RBAC"},
		{`forbidden: User "alice" cannot impersonate-on:serviceaccount:get path "/version"`, refused, "RBAC"},
		{`User "alice" cannot impersonate-on:user-info:create resource "selfsubjectreviews"`, refused, "RBAC"},
		{`configmaps is forbidden: User "system:serviceaccount:team-a-tiller:tiller" cannot create resource "configmaps"`, refused, "RBAC, of Tiller"},
		{`is forbidden: user "system:serviceaccount:team-a-tiller:tiller" (groups=["x"]) is attempting to grant RBAC permissions not currently held`, refused, "escalation check"},
		{`ValidatingAdmissionPolicy 'helm-tenant-records' with binding 'helm-tenant-records' denied request: no`, refused, "admission policy"},
		{"Error: destroy of tenant \"team-b\" in context \"test\": you may not read what this needs, and nothing was written; 8 permissions are missing:\n  list configmaps in the cluster", refused, "RBAC"},
		{`Error: the Tiller in namespace "team-b-tiller" of context "test" does not answer: you are no member of it, or there is no such tenant: you may not list pods in namespace "team-b-tiller"`, refused, "RBAC"},
		// Somebody else's refusal, and what only looks like one.
		{`pods is forbidden: User "bob" cannot list resource "pods"`, broken, ""},
		{`ValidatingAdmissionPolicy 'of-somebody' with binding 'of-somebody' denied request: no`, broken, ""},
		{`pods "x" is forbidden: exceeded quota: by-admin`, broken, ""},
		{`dial tcp 10.244.0.7:44134: connect: connection refused`, broken, ""}, // an attack must expect it
		{`Error: context deadline exceeded`, broken, ""},
		{`Error: Kubernetes cluster unreachable: unknown`, broken, ""}, // kubectl must tell why
		{`Error: path "charts/x" not found`, broken, ""},
		{`fork/exec helm: no such file or directory`, broken, ""},
		{`Error: could not find tiller`, broken, ""},
		{`error: the server doesn't have a resource type "things"`, broken, ""},
	} {
		got := s.refusedBy(errors.New(c.answer))
		if got.verdict != c.want || got.by != c.by {
			t.Errorf("%s: %s", c.answer, got)
		}
	}
	words := fmt.Errorf("%w: User \"alice\" cannot list resource \"pods\"", errTimeout)
	if got := s.refusedBy(words); got.verdict != broken {
		t.Errorf("a timeout counts as a defence: %s", got)
	}
	if got := s.settle(nil, "", nil); got.verdict != broken {
		t.Errorf("what was not refused and had no effect counts as %s", got)
	}
}
