package prove

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/refusal"
	"helm-tenant/visible"
)

type verdict struct {
	result Result
	by     string // what refused it
	text   string // the API server's message, or the reason why it could not be tried
	// named reports whether the message names each thing that was refused, so that
	// anything else was not.
	named bool
}

// names reports whether the refusal names the attempt.
func (v verdict) names(a *Attempt) bool {
	return slices.ContainsFunc(a.named, func(words string) bool { return strings.Contains(v.text, words) })
}

func judge(r Request, a Answer) verdict {
	if a.Err != nil {
		return verdict{result: Untried, text: visible.Excerpt(a.Err.Error())}
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
	text := visible.Excerpt(status.Message)
	if refusal.IsOfImpersonation(status.Message) {
		return verdict{result: Untried, text: text}
	}
	// A review's own request is not refused for what it asks about.
	if r.review || a.Code != http.StatusForbidden && a.Code != http.StatusUnprocessableEntity && a.Code != http.StatusBadRequest {
		return verdict{result: Untried, text: text}
	}
	if by, known := refusal.Read(text); known {
		return verdict{result: Refused, by: by.By, text: text, named: by.Kind == refusal.PodSecurity}
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
		return verdict{result: Allowed, text: visible.Excerpt("allowed: " + review.Status.Reason)}
	case review.Status.EvaluationError != "":
		return verdict{result: Untried, text: visible.Excerpt(review.Status.EvaluationError)}
	}
	return verdict{result: Refused, by: "RBAC", text: visible.Excerpt(strings.TrimSuffix("not allowed: "+review.Status.Reason, ": "))}
}

func isUser(body []byte, user string) bool {
	var review authenticationv1.SelfSubjectReview
	return json.Unmarshal(body, &review) == nil && review.Status.UserInfo.Username == user
}
