package parts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A crd is a CustomResourceDefinition in a project's own module.
type crd struct{ module, version, file string }

const gatewayAPI = "sigs.k8s.io/gateway-api"

// crds are known by the kind that they define. The folder crds pins their modules.
var crds = map[string]crd{
	"Kustomization": {"github.com/fluxcd/kustomize-controller", "v1.9.6", "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"},
	"AppProject":    {"github.com/argoproj/argo-cd/v3", "v3.4.0", "manifests/crds/appproject-crd.yaml"},
	"Gateway":       {gatewayAPI, "v1.6.0", "config/crd/standard/gateway.networking.k8s.io_gateways.yaml"},
	"ListenerSet":   {gatewayAPI, "v1.6.0", "config/crd/standard/gateway.networking.k8s.io_listenersets.yaml"},
	"HTTPRoute":     {gatewayAPI, "v1.6.0", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"},
	"GRPCRoute":     {gatewayAPI, "v1.6.0", "config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml"},
	"TLSRoute":      {gatewayAPI, "v1.6.0", "config/crd/standard/gateway.networking.k8s.io_tlsroutes.yaml"},
}

// CRD returns the file of the CustomResourceDefinition of that kind, as its project
// releases it. The module is downloaded once.
func CRD(ctx context.Context, kind string) (string, error) {
	definition, known := crds[kind]
	if !known {
		return "", fmt.Errorf("no module is pinned for the CustomResourceDefinition of %s", kind)
	}
	source, err := Source()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(source, "crds")
	sums, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return "", err
	}
	if !strings.Contains(string(sums), definition.module+" "+definition.version+" h1:") {
		return "", fmt.Errorf("%s does not vouch for %s %s", filepath.Join(dir, "go.sum"), definition.module, definition.version)
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", definition.module+"@"+definition.version)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var downloaded struct{ Dir, Error string }
	if json.Unmarshal(out, &downloaded) != nil || downloaded.Dir == "" {
		return "", fmt.Errorf("downloading %s %s: %s%s (%w)", definition.module, definition.version, downloaded.Error, strings.TrimSpace(stderr.String()), err)
	}
	return filepath.Join(downloaded.Dir, filepath.FromSlash(definition.file)), nil
}
