package faults

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/rails"
)

// TestThePolicyIsThereInTheEnd refuses the first write of the cluster's admission
// policy as outdated: a command that ends well has written it all the same.
func TestThePolicyIsThereInTheEnd(t *testing.T) {
	w, ctx := start(t), context.Background()
	for name, s := range map[string]*scenario{
		"init":  {policy: true, prefix: "pa", args: "init NAME --namespaces NAME-a --create-namespaces --wait=false"},
		"apply": {policy: true, prefix: "pb", args: "apply -f - --create-namespaces", input: "apiVersion: helm-tenant/v1\ntenants:" + one},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.dropPolicy(ctx, w); err != nil {
				t.Fatal(err)
			}
			var refused atomic.Bool
			folder := w.folder()
			p, err := w.through(folder, func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
				if isWrite(r) && strings.HasSuffix(r.URL.Path, "/validatingadmissionpolicies") && refused.CompareAndSwap(false, true) {
					_, _ = io.Copy(io.Discard, r.Body) // who made it may be gone
					refuse(rw, r, http.StatusConflict)
					return
				}
				next.ServeHTTP(rw, r)
			})
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			args, input, err := s.command(w, s.one(0))
			if err != nil {
				t.Fatal(err)
			}
			if err := w.must(w.run(p.kubeconfig, folder, input, args...)); err != nil {
				t.Fatal(err)
			}
			if !refused.Load() {
				t.Fatal("nothing was refused")
			}
			api := w.root.AdmissionregistrationV1()
			for _, name := range []string{"helm-tenant-records", rails.PolicyPrefix + "namespaces", rails.PolicyPrefix + "configmaps"} {
				if _, err := api.ValidatingAdmissionPolicies().Get(ctx, name, metav1.GetOptions{}); err != nil {
					t.Error(err)
				}
				if _, err := api.ValidatingAdmissionPolicyBindings().Get(ctx, name, metav1.GetOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
