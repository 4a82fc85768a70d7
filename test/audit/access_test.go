package audit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"helm-tenant/test/harness"
)

// way is a right that somebody is given, and whether it opens a path.
type way struct {
	// path is that of the audit's report, empty for a right that opens none.
	path string
	// rules are granted in the home namespace, wide in the whole cluster.
	rules, wide []string
	// also are given at home by another binding.
	also []string
	// want is the finding's ID, where path is not empty.
	want string
	try  try
}

// ways are the paths that an outsider can have to alpha's deployer, each with
// rights that are near it and open nothing.
var ways = []way{
	{"port-forward", []string{"create pods/portforward"}, nil, nil, "HT010", stream(http.MethodPost, "portforward")},
	{"port-forward", []string{"create pods/portforward POD"}, nil, nil, "HT010", stream(http.MethodPost, "portforward")},
	{"port-forward", []string{"create */portforward"}, nil, nil, "HT010", stream(http.MethodPost, "portforward")},
	{"", []string{"create pods/portforward gone-pod"}, nil, nil, "", stream(http.MethodPost, "portforward")},
	{"", []string{"get pods/portforward"}, nil, nil, "", stream(http.MethodGet, "portforward")}, // enough up to 1.34
	{"", []string{"get,list,watch,delete pods"}, nil, nil, "", stream(http.MethodPost, "portforward")},
	{"create-pods", []string{"create pods"}, nil, nil, "HT011", makePods("pods")},
	{"", []string{"create pods POD"}, nil, nil, "", makePods("pods")}, // a name that does not exist yet does not match
	{"", []string{"create apps:pods"}, nil, nil, "", makePods("pods")},
	{"create-pods", []string{"create pods EMPTY"}, nil, nil, "HT011", makePods("pods")},
	{"create-pods", []string{"create,patch pods made-by-outsider"}, nil, nil, "HT011", applyPod},
	{"", []string{"create pods made-by-outsider", "patch pods another"}, nil, nil, "", applyPod},
	{"read-secrets", []string{"list secrets EMPTY"}, nil, nil, "HT013", listSecrets},
	{"read-secrets", []string{"watch secrets EMPTY"}, nil, nil, "HT013", watchSecrets},
	{"", []string{"get,update,patch secrets EMPTY"}, nil, nil, "", getSecret},
	{"make-deployments", []string{"create apps:deployments"}, nil, nil, "HT011", makePods("deployments")},
	{"make-replicasets", []string{"create apps:replicasets"}, nil, nil, "HT011", makePods("replicasets")},
	{"make-statefulsets", []string{"create apps:statefulsets"}, nil, nil, "HT011", makePods("statefulsets")},
	{"make-daemonsets", []string{"create apps:daemonsets"}, nil, nil, "HT011", makePods("daemonsets")},
	{"make-jobs", []string{"create batch:jobs"}, nil, nil, "HT011", makePods("jobs")},
	{"make-cronjobs", []string{"create batch:cronjobs"}, nil, nil, "HT011", makePods("cronjobs")},
	{"make-replicationcontrollers", []string{"create replicationcontrollers"}, nil, nil, "HT011", makePods("replicationcontrollers")},
	{"", []string{"get apps:deployments", "update apps:deployments/scale", "patch batch:jobs"}, nil, nil, "", makePods("deployments")},
	{"replace-image", []string{"patch pods"}, nil, nil, "HT012", patch("pods", "POD", `{"spec":{"containers":[{"name":"tiller","image":"evil"}]}}`)},
	{"", []string{"patch pods gone-pod"}, nil, nil, "", patch("pods", "POD", `{"spec":{"containers":[{"name":"tiller","image":"evil"}]}}`)},
	{"exec", []string{"create pods/exec"}, nil, nil, "HT012", stream(http.MethodPost, "exec")},
	{"", []string{"get pods/exec"}, nil, nil, "", stream(http.MethodGet, "exec")},
	{"attach", []string{"create pods/attach"}, nil, nil, "HT012", stream(http.MethodPost, "attach")},
	{"debug", []string{"patch pods/ephemeralcontainers"}, nil, nil, "HT012", patch("pods/ephemeralcontainers", "POD", `{"spec":{"ephemeralContainers":[]}}`)},
	{"read-secrets", []string{"list secrets"}, nil, nil, "HT013", listSecrets},
	{"", []string{"get secrets no-such-secret"}, nil, nil, "", listSecrets},
	{"read-secrets", []string{"get secrets fine.v1"}, nil, nil, "HT013", getSecret},
	{"read-secrets", []string{"list secrets fine.v1"}, nil, nil, "HT013", listSecret},
	{"read-secrets", []string{"watch secrets"}, nil, nil, "HT013", watchSecrets},
	{"", []string{"list secrets no-such-secret"}, nil, nil, "", listSecret},
	{"write-secrets", []string{"create secrets"}, nil, nil, "HT013", writeSecret},
	{"token", []string{"create serviceaccounts/token tiller"}, nil, nil, "HT014", useToken("alpha-tiller", "tiller")},
	{"", []string{"create serviceaccounts/token default", "create serviceaccounts"}, nil, nil, "", useToken("alpha-tiller", "tiller")},
	{"impersonate-deployer", []string{"impersonate serviceaccounts tiller"}, nil, nil, "HT015", as("system:serviceaccount:alpha-tiller:tiller")},
	{"", []string{"impersonate serviceaccounts default"}, nil, nil, "", as("system:serviceaccount:alpha-tiller:tiller")},
	{"", nil, []string{"impersonate users system:serviceaccount:alpha-tiller:tiller"}, nil, "", as("system:serviceaccount:alpha-tiller:tiller")},
	{"impersonate-deployer", []string{"impersonate:serviceaccount authn:serviceaccounts tiller", "impersonate-on:serviceaccount:create authn:selfsubjectreviews"},
		[]string{"impersonate-on:serviceaccount:create authn:selfsubjectreviews"}, nil, "HT015", as("system:serviceaccount:alpha-tiller:tiller")},
	{"impersonate-member", nil, []string{"impersonate users alice"}, nil, "HT016", as("alice")},
	{"", nil, []string{"impersonate users alina"}, nil, "", as("alice")},
	{"", []string{"impersonate users alice"}, nil, nil, "", as("alice")}, // by a RoleBinding nobody is impersonated but accounts
	{"impersonate-member", nil, []string{"impersonate groups alpha-devs", "impersonate users nobody"}, nil, "HT016", as("nobody", "alpha-devs")},
	{"", nil, []string{"impersonate groups alpha-devs"}, nil, "", as("nobody", "alpha-devs")},
	{"impersonate-administrator", nil, []string{"impersonate users system:kube-controller-manager"}, nil, "HT016", as("system:kube-controller-manager")},
	{"impersonate-administrator", nil, []string{"impersonate groups system:masters", "impersonate users nobody"}, nil, "HT016", as("nobody", "system:masters")},
	{"", nil, []string{"impersonate groups others", "impersonate users nobody"}, nil, "", as("nobody", "system:masters")},
	{"use-account", nil, []string{"create serviceaccounts/token robot"}, nil, "HT022", useToken("ci", "robot")},
	{"", nil, []string{"create serviceaccounts/token robin"}, nil, "", useToken("ci", "robot")},
	{"use-administrator", nil, []string{"create serviceaccounts/token job-controller"}, nil, "HT021", useToken("kube-system", "job-controller")},
	{"", nil, []string{"create serviceaccounts/token jobs"}, nil, "", useToken("kube-system", "job-controller")},
	{"bind", []string{"create rbac:rolebindings", "bind rbac:clusterroles edit"}, nil, nil, "HT017", bindTo("ClusterRole", "edit")},
	{"bind", []string{"create rbac:rolebindings"}, nil, []string{"bind rbac:roles helm-tenant-member"}, "HT017", bindTo("Role", "helm-tenant-member")},
	{"bind", []string{"patch rbac:rolebindings helm-tenant-member", "bind rbac:roles helm-tenant-member"}, nil, nil, "HT017",
		patch("rbac:rolebindings", "helm-tenant-member", `{"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"outsider"}]}`)},
	{"bind", []string{"patch rbac:rolebindings helm-tenant-member"}, []string{"bind rbac:roles"}, nil, "HT017",
		patch("rbac:rolebindings", "helm-tenant-member", `{"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"outsider"}]}`)},
	{"bind", []string{"create,update rbac:rolebindings made-by-outsider", "bind rbac:clusterroles edit"}, nil, nil, "HT017", putBinding},
	{"", []string{"create rbac:rolebindings made-by-outsider", "bind rbac:clusterroles edit"}, nil, nil, "", bindTo("ClusterRole", "edit")},
	{"", []string{"create rbac:rolebindings made-by-outsider", "update rbac:rolebindings another", "bind rbac:clusterroles edit"}, nil, nil, "", putBinding},
	{"", []string{"update rbac:rolebindings made-by-outsider", "bind rbac:clusterroles edit"}, nil, nil, "", putBinding},
	{"bind", []string{"create rbac:rolebindings", "bind rbac:clusterroles rbac-writer"}, nil, nil, "HT017", throughRBAC},
	{"bind", nil, []string{"create rbac:clusterrolebindings", "bind rbac:clusterroles imp"}, nil, "HT022", bindEverywhere("imp")},
	{"", []string{"create rbac:rolebindings", "bind rbac:clusterroles imp"}, nil, nil, "", bindTo("ClusterRole", "edit")}, // nobody is impersonated by a RoleBinding
	{"", []string{"create,update,patch rbac:rolebindings"}, nil, nil, "", bindTo("ClusterRole", "edit")},
	{"", []string{"create rbac:rolebindings", "bind rbac:clusterroles system:basic-user"}, nil, nil, "", bindTo("ClusterRole", "edit")},
	{"", []string{"bind rbac:clusterroles edit"}, nil, nil, "", bindTo("ClusterRole", "edit")},
	{"escalate", []string{"create,escalate rbac:roles"}, nil, nil, "HT017", writeRole},
	{"escalate", []string{"patch rbac:roles helm-tenant-member", "escalate rbac:roles"}, nil, nil, "HT017",
		patch("rbac:roles", "helm-tenant-member", `{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}`)},
	{"", []string{"patch rbac:roles helm-tenant-member", "escalate rbac:roles helm-tenant-records"}, nil, nil, "",
		patch("rbac:roles", "helm-tenant-member", `{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}`)},
	{"escalate", []string{"create,update,escalate rbac:roles made-by-outsider"}, nil, nil, "HT017", putRole},
	{"", []string{"update,escalate rbac:roles made-by-outsider"}, nil, nil, "", putRole},
	{"", []string{"create,escalate rbac:roles made-by-outsider"}, nil, nil, "", writeRole},
	{"", []string{"create,update,patch rbac:roles"}, nil, nil, "", writeRole},
	{"", []string{"escalate rbac:roles"}, nil, nil, "", writeRole},
	{"node-proxy", nil, []string{"get nodes/proxy"}, nil, "HT018", nodeProxy},
	{"", []string{"get nodes/proxy"}, nil, nil, "", nodeProxy},
	{"", nil, []string{"get nodes", "get nodes/stats"}, nil, "", nodeProxy},
	{"be-node", nil, []string{"impersonate users system:node:n1", "impersonate groups system:nodes"}, nil, "HT018", as("system:node:n1", "system:nodes")},
	{"", nil, []string{"impersonate users system:node:n1"}, nil, "", as("system:node:n1", "system:nodes")},
	{"", nil, []string{"impersonate users n1", "impersonate groups system:nodes"}, nil, "", as("system:node:n1", "system:nodes")},
	{"be-node", nil, []string{"impersonate:arbitrary-node authn:nodes n1", "impersonate-on:arbitrary-node:create authn:selfsubjectreviews", "impersonate-on:arbitrary-node:create serviceaccounts/token"}, nil, "HT018", as("system:node:n1")},
	{"", nil, []string{"impersonate:arbitrary-node authn:nodes n2"}, nil, "", as("system:node:n2")},
	{"", nil, []string{"impersonate-on:arbitrary-node:create authn:selfsubjectreviews", "impersonate-on:arbitrary-node:create serviceaccounts/token"}, nil, "", as("system:node:n3")},
	{"be-node", nil, []string{"create,get certs:certificatesigningrequests", "create certs:certificatesigningrequests/nodeclient"}, nil, "HT018", nodeCertificate},
	{"", nil, []string{"create,get certs:certificatesigningrequests", "create certs:certificatesigningrequests/selfnodeclient"}, nil, "", nodeCertificate},
	{"", []string{"impersonate:serviceaccount authn:serviceaccounts tiller"}, nil, nil, "", as("system:serviceaccount:alpha-tiller:tiller")},
	{"", nil, []string{"impersonate-on:serviceaccount:create authn:selfsubjectreviews"}, nil, "", as("system:serviceaccount:alpha-tiller:tiller")},
	{"", nil, []string{"impersonate:user-info authn:users alice"}, nil, "", as("alice")},
	{"impersonate-member", nil, []string{"impersonate:user-info authn:users alice", "impersonate-on:user-info:create authn:selfsubjectreviews", "impersonate-on:user-info:create pods/portforward"}, nil, "HT016", as("alice")},
	{"", nil, []string{"impersonate:user-info authn:groups system:masters", "impersonate:user-info authn:users nobody", "impersonate-on:user-info:create authn:selfsubjectreviews"}, nil, "", as("nobody", "system:masters")},
	{"change-tiller", []string{"patch apps:deployments tiller-deploy"}, nil, nil, "HT019", patch("apps:deployments", "tiller-deploy", `{"spec":{"template":{"metadata":{"annotations":{"x":"y"}}}}}`)},
	{"", []string{"patch apps:deployments another"}, nil, nil, "", patch("apps:deployments", "tiller-deploy", `{"spec":{"template":{"metadata":{"annotations":{"x":"y"}}}}}`)},
	{"change-home", []string{"patch namespaces"}, nil, nil, "HT020", patch("namespaces", "alpha-tiller", `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)},
	{"change-home", []string{"patch namespaces/status"}, nil, nil, "HT020", patch("namespaces/status", "alpha-tiller", `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)},
	{"change-home", []string{"update namespaces/finalize"}, nil, nil, "HT020", finalize},
	{"change-home", []string{"update */finalize"}, nil, nil, "HT020", finalize},
	{"", []string{"patch namespaces/finalize", "get,list namespaces"}, nil, nil, "", finalize},
	{"", nil, []string{"patch namespaces outside"}, nil, "", patch("namespaces", "alpha-tiller", `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)},
	{"write-record", []string{"patch configmaps helm-tenant"}, nil, nil, "HT020", patch("configmaps", "helm-tenant", `{"data":{"x":"y"}}`)},
	{"write-record", []string{"delete configmaps helm-tenant", "create configmaps"}, nil, nil, "HT020", recreate},
	{"", []string{"delete,deletecollection configmaps"}, nil, nil, "", recreate},
	{"", []string{"get configmaps", "patch configmaps another"}, nil, nil, "", patch("configmaps", "helm-tenant", `{"data":{"x":"y"}}`)},
	{"change-policy", nil, []string{"delete admission:validatingadmissionpolicybindings helm-tenant-records"}, nil, "HT020", noPolicy("validatingadmissionpolicybindings")},
	{"change-policy", nil, []string{"delete admission:validatingadmissionpolicies helm-tenant-records"}, nil, "HT020", noPolicy("validatingadmissionpolicies")},
	{"", nil, []string{"create,get,list admission:validatingadmissionpolicies,validatingadmissionpolicybindings", "update,delete admission:validatingadmissionpolicies another"}, nil, "", noPolicy("validatingadmissionpolicies")},
	{"", []string{"delete admission:validatingadmissionpolicies"}, nil, nil, "", noPolicy("validatingadmissionpolicies")},
	{"change-guard", nil, []string{"delete admission:validatingadmissionpolicybindings helm-tenant-guard-pods"}, nil, "HT020", noGuard("validatingadmissionpolicybindings", "helm-tenant-guard-pods")},
	{"change-guard", nil, []string{"delete admission:validatingadmissionpolicies helm-tenant-guard-rolebindings"}, nil, "HT020", noGuard("validatingadmissionpolicies", "helm-tenant-guard-rolebindings")},
	{"", nil, []string{"delete admission:validatingadmissionpolicies pods", "get,create admission:validatingadmissionpolicies"}, nil, "", noGuard("validatingadmissionpolicies", "helm-tenant-guard-pods")},
	{"change-admission", nil, []string{"create admission:mutatingwebhookconfigurations"}, nil, "HT022", webhook},
	{"change-admission", nil, []string{"create admission:validatingwebhookconfigurations"}, nil, "HT022", listenIn},
	{"change-admission", nil, []string{"create admission:mutatingadmissionpolicies,mutatingadmissionpolicybindings"}, nil, "HT022", nil},
	{"change-admission", nil, []string{"patch admission:mutatingadmissionpolicies"}, nil, "HT022", nil},
	{"change-admission", nil, []string{"create,patch admission:mutatingwebhookconfigurations made-by-outsider"}, nil, "HT022", applyWebhook},
	{"serve-api", nil, []string{"create apiregistration.k8s.io:apiservices"}, nil, "HT022", serveAPI},
	{"", nil, []string{"get,list,delete apiregistration.k8s.io:apiservices", "update apiregistration.k8s.io:apiservices/status"}, nil, "", serveAPI},
	{"create-volume", nil, []string{"create persistentvolumes"}, nil, "HT022", makeVolume},
	{"", nil, []string{"get,list,update,patch,delete persistentvolumes", "create persistentvolumeclaims"}, nil, "", makeVolume},
	{"", nil, []string{"get,list,watch,delete admission:mutatingwebhookconfigurations", "create admission:mutatingadmissionpolicies"}, nil, "", webhook},
	{"certificate", nil, []string{"create certs:certificatesigningrequests", "update certs:certificatesigningrequests/approval", "approve certs:signers kubernetes.io/kube-apiserver-client"}, nil, "HT016", certificate},
	{"certificate", nil, []string{"create certs:certificatesigningrequests", "update certs:certificatesigningrequests/approval", "approve certs:signers kubernetes.io/*"}, nil, "HT016", certificate},
	{"certificate", nil, []string{"create,patch certs:certificatesigningrequests mine", "update certs:certificatesigningrequests/approval mine", "approve certs:signers kubernetes.io/kube-apiserver-client"}, nil, "HT016", nil},
	{"", nil, []string{"create certs:certificatesigningrequests", "update certs:certificatesigningrequests/approval", "sign certs:signers", "approve certs:signers example.com/mine"}, nil, "", certificate},
	{"", nil, []string{"create certs:certificatesigningrequests", "approve certs:signers"}, nil, "", certificate},
	// Subresources by wildcards.
	{"exec", []string{"create */exec"}, nil, nil, "HT012", stream(http.MethodPost, "exec")},
	{"debug", []string{"patch */ephemeralcontainers"}, nil, nil, "HT012", patch("pods/ephemeralcontainers", "POD", `{"spec":{"ephemeralContainers":[]}}`)},
	{"token", []string{"create */token tiller"}, nil, nil, "HT014", useToken("alpha-tiller", "tiller")},
	{"node-proxy", nil, []string{"get */proxy some-node"}, nil, "HT018", nil},
	{"certificate", nil, []string{"create certs:certificatesigningrequests", "update certs:*/approval", "approve certs:signers kubernetes.io/kube-apiserver-client"}, nil, "HT016", certificate},
	{"be-node", nil, []string{"create,get certs:certificatesigningrequests", "create certs:*/nodeclient"}, nil, "HT018", nodeCertificate},
	{"", []string{"create pods/*", "* pods/"}, nil, nil, "", stream(http.MethodPost, "exec")}, // no wildcard
	// Rights to names that lead nowhere, or to parts of the identity that lead nowhere.
	{"", nil, []string{"impersonate authn:uids", "impersonate authn:userextras/scopes", "impersonate:user-info authn:uids"}, nil, "", as("alice")},
	{"", []string{"patch pods/status", "create pods/eviction,pods/binding", "patch pods/resize", "deletecollection pods,secrets,configmaps", "update pods/log"}, nil, nil, "", stream(http.MethodPost, "exec")},
	{"", []string{"* apps:deployments/scale", "* apps:deployments/status", "* apps:controllerrevisions", "* podtemplates", "* endpoints", "* discovery.k8s.io:endpointslices", "update,patch serviceaccounts"}, nil, nil, "",
		patch("apps:deployments", "tiller-deploy", `{"spec":{"template":{"metadata":{"annotations":{"x":"y"}}}}}`)},
	{"", nil, []string{"* apiextensions.k8s.io:customresourcedefinitions", "* certs:certificatesigningrequests/status", "* admission:validatingadmissionpolicies/status", "* persistentvolumes/status"}, nil, "", nodeProxy},
	{"", []string{"bind rbac:rolebindings", "escalate rbac:rolebindings", "create rbac:roles/escalate", "create rbac:rolebindings"}, nil, nil, "", bindTo("ClusterRole", "edit")},
	{"", []string{"create rbac:rolebindings"}, []string{"escalate rbac:clusterroles"}, nil, "", bindTo("ClusterRole", "edit")},
	{"", []string{"impersonate serviceaccounts/token tiller", "impersonate pods", "impersonate-on:serviceaccount:create serviceaccounts/token"}, nil, nil, "", as("system:serviceaccount:alpha-tiller:tiller")},
	// By objects of controllers, of which the authorizer answers whether they are served or not.
	{"use-controller", nil, []string{"create helm.toolkit.fluxcd.io:helmreleases"}, nil, "HT079", custom("helm.toolkit.fluxcd.io/v2", "alpha-b", "helmreleases")},
	{"use-controller", []string{"create kustomize.toolkit.fluxcd.io:kustomizations"}, nil, nil, "HT079", custom("kustomize.toolkit.fluxcd.io/v1", "alpha-tiller", "kustomizations")},
	{"use-controller", nil, []string{"create ops.crossplane.io:operations"}, nil, "HT079", custom("ops.crossplane.io/v1alpha1", "", "operations")},
	{"replace-kubelet", nil, []string{"patch nodes/status"}, nil, "HT083", nodeStatus("patch")},
	{"replace-kubelet", nil, []string{"update nodes/status some-node"}, nil, "HT083", nodeStatus("update")},
	{"replace-kubelet", nil, []string{"delete nodes some-node", "create nodes"}, nil, "HT083", nodeAnew},
	{"", nil, []string{"get,list,watch,update,patch,create nodes", "get nodes/status"}, nil, "", nodeStatus("patch")},
	{"", []string{"patch nodes/status"}, nil, nil, "", nodeStatus("patch")},
	{"make-custom", []string{"create argoproj.io:workflows"}, nil, nil, "HT011", custom("argoproj.io/v1alpha1", "alpha-tiller", "workflows")},
	{"make-custom", []string{"create keda.sh:scaledjobs"}, nil, nil, "HT011", custom("keda.sh/v1alpha1", "alpha-tiller", "scaledjobs")},
	{"", []string{"create argoproj.io:applications", "create ops.crossplane.io:operations", "create keda.sh:scaledobjects"}, []string{"get,list,delete helm.toolkit.fluxcd.io:helmreleases", "create cert-manager.io:certificates"}, nil, "",
		custom("helm.toolkit.fluxcd.io/v2", "alpha-b", "helmreleases")},
	// Tiller listens on its loopback: what the API server's proxy connects to is
	// not there, whoever may use it.
	{"", []string{"get,create pods/proxy", "get,create services/proxy"}, nil, nil, "", nil},
}

// TestWays grants an outsider a right, and compares the audit's report with the API server's
// answers when the outsider uses it.
func TestWays(t *testing.T) {
	w := start(t)
	w.clean(t)
	pod := w.pod(t, "alpha-tiller")
	config := w.Config(t, "outsider")
	outsider := &actor{kubernetes.NewForConfigOrDie(config), config, w, "alpha-tiller", pod}
	w.plant(t).release("alpha-tiller", "fine", "alpha-b")
	w.plant(t).leadingRoles()
	opens, closed := 0, 0
	for i, way := range ways {
		if way.path != "" && way.want == "" {
			typed.went()
			continue // a note in the table
		}
		name := way.path
		if name == "" {
			name = "nothing"
		}
		t.Run(fmt.Sprintf("%02d %s by %s", i, name, strings.Join(append(append(slices.Clone(way.rules), way.wide...), way.also...), " and ")), func(t *testing.T) {
			typed.went()
			p := w.plant(t)
			p.grant("alpha-tiller", "way", named(way.rules, outsider.pod), "user outsider")
			p.grant("alpha-tiller", "way-also", way.also, "user outsider")
			p.grant("", "way-wide", way.wide, "user outsider")
			w.settle(t)
			// The answer for one person goes another way through the code.
			got := w.audit(t, "--can-reach", "outsider")
			var want []string
			switch way.want {
			case "":
			default:
				want = []string{way.want + " alpha user outsider"}
				if strings.HasSuffix(way.path, "-administrator") || slices.Contains([]string{"node-proxy", "change-policy", "change-guard", "change-admission", "certificate", "be-node", "serve-api", "create-volume", "use-controller", "replace-kubelet"}, way.path) || slices.ContainsFunc(way.wide, func(rule string) bool { return strings.Contains(rule, "clusterrolebindings") }) {
					want = []string{way.want + "  user outsider"} // they reach every deployer
				}
			}
			p.same(got.Findings, want)
			var open []string
			for _, reached := range got.CanReach {
				if reached.Tenant != "alpha" {
					continue
				}
				for _, path := range reached.Paths {
					open = append(open, path.ID)
				}
			}
			var ids []string
			if way.path != "" {
				ids = []string{way.path}
			}
			if !slices.Equal(open, ids) {
				t.Errorf("--can-reach says %q, want %q", open, ids)
			}
			if lines := p.stillIn("alpha", "outsider"); !slices.Equal(lines, ids) {
				t.Errorf("revoke says %q, want %q", lines, ids)
			}
			if way.try != nil {
				err := way.try(t.Context(), outsider)
				if status := apierrors.APIStatus(nil); err != nil && !errors.As(err, &status) {
					t.Fatalf("the API server did not answer: %v", err)
				}
				if allowed := !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err); allowed != (way.path != "") {
					t.Errorf("the API server allows it: %t (%v); the audit says %q", allowed, err, open)
				}
				if way.path != "" {
					opens++
				} else {
					closed++
				}
			}
			p.fix(got.Findings)
		})
	}
	t.Logf("%d ways were open and gone, %d closed and refused", opens, closed)
}

// named puts the pod's name in.
func named(texts []string, pod string) []string {
	var all []string
	for _, text := range texts {
		all = append(all, strings.ReplaceAll(text, "POD", pod))
	}
	return all
}

// otherwiseTried are paths to a Tiller that listens on its pod's address, which the Tiller of
// ways does not: see TestProxyWays and TestNetworkWays.
var otherwiseTried = []string{"proxy", "open-network"}

// TestEveryPathIsTried: each path that the audit knows has an open and a closed case in these
// tests.
func TestEveryPathIsTried(t *testing.T) {
	w := start(t)
	p := w.plant(t)
	p.mutateTiller("alpha-tiller", func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Command = []string{"/tiller", "--storage=secret"}
	})
	p.bind("", "all", "ClusterRole", "cluster-admin", "user chief")
	paths := 0
	for _, reached := range w.audit(t, "--can-reach", "chief", "alpha").CanReach {
		for _, path := range reached.Paths {
			paths++
			if !slices.Contains(otherwiseTried, path.ID) && !slices.ContainsFunc(ways, func(way way) bool { return way.path == path.ID && way.try != nil }) {
				t.Errorf("nobody goes the path %s", path.ID)
			}
		}
	}
	if paths < 32 {
		t.Errorf("who may do everything has %d paths", paths)
	}
}

// TestProxyWays is the way that is open where Tiller listens on its pod's address.
func TestProxyWays(t *testing.T) {
	w := start(t)
	w.clean(t)
	pod := w.pod(t, "alpha-tiller")
	config := w.Config(t, "outsider")
	outsider := &actor{kubernetes.NewForConfigOrDie(config), config, w, "alpha-tiller", pod}
	for _, resource := range []string{"pods", "services"} {
		p := w.plant(t)
		p.mutateTiller("alpha-tiller", func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers[0].Command = []string{"/tiller", "--storage=secret"}
		})
		if err := proxy(resource)(t.Context(), outsider); !apierrors.IsForbidden(err) {
			t.Errorf("%s/proxy without a right: %v", resource, err)
		}
		p.grant("alpha-tiller", "way", []string{"get " + resource + "/proxy"}, "user outsider")
		w.settle(t)
		p.same(w.audit(t).Findings, []string{"HT003 alpha Deployment tiller-deploy in namespace alpha-tiller", "HT010 alpha user outsider"})
		if err := proxy(resource)(t.Context(), outsider); apierrors.IsForbidden(err) {
			t.Errorf("%s/proxy with the right: %v", resource, err)
		}
		p.undo()
	}
}

// TestNetworkWays are the ways to open a Tiller that listens on its pod's address, and that only
// the home's NetworkPolicy keeps from others.
func TestNetworkWays(t *testing.T) {
	w := start(t)
	w.clean(t)
	pod := w.pod(t, "alpha-tiller")
	config := w.Config(t, "outsider")
	outsider := &actor{kubernetes.NewForConfigOrDie(config), config, w, "alpha-tiller", pod}
	for rule, open := range map[string]try{
		"create networking.k8s.io:networkpolicies": func(ctx context.Context, a *actor) error {
			everybody := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "open"}, Spec: networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{}}}}
			_, err := a.NetworkingV1().NetworkPolicies(a.home).Create(ctx, everybody, dry)
			return err
		},
		"delete networking.k8s.io:networkpolicies": func(ctx context.Context, a *actor) error {
			return a.NetworkingV1().NetworkPolicies(a.home).Delete(ctx, "helm-tenant", metav1.DeleteOptions{DryRun: dry.DryRun})
		},
	} {
		p := w.plant(t)
		p.mutateTiller("alpha-tiller", func(d *appsv1.Deployment) { container(d).Command[1] = "--listen=:44134" })
		if err := open(t.Context(), outsider); !apierrors.IsForbidden(err) {
			t.Errorf("%s without the right: %v", rule, err)
		}
		p.grant("alpha-tiller", "way", []string{rule}, "user outsider")
		w.settle(t)
		p.same(w.audit(t).Findings, []string{"HT003 alpha " + tillerOfAlpha, "HT020 alpha user outsider"})
		if err := open(t.Context(), outsider); err != nil {
			t.Errorf("%s with the right: %v", rule, err)
		}
		p.undo()
	}
}

// TestMembersAsTheAuthorizerSeesThem compares the rights of the members with the authorizer's
// answers.
func TestMembersAsTheAuthorizerSeesThem(t *testing.T) {
	w := start(t)
	got := w.audit(t)
	for _, d := range got.Deployers {
		for _, a := range d.Access {
			if !a.Member || !strings.HasPrefix(a.Subject, "user ") {
				continue
			}
			about := authorizationv1.ResourceAttributes{Namespace: d.Home, Verb: "create", Resource: "pods", Subresource: "portforward"}
			if d.Account == "helm" {
				about = authorizationv1.ResourceAttributes{Namespace: d.Home, Verb: "impersonate", Resource: "serviceaccounts", Name: "helm"}
			}
			if !w.may(t, strings.TrimPrefix(a.Subject, "user "), nil, about) {
				t.Errorf("%s is said to reach %s and may not", a.Subject, d.Home)
			}
		}
	}
}

// pod returns the name of the one pod of a Tiller, when the controllers are done
// with whatever was done to it.
func (w *world) pod(t *testing.T, home string) string {
	t.Helper()
	ctx := context.Background()
	for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		pods, err := w.root.CoreV1().Pods(home).List(ctx, metav1.ListOptions{})
		must(t, err)
		d, err := w.root.AppsV1().Deployments(home).Get(ctx, "tiller-deploy", metav1.GetOptions{})
		must(t, err)
		sets, err := w.root.AppsV1().ReplicaSets(home).List(ctx, metav1.ListOptions{})
		must(t, err)
		if len(pods.Items) == 1 && len(sets.Items) == 1 && d.Status.ObservedGeneration == d.Generation {
			return pods.Items[0].Name
		}
		// No pod is ever ready here, and a rollout would wait for that before it removes the
		// old ones.
		for _, set := range sets.Items {
			if revision := "deployment.kubernetes.io/revision"; d.Status.ObservedGeneration == d.Generation && set.Annotations[revision] != d.Annotations[revision] {
				if err := w.root.AppsV1().ReplicaSets(home).Delete(ctx, set.Name, metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
					must(t, err)
				}
			}
		}
	}
	t.Fatalf("the Tiller in %s has not one pod", home)
	return ""
}
