package audit

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/version"
)

// Server is what an API server does that decides which rights open a way. The zero
// Server does all that any does: where nothing is known, every way counts.
type Server struct {
	// NoGetStreams says that a stream to a pod takes a right to create: up to Kubernetes
	// 1.34 a get was enough over a WebSocket (AuthorizePodWebsocketUpgradeCreatePermission).
	NoGetStreams bool
	// NoConstrainedImpersonation says that there is no impersonation but the one by the
	// verb impersonate (ConstrainedImpersonation, on from 1.36).
	NoConstrainedImpersonation bool
	// NoPodSecurity says that the labels of PodSecurity hold no pod: its admission plugin is
	// on by default from Kubernetes 1.23, and can be switched off.
	NoPodSecurity bool
	// VerifiesKubelets says that whoever answers in a kubelet's place needs a certificate of
	// the authority that the API server knows for kubelets.
	VerifiesKubelets bool
	// NoBootstrapTokens says that Secrets of kube-system are nobody's credentials.
	NoBootstrapTokens bool
}

// ServerOf is what an API server of that version does, with its own feature gates left
// as they are. One that emulates an older version does what that one did. A server that
// was built without a minor version tells it as a part of its whole version.
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

// serverOfMinor is that of Kubernetes 1.MINOR, 0 where it is not known.
func serverOfMinor(minor int) Server {
	return Server{NoGetStreams: minor >= 35, NoConstrainedImpersonation: minor > 0 && minor < 36, NoPodSecurity: minor > 0 && minor < 23}
}

// WithFlags is the server with what its command line says, as its endpoint /flagz
// tells it (k8s.io/apiserver/pkg/server/flagz), by the flags' names.
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
			// It counts only for gates that are not named, and which is beta depends on the
			// version: what it switches off may still be there.
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
