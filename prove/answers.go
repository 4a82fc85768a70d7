package prove

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// verdict is what an answer says.
type verdict struct {
	result Result
	by     string // what refused it
	text   string // the API server's words, or why it could not be tried
	// named says that the words name each thing that was refused, so that what they
	// don't name was not.
	named bool
}

// names says whether the refusal names the attempt.
func (v verdict) names(a *Attempt) bool {
	return slices.ContainsFunc(a.named, func(words string) bool { return strings.Contains(v.text, words) })
}

// refusers are known by the words of their refusals; the first that matches is
// the one, and its first group its name. What comes from a webhook or a policy
// goes on in words of its own, which may be anybody's: these come first.
var refusers = []struct {
	words *regexp.Regexp
	by    func(name string) string
}{
	{regexp.MustCompile(`^admission webhook "([^"]+)" denied the request`), func(name string) string { return "webhook " + name }},
	{regexp.MustCompile(`ValidatingAdmissionPolicy '([^']+)' with binding '[^']+' denied request`), policyName},
	{regexp.MustCompile(`is forbidden: violates PodSecurity "([^"]+)": `), func(level string) string { return "PodSecurity " + strings.TrimSuffix(level, ":latest") }},
	{regexp.MustCompile(`is attempting to grant RBAC permissions not currently held`), func(string) string { return "RBAC's escalation check" }},
	{regexp.MustCompile(`is forbidden: (?:exceeded|failed) quota: ([^,]+)`), func(name string) string { return "quota " + name }},
	{regexp.MustCompile(`insufficient quota to match these scopes`), func(string) string { return "quota" }},
	{regexp.MustCompile(`is forbidden: User "[^"]*" cannot \S+ resource "[^"]*"`), func(string) string { return "RBAC" }},
	{regexp.MustCompile(`[Uu]se of external IPs is denied by admission control`), func(string) string { return "DenyServiceExternalIPs" }},
}

func policyName(name string) string {
	switch {
	case strings.HasPrefix(name, "helm-tenant-guard"):
		return "guard (" + name + ")"
	case name == "helm-tenant-records":
		return "records policy (" + name + ")"
	}
	return "admission policy " + name
}

// longest is how much of an answer is kept.
const longest = 600

// judge reads an answer.
func judge(r Request, a Answer) verdict {
	if a.Err != nil {
		return verdict{result: Untried, text: oneLine(a.Err.Error())}
	}
	if a.Code >= 200 && a.Code < 300 {
		if r.review {
			return judgeReview(a.Body)
		}
		return verdict{result: Allowed, text: "accepted"}
	}
	var status metav1.Status
	if err := json.Unmarshal(a.Body, &status); err != nil || status.Message == "" {
		return verdict{result: Untried, text: fmt.Sprintf("HTTP %d, and no reason that could be read", a.Code)}
	}
	text := oneLine(status.Message)
	if strings.Contains(text, `cannot impersonate resource`) {
		return verdict{result: Untried, text: text}
	}
	// A review is not refused by what it asks about.
	if r.review || a.Code != http.StatusForbidden && a.Code != http.StatusUnprocessableEntity && a.Code != http.StatusBadRequest {
		return verdict{result: Untried, text: text}
	}
	for i, refuser := range refusers {
		if match := refuser.words.FindStringSubmatch(text); match != nil {
			return verdict{result: Refused, by: refuser.by(match[len(match)-1]), text: text, named: i == 2}
		}
	}
	if a.Code == http.StatusForbidden {
		return verdict{result: Refused, by: "another admission plugin", text: text}
	}
	return verdict{result: Untried, text: text}
}

func judgeReview(body []byte) verdict {
	var review authorizationv1.SelfSubjectAccessReview
	if err := json.Unmarshal(body, &review); err != nil || review.Kind != "SelfSubjectAccessReview" {
		return verdict{result: Untried, text: "the authorizer's answer can't be read"}
	}
	switch {
	case review.Status.Allowed:
		return verdict{result: Allowed, text: oneLine("allowed: " + review.Status.Reason)}
	case review.Status.EvaluationError != "":
		return verdict{result: Untried, text: oneLine(review.Status.EvaluationError)}
	}
	return verdict{result: Refused, by: "RBAC", text: oneLine(strings.TrimSuffix("not allowed: "+review.Status.Reason, ": "))}
}

// isUser says whether the API server takes the one who asked for that user.
func isUser(body []byte, user string) bool {
	var review authenticationv1.SelfSubjectReview
	return json.Unmarshal(body, &review) == nil && review.Status.UserInfo.Username == user
}

// oneLine bounds what comes from the cluster.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return text
}
