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
