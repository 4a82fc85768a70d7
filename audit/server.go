package audit

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/version"
)

// Server has the features of an API server that decide which rights open a path. The zero
// Server has all features that any server has: if nothing is known, every path counts.
type Server struct {
	// NoGetStreams: a stream to a pod takes a right to create. Up to Kubernetes 1.34 a
	// get was enough over a WebSocket (AuthorizePodWebsocketUpgradeCreatePermission).
	NoGetStreams bool
	// NoConstrainedImpersonation: the verb impersonate is the only impersonation
	// (ConstrainedImpersonation, on from 1.36).
	NoConstrainedImpersonation bool
	// NoPodSecurity: the labels of PodSecurity are not enforced. Its admission plugin is
	// on by default from Kubernetes 1.23, and can be turned off.
	NoPodSecurity bool
	// NoSeccompProfile: pods have an annotation for their seccomp profile, and no field,
	// which came with Kubernetes 1.19.
	NoSeccompProfile bool
	// VerifiesKubelets: a kubelet needs a certificate of the authority that the API
	// server has for kubelets.
	VerifiesKubelets bool
	// RevisionsStay: a revision of a StatefulSet does not name the namespace of its pods, as it
	// could up to Kubernetes 1.36.
	RevisionsStay bool
	// NoBootstrapTokens: Secrets of kube-system are nobody's credentials.
	NoBootstrapTokens bool
}

// ServerOf returns the features of an API server of that version with the default feature
// gates. A server that emulates an older version has that version's. A server that was
// built without a minor version has it in its whole version only.
func ServerOf(info version.Info) Server {
	minor := info.Minor
	if parts := strings.Split(info.GitVersion, "."); minor == "" && len(parts) > 2 {
		minor = parts[1]
	}
	if info.EmulationMinor != "" {
		minor = info.EmulationMinor
	}
	number, _ := strconv.Atoi(strings.TrimRight(minor, "+"))
	return serverOfMinor(number)
}

// serverOfMinor returns the features of Kubernetes 1.MINOR, 0 for an unknown version.
func serverOfMinor(minor int) Server {
	return Server{NoGetStreams: minor >= 35, NoConstrainedImpersonation: minor > 0 && minor < 36, NoPodSecurity: minor > 0 && minor < 23,
		NoSeccompProfile: minor > 0 && minor < 19, RevisionsStay: minor >= 37}
}

// WithFlags returns the server's features with its command line, as its endpoint /flagz
// returns it (k8s.io/apiserver/pkg/server/flagz), by flag.
func (s Server) WithFlags(flags map[string]string) Server {
	for _, pair := range strings.Split(flags["feature-gates"], ",") {
		gate, value, _ := strings.Cut(pair, "=")
		on, err := strconv.ParseBool(value)
		if err != nil {
			continue
		}
		switch gate = strings.TrimSpace(gate); strings.TrimPrefix(gate, "kube:") {
		case "AuthorizePodWebsocketUpgradeCreatePermission":
			s.NoGetStreams = on
		case "ConstrainedImpersonation":
			s.NoConstrainedImpersonation = !on
		case "AllBeta":
			// It applies only to gates that are not named, and the version decides which ones
			// are beta: what it turns off may still be on.
			if !on && !strings.Contains(flags["feature-gates"], "AuthorizePodWebsocketUpgradeCreatePermission") {
				s.NoGetStreams = false
			}
		}
	}
	disabled := strings.Split(strings.Trim(flags["disable-admission-plugins"], "[]"), ",")
	if slices.Contains(disabled, "PodSecurity") {
		s.NoPodSecurity = true
	}
	if flags["enable-bootstrap-token-auth"] == "false" {
		s.NoBootstrapTokens = true
	}
	s.VerifiesKubelets = flags["kubelet-certificate-authority"] != ""
	return s
}

const (
	admissionGroup    = "admissionregistration.k8s.io"
	aggregationGroup  = "apiregistration.k8s.io"
	certificatesGroup = "certificates.k8s.io"
	networkGroup      = "networking.k8s.io"
)

