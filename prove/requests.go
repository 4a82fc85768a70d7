package prove

import (
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"helm-tenant/tenant"
)

// These are attempts that must be accepted: if an identity is refused what it must be
// able to do, its other refusals prove nothing.
var (
	controlPod = &Attempt{ID: "control-pod", What: "run a harmless pod", As: onlyDeployer, Each: true,
		pod: func(*corev1.Pod) {}}
	controlMember = &Attempt{ID: "control-member", What: "use the tenant's deployer", As: []Role{Member},
		request: func(t *Target, _ string) *ask { return useDeployer(t.Home, t.Account, t.Tiller) }}
	controlAccount = &Attempt{ID: "control-account", What: "ask the API server who it is", As: []Role{Account},
		request: func(*Target, string) *ask {
			return &ask{method: http.MethodPost, path: "/apis/authentication.k8s.io/v1/selfsubjectreviews", kind: "application/json",
				body: []byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`)}
		}}

	// The benchmarks require that a tenant can do this for itself.
	controlPolicy = &Attempt{ID: "control-network-policy", What: "make a NetworkPolicy of its own", As: onlyDeployer, Optional: true,
		Benchmarks: []string{"MTB-PL2-BC-OPS-4 Create Network Policies"},
		request:    creates(networkingAPI, "networkpolicies", policy)}
	controlBinding = &Attempt{ID: "control-role-binding", What: "make a RoleBinding for an account of its own", As: onlyDeployer, Optional: true,
		Benchmarks: []string{"MTB-PL2-BC-OPS-3 Create Role Bindings"},
		request:    binds("view", "ServiceAccount", "default")}
)

func (t *Target) deployerUser() string { return tenant.AccountUser(t.Home, t.Account) }

// identity returns the identity for a role in a namespace; nil if it is not known.
func (t *Target) identity(role Role, namespace string) *Identity {
	switch role {
	case Member:
		return t.Member
	case Account:
		return &Identity{Role: Account, User: tenant.AccountUser(namespace, "default")}
	case Reader:
		if !t.HasReaders {
			return nil
		}
		return &Identity{Role: Reader, User: tenant.AccountUser(t.Home, tenant.ReaderAccount)}
	}
	return &Identity{Role: Deployer, User: t.deployerUser()}
}

// Requests returns the requests to send first: controls, then everything else. One pod
// combines several attempts.
func (t *Target) Requests() []Request {
	var controls, others []Request
	first := t.Namespaces[0]
	for _, a := range []*Attempt{controlMember, controlAccount, controlReader} {
		controls = t.add(controls, a, a.As[0], first, true)
	}
	for _, a := range []*Attempt{controlPolicy, controlBinding} {
		controls = t.add(controls, a, a.As[0], first, true)
	}
	for _, namespace := range t.Namespaces {
		controls = t.add(controls, controlPod, Deployer, namespace, true)
		for _, role := range all {
			ofPods := slices.DeleteFunc(slices.Clone(table), func(a *Attempt) bool { return a.pod == nil || !slices.Contains(a.As, role) })
			if r := t.podRequest(role, namespace, ofPods); r != nil {
				others = append(others, *r)
			}
		}
		for _, a := range table {
			if a.request != nil && a.Each {
				for _, role := range a.As {
					others = t.add(others, a, role, namespace, false)
				}
			}
		}
	}
	for _, a := range table {
		if a.request != nil && !a.Each {
			for _, role := range a.As {
				others = t.add(others, a, role, first, false)
			}
		}
	}
	return append(controls, others...)
}

// add appends the request of an attempt that is not combined with others in one pod.
func (t *Target) add(requests []Request, a *Attempt, role Role, namespace string, control bool) []Request {
	as := t.identity(role, namespace)
	if as == nil || t.entitled(a, role) {
		return requests
	}
	if a.pod != nil {
		r := t.podRequest(role, namespace, []*Attempt{a})
		r.Control = control
		return append(requests, *r)
	}
	asked := a.request(t, namespace)
	if asked == nil {
		return requests
	}
	r := asked.as(*as)
	r.Attempts, r.Control = []*Attempt{a}, control
	if a.Each {
		r.Namespace = namespace
	}
	return append(requests, r)
}

// entitled reports whether the member may rightly make an attempt on the other tenant, as
// a member of that tenant.
func (t *Target) entitled(a *Attempt, role Role) bool {
	return role == Member && t.Other != nil && t.Other.HasMember && slices.Contains(onOthers, a)
}

func (a *ask) as(identity Identity) Request {
	return Request{As: identity, Method: a.method, Path: a.path, Query: a.query, Body: a.body, Type: a.kind, Where: a.where, review: a.review}
}

// podRequest returns one pod that combines the attempts.
func (t *Target) podRequest(role Role, namespace string, attempts []*Attempt) *Request {
	as := t.identity(role, namespace)
	if as == nil || len(attempts) == 0 {
		return nil
	}
	pod := harmless(namespace)
	for _, a := range attempts {
		a.pod(pod)
	}
	privileged := pod.Spec.Containers[0].SecurityContext
	if privileged.Privileged != nil || len(privileged.Capabilities.Add) > 0 {
		privileged.AllowPrivilegeEscalation = nil // false would be invalid with either
	}
	if pod.Spec.HostNetwork {
		for i := range pod.Spec.Containers[0].Ports { // which must then be the same
			pod.Spec.Containers[0].Ports[i].ContainerPort = pod.Spec.Containers[0].Ports[i].HostPort
		}
	}
	r := create(pathIn(coreAPI, namespace, "pods"), pod).as(*as)
	r.Attempts, r.Namespace = attempts, namespace
	return &r
}

// Follow returns the requests that the answers make necessary: a pod that was refused for
// some of its attempts is tried again with the others. It is called once, with all
// exchanges.
func (t *Target) Follow(exchanges []Exchange) []Request {
	var more []Request
	for _, e := range exchanges {
		if len(e.Attempts) < 2 || e.As.Role != Deployer {
			continue
		}
		v := judge(e.Request, e.Answer)
		if v.result != Refused || !v.named {
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(e.Attempts), func(a *Attempt) bool { return v.names(a) })
		if r := t.podRequest(e.As.Role, e.Request.Namespace, rest); r != nil {
			more = append(more, *r)
		}
	}
	return more
}
