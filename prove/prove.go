// Package prove knows what a tenant must not be able to do, asks a cluster for
// each of it without changing anything, and judges the answers. It is pure:
// Target.Requests says what to send, Follow what to send after that, and Judge
// makes rows of what was answered. Sending is left to the caller.
//
// A write is sent as a server-side dry run, which authorization and admission
// answer as they would the real one and which stores nothing
// (kubernetes.io/docs/reference/using-api/api-concepts, "Dry-run"). A read asks
// for one object and for its metadata alone. What can't be asked in either way,
// a stream or a token, is asked of the authorizer.
package prove

import (
	"net/url"
)

// Role is as whom something is tried.
type Role string

const (
	Deployer Role = "deployer" // the account by which helm acts for the tenant
	Member   Role = "member"   // a person, or an account, that may use the tenant
	Account  Role = "account"  // a service account in one of the tenant's namespaces
	Reader   Role = "reader"   // the account as which the tenant's readers act
)

// Identity is who a request is sent as, by impersonation.
type Identity struct {
	Role   Role     `json:"role"`
	User   string   `json:"user"`
	Groups []string `json:"groups,omitempty"`
}

// Target is a tenant and what its attempts are aimed at.
type Target struct {
	Tenant     string
	Home       string
	Namespaces []string
	// Binding is the name of the RoleBinding that gives the deployer its role in
	// each of the namespaces.
	Binding string
	// Account is the deployer's name in the home namespace, Tiller whether it is a
	// Tiller's: members reach that by port-forward, the other by impersonation.
	Account string
	Tiller  bool
	// Member is nil where there is none to try; MemberWhy says why, and is empty
	// where the tenant has no members.
	Member    *Identity
	MemberWhy string
	// HasReaders says that the tenant has an account for readers.
	HasReaders bool
	// Isolated and Hosts are settings that forbid what is allowed without them.
	Isolated bool
	Hosts    bool
	// Restricted are the namespaces whose PodSecurity level is that, Quotas those
	// with a ResourceQuota, by what the quotas name.
	Restricted map[string]bool
	Quotas     map[string]map[string]bool
	// Other is another tenant, nil where there is none.
	Other *Other
}

// Other is the tenant that must not be reached from this one.
type Other struct {
	Tenant, Home, Namespace, Account string
	Tiller                           bool
	// HasMember says that the target's member is a member of this tenant as well, and so
	// is rightly allowed to use it: nothing is tried there as the member.
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

	// Namespace is the tenant's namespace that the request counts for; empty where
	// it is made once for the tenant.
	Namespace string
	// Where is the namespace that it is about; empty for the cluster's objects.
	Where string
	// Attempts are those of the table that the request is: several only where one
	// pod asks for all of them.
	Attempts []*Attempt
	// Control says that it is something that must be accepted.
	Control bool
	// review says that the answer is the authorizer's.
	review bool
}

// Answer is what came back. Err is why nothing did.
type Answer struct {
	Code int
	Body []byte
	Err  error
}

// Exchange is a request and the answer to it.
type Exchange struct {
	Request
	Answer Answer
}

// Budgets: how many requests a tenant may cost, and each of its namespaces more; and
// both more for a tenant that has readers.
const (
	TenantRequests          = 40
	NamespaceRequests       = 10
	ReaderTenantRequests    = 30
	ReaderNamespaceRequests = 1
)
