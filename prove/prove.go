// Package prove has everything that a tenant must not be able to do, tries it on a
// cluster without changing anything, and judges the answers. It is pure: Target.Requests
// returns the requests to send, Follow those to send after that, and Judge makes rows of
// the answers. The caller sends the requests.
//
// A write is sent as a server-side dry run, which authorization and admission treat as
// they would treat the real one and which stores nothing
// (kubernetes.io/docs/reference/using-api/api-concepts, "Dry-run"). A read requests the
// metadata of one object. A stream or a token, for which there is no dry run, is replaced
// by a question to the authorizer.
package prove

import (
	"net/url"
)

// Role is the kind of identity that tries something.
type Role string

const (
	Deployer Role = "deployer" // the account by which helm acts for the tenant
	Member   Role = "member"   // a person, or an account, that may use the tenant
	Account  Role = "account"  // a service account in one of the tenant's namespaces
	Reader   Role = "reader"   // the account as which the tenant's readers act
)

// Identity is the sender of a request, by impersonation.
type Identity struct {
	Role   Role     `json:"role"`
	User   string   `json:"user"`
	Groups []string `json:"groups,omitempty"`
}

// Target is a tenant with the facts that its attempts need.
type Target struct {
	Tenant     string
	Home       string
	Namespaces []string
	// Binding is the name of the RoleBinding that grants the deployer its role in each of
	// the namespaces.
	Binding string
	// Account is the deployer's name in the home namespace. Tiller reports whether it is
	// a Tiller's, which members reach by port-forward; they reach the other by
	// impersonation.
	Account string
	Tiller  bool
	// Member is nil if there is none to try; MemberWhy is the reason, and empty if the
	// tenant has no members.
	Member    *Identity
	MemberWhy string
	// HasReaders reports whether the tenant has an account for readers.
	HasReaders bool
	// Isolated and Hosts are settings that forbid what is otherwise allowed.
	Isolated bool
	Hosts    bool
	// Restricted are the namespaces with PodSecurity level restricted; Quotas are those
	// with a ResourceQuota, with the names in the quotas.
	Restricted map[string]bool
	Quotas     map[string]map[string]bool
	// Workloads is the API version of Workloads, templates of groups of pods; empty where the
	// API server serves none whose form is known.
	Workloads string
	// Other is another tenant, nil where there is none.
	Other *Other
}

// WorkloadVersions are the API versions whose Workloads have the form that is tried, the
// preferred one first.
var WorkloadVersions = []string{"scheduling.k8s.io/v1", "scheduling.k8s.io/v1beta1"}

// Other is the tenant that must not be reached from this one.
type Other struct {
	Tenant, Home, Namespace, Account string
	Tiller                           bool
	// HasMember reports whether the target's member is a member of this tenant as well,
	// and so may use it: nothing is tried there as the member.
	HasMember bool
}

// Request is one request to the API server.
type Request struct {
	As     Identity
	Method string // an HTTP method
	Path   string
	Query  url.Values
	// Body is nil, an object, or a patch; Type is its media type.
	Body []byte
	Type string

	// Namespace is the tenant's namespace for which the request counts; empty if it is
	// made once for the tenant.
	Namespace string
	// Where is the namespace that it concerns; empty for cluster-scoped objects.
	Where string
	// Attempts are the attempts in the request: several only if one pod combines them.
	Attempts []*Attempt
	// Control reports whether the request must be accepted.
	Control bool
	// review reports whether the authorizer answers.
	review bool
}

// Answer is the answer to a request, or the reason why there is none.
type Answer struct {
	Code int
	Body []byte
	Err  error
}

// Exchange is a request and its answer.
type Exchange struct {
	Request
	Answer Answer
}

// These bound the number of requests for a tenant, for each of its namespaces, and the
// additional ones of both for a tenant with readers.
const (
	TenantRequests          = 40
	NamespaceRequests       = 10
	ReaderTenantRequests    = 30
	ReaderNamespaceRequests = 1
)
