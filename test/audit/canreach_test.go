package audit

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// reaching has a subject's rights, and the report of --can-reach for them: "TENANT PATH,...
// through OTHERS"; the paths of a subject that can do everything are "...".
var reaching = []struct {
	name  string
	plant func(*plant)
	user  string
	want  []string
	text  string // a part of the table
}{
	{"nobody", func(*plant) {}, "zoe", nil, "user zoe reaches no deployer, and can't act as anybody who does"},
	{"an account whose pods they make", func(p *plant) {
		p.account("outside", "bot")
		p.grant("alpha-tiller", "enter", []string{"create pods/exec"}, "account outside:bot")
		p.bind("outside", "run", "ClusterRole", "edit", "user zoe")
	}, "zoe", []string{"alpha exec through service account outside:bot"}, "tenant alpha, through service account outside:bot\n  exec into pods\n    user zoe -> RoleBinding run in namespace outside"},
	{"a user whom they may impersonate", func(p *plant) {
		p.grant("alpha-tiller", "enter", []string{"create pods/exec"}, "user yan")
		p.grant("", "be-yan", []string{"impersonate users yan"}, "user zed")
	}, "zed", []string{"alpha exec through user yan"}, "tenant alpha, through user yan"},
	{"a member of a tenant whose Tiller is cluster-admin", func(p *plant) {
		p.bind("", "too-much", "ClusterRole", "cluster-admin", "account alpha-tiller:tiller")
	}, "alice", []string{"alpha port-forward", "beta ... through service account alpha-tiller:tiller", "gamma ... through service account alpha-tiller:tiller"}, "tenant beta, through service account alpha-tiller:tiller"},
	{"an open Tiller, from a pod of theirs", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) { container(d).Command = nil })
		p.bind("outside", "run", "ClusterRole", "edit", "user zoe")
	}, "zoe", []string{" connect"}, "\n  connect to Tiller from a pod\n    user zoe -> RoleBinding run in namespace outside -> ClusterRole edit -> create pods\n    any pod of the cluster -> Deployment tiller-deploy"},
	{"an open Tiller, from a chart of theirs", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) { container(d).Command = nil })
	}, "bob", []string{" connect through service account beta-tiller:tiller", "beta port-forward"}, "through service account beta-tiller:tiller"},
}

// account makes a service account.
func (p *plant) account(ns, name string) {
	p.Helper()
	must(p.T, create(p.w.root.CoreV1().ServiceAccounts(ns).Create(p.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})))
	p.later(func() {
		p.gone(p.w.root.CoreV1().ServiceAccounts(ns).Delete(context.Background(), name, metav1.DeleteOptions{}))
	})
}

func TestCanReachThroughOthers(t *testing.T) {
	w := start(t)
	w.clean(t)
	for _, test := range reaching {
		t.Run(test.name, func(t *testing.T) {
			p := w.plant(t)
			test.plant(p)
			var got []string
			for _, reached := range w.audit(t, "--can-reach", test.user).CanReach {
				var ids []string
				for _, path := range reached.Paths {
					ids = append(ids, path.ID)
				}
				text := reached.Tenant + " " + strings.Join(ids, ",")
				if len(ids) > 20 {
					text = reached.Tenant + " ..."
				}
				if len(reached.Through) > 0 {
					text += " through " + strings.Join(reached.Through, ", ")
				}
				got = append(got, text)
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if r := w.run(w.Admin(), "audit", "--can-reach", test.user); r.Code != 0 || !strings.Contains(r.Stdout, test.text) {
				t.Errorf("exit code %d, and no %q in\n%s", r.Code, test.text, r.Stdout)
			}
		})
	}
	// The way through the account, gone.
	p := w.plant(t)
	reaching[1].plant(p)
	pod := w.pod(t, "alpha-tiller")
	w.settle(t)
	config := w.Config(t, "zoe")
	token, err := kubernetes.NewForConfigOrDie(config).CoreV1().ServiceAccounts("outside").CreateToken(t.Context(), "bot", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	config = rest.AnonymousClientConfig(config)
	config.BearerToken = token.Status.Token
	bot := &actor{kubernetes.NewForConfigOrDie(config), config, w, "alpha-tiller", pod}
	if err := stream(http.MethodPost, "exec")(t.Context(), bot); apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		t.Errorf("zoe as outside:bot enters alpha's Tiller: %v", err)
	}
	if err := stream(http.MethodPost, "attach")(t.Context(), bot); !apierrors.IsForbidden(err) {
		t.Errorf("zoe as outside:bot attaches to alpha's Tiller: %v", err)
	}
}