// serveAPI returns the ways to make the API server forward requests, including those for
// Secrets and tokens, to a server of one's own.
func (p pather) serveAPI() []Need {
	const resource = "apiservices"
	return append(p.createIn("", aggregationGroup, resource), p.either(change, Ask{Group: aggregationGroup, Resource: resource, AnyName: true})...)
}

// changePolicies returns the ways to delete or change any of the admission policies in
// named, or a binding of one.
func (p pather) changePolicies(named Ask) []Need {
	named.Group = admissionGroup
	var needs []Need
	for _, resource := range []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
		named.Resource = resource
		needs = append(needs, p.either([]string{"update", "patch", "delete"}, named)...)
		needs = append(needs, Need{{Verb: "deletecollection", Group: admissionGroup, Resource: resource}})
	}
	return needs
}

// changeClasses returns the ways to choose the priority of a class that the guard allows the
// tenant's pods, with which they evict others' pods. A class's value can't be changed, so a class
// that exists is deleted and created again.
func (p pather) changeClasses() []Need {
	const group, resource = "scheduling.k8s.io", "priorityclasses"
	ask := func(verb string, names ...string) Ask {
		return Ask{Verb: verb, Group: group, Resource: resource, Names: names}
	}
	var needs []Need
	for _, class := range p.Classes {
		for _, deletion := range []Ask{ask("delete", class), ask("deletecollection")} {
			needs = append(needs, Need{deletion, ask("create")}, Need{deletion, ask("create", class), ask("patch", class)})
		}
	}
	for _, class := range p.MissingClasses {
		needs = append(needs, Need{ask("create")}, Need{ask("create", class), ask("patch", class)})
	}
	return needs
}

// webhookKinds are the configurations of webhooks, which get what others write.
var webhookKinds = []struct{ kind, resource string }{
	{"MutatingWebhookConfiguration", "mutatingwebhookconfigurations"},
	{"ValidatingWebhookConfiguration", "validatingwebhookconfigurations"},
}

// changeAdmission returns the ways to get every written object, including Secrets, sent
// to a server of one's own, or changed. An existing policy can be bound; a new one needs
// a binding as well.
func (p pather) changeAdmission() []Need {
	var needs []Need
	create := func(resource string) Ask { return Ask{Verb: "create", Group: admissionGroup, Resource: resource} }
	anyOf := func(resource string) Ask { return Ask{Group: admissionGroup, Resource: resource, AnyName: true} }
	for _, kind := range webhookKinds {
		needs = append(needs, p.createIn("", admissionGroup, kind.resource)...)
		ask := anyOf(kind.resource)
		if present, known := p.Webhooks[kind.resource]; known {
			if len(present) == 0 {
				continue // there is none to change
			}
			ask.AnyName, ask.Names = false, present
		}
		needs = append(needs, p.either(change, ask)...)
	}
	const policies, bindings = "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"
	needs = append(needs, p.either(change, anyOf(policies))...)
	needs = append(needs, Need{create(policies), create(bindings)})
	for _, need := range p.either(change, anyOf(bindings)) {
		needs = append(needs, append(Need{create(policies)}, need...))
	}
	// A bound policy can be deleted and created again with its name.
	for _, need := range []Need{p.either([]string{"delete"}, anyOf(policies))[0], {{Verb: "deletecollection", Group: admissionGroup, Resource: policies}}} {
		needs = append(needs, append(need, create(policies)))
	}
	return needs
}

// certificate returns the ways to a certificate for any user except system:masters, or
// for any node. Whoever can approve a request of theirs gets one: the controller manager
// signs it. The right to sign is of no use without the signer's key.
func (p pather) certificate() []Need {
	approve := Ask{Verb: "approve", Group: certificatesGroup, Resource: "signers",
		Names: []string{"kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet", "kubernetes.io/*"}}
	var needs []Need
	for _, need := range p.either(change, Ask{Group: certificatesGroup, Resource: "certificatesigningrequests/approval", AnyName: true}) {
		for _, create := range p.createIn("", certificatesGroup, "certificatesigningrequests") {
			needs = append(needs, slices.Concat(create, Need{approve}, need))
		}
	}
	return needs
}
