package attack

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var onMember = []relation{memberAtHome}

// limits are attacks by a member's chart that RBAC allows, since a tenant is admin of its
// namespaces. The guard rails of init refuse most of them. Those that work are documented with
// the setting that prevents them, which is tested, too: the careful tenant has the role edit,
// PodSecurity restricted and a quota.
var limits = []attack{
	{name: "chart: RoleBinding to an outsider", as: onOwn, run: bindsOutsider},
	{name: "the same with role edit", as: onCareful, run: bindsOutsider},
	{name: "binding made by chart before, used after", as: ofTheGone, run: leftBehind},
	{name: "chart: Pod with the node's disk", as: onOwn, run: hostPathPod},
	{name: "the same under PodSecurity restricted", as: onCareful, run: hostPathPod},
	{name: "chart: Pod in the node's network", as: onOwn, run: hostNetworkPod},
	{name: "the same under PodSecurity restricted, in the node's network", as: onCareful, run: hostNetworkPod},
	{name: "chart: Service with a NodePort", as: onOwn, run: nodePort, knownAs: onMember,
		known: "a tenant is admin of its namespaces; a quota of services.nodeports: 0 forbids it"},
	{name: "the same under that quota", as: onCareful, run: nodePort},
	{name: "chart: forged release record of one's own Tiller", as: onOwn, run: forgedRelease, knownAs: onMember,
		known: "Tiller must write records, so its charts can; it acts on them with the tenant's own rights"},
	{name: "chart: ConfigMap storage, replace the record", as: onCareful, run: replaces(recordHook)},
	{name: "chart: ConfigMap storage, ConfigMap in the home", as: onCareful, run: makes(configMapIn("$HOME"))},
}

// bindingToOutsider gives its maker's choice of people a tenant's namespace.
const bindingToOutsider = `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: $ID}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: $ME}]
`

func bindsOutsider(ctx context.Context, s *attackRun) outcome {
	return s.makes(ctx, s.entry.namespaces[0], strings.Replace(bindingToOutsider, "name: $ME", "name: outsider", 1))
}

// leftBehind uses the binding that the one who is revoked now had a chart make
// while still a member.
func leftBehind(ctx context.Context, s *attackRun) outcome {
	namespace := s.victim.last()
	_, answer := s.actor.client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: s.id}}, metav1.CreateOptions{})
	effect, err := s.seesObject(ctx, "ConfigMap", namespace, s.id)
	return s.settle(answer, effect, err)
}

// entryPod runs a pod through the entry's Tiller and returns what it printed.
func (s *attackRun) entryPod(ctx context.Context, manifest string) (string, error) {
	namespace := s.entry.namespaces[0]
	if err := s.install(ctx, namespace, manifest); err != nil {
		return "", err
	}
	return s.ended(ctx, namespace, s.id)
}

func hostPathPod(ctx context.Context, s *attackRun) outcome {
	manifest := podManifest(s.entry.namespaces[0], "$ID", "\n  volumes: [{name: disk, hostPath: {path: /etc}}]", pauseImage, "cat", "/disk/passwd")
	manifest = strings.TrimRight(manifest, "\n") + "\n    volumeMounts: [{name: disk, mountPath: /disk}]\n"
	out, answer := s.entryPod(ctx, manifest)
	effect := ""
	if strings.Contains(out, "root:x:0:0") {
		effect = "a pod read a file of the node"
	}
	return s.settle(answer, effect, nil)
}

func hostNetworkPod(ctx context.Context, s *attackRun) outcome {
	// The node's own loopback; no pod's has a kubelet on it.
	manifest := podManifest(s.entry.namespaces[0], "$ID", "\n  hostNetwork: true", pauseImage, "dial", "127.0.0.1:10250")
	out, answer := s.entryPod(ctx, manifest)
	effect := ""
	if out == "connected" {
		effect = "a pod reached what listens on the node's loopback"
	}
	return s.settle(answer, effect, nil)
}

// byQuota is the administrator's quota, and no other.
var byQuota = refusal{"quota", regexp.MustCompile(`exceeded quota: by-admin,`)}

func nodePort(ctx context.Context, s *attackRun) outcome {
	namespace := s.entry.namespaces[0]
	answer := s.install(ctx, namespace, `
apiVersion: v1
kind: Service
metadata: {name: $ID}
spec: {type: NodePort, selector: {app: $ID}, ports: [{port: 80}]}
`)
	effect, err := s.seesObject(ctx, "Service", namespace, s.id)
	return s.settle(answer, effect, err, byQuota)
}

// forgedRelease puts a record of a release that nobody installed among those of
// the entry's Tiller: one that is there, under another name of the same length.
func forgedRelease(ctx context.Context, s *attackRun) outcome {
	live, err := s.live(ctx, s.records, s.entry.home, s.entry.release+".v1")
	if err != nil || live == nil {
		return failure("there is no record to forge from: %v", err)
	}
	forged := string(rune('f'+s.relation)) + s.entry.release[1:]
	text, _, _ := unstructured.NestedString(live.Object, "data", "release")
	if s.records == "Secret" {
		text = decoded(live, "release")
	}
	if text, err = renamed(text, s.entry.release, forged); err != nil {
		return failure("%v", err)
	}
	if s.records == "Secret" {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	manifest := fmt.Sprintf(`
apiVersion: v1
kind: %s
metadata:
  name: %s.v1
  namespace: %s
  labels: {NAME: %s, OWNER: TILLER, STATUS: DEPLOYED, VERSION: "1", MODIFIED_AT: "1600000000"}
data: {release: %s}
`, s.records, forged, s.entry.home, forged, text)
	answer := s.install(ctx, s.entry.namespaces[0], manifest)
	out, err := s.runHelm(ctx, s.root, "--tiller-namespace="+s.entry.home, "list", "--short")
	effect := ""
	for line := range strings.Lines(out) {
		if strings.TrimSpace(line) == forged {
			effect = "helm lists a release that nobody installed"
		}
	}
	return s.settle(answer, effect, err)
}

// renamed changes the name of the release in a record. A record is base64 of gzip of protobuf
// (k8s.io/helm/pkg/storage/driver, util.go), in which another string of the same length can
// replace the name.
func renamed(record, from, to string) (string, error) {
	compressed, err := base64.StdEncoding.DecodeString(record)
	if err != nil {
		return "", err
	}
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return "", err
	}
	release, err := io.ReadAll(reader)
	if err != nil {
		return "", err
	}
	name := append([]byte{0x0a, byte(len(from))}, from...) // field 1, a string
	if !bytes.HasPrefix(release, name) {
		return "", fmt.Errorf("the record of %s does not start with its name", from)
	}
	copy(release[2:], to)
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	if _, err := writer.Write(release); err != nil {
		return "", err
	}
	if err := writer.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(out.Bytes()), nil
}
