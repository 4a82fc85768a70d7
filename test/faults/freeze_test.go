package faults

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/rails"
)

// withFreezing makes the admission policy of freezes, which the cluster has once.
func withFreezing(ctx context.Context, w *world, _ string) error {
	api := w.root.AdmissionregistrationV1()
	for _, object := range rails.Freezing() {
		var err error
		switch o := object.(type) {
		case *admissionv1.ValidatingAdmissionPolicy:
			_, err = api.ValidatingAdmissionPolicies().Create(ctx, o, metav1.CreateOptions{})
		case *admissionv1.ValidatingAdmissionPolicyBinding:
			_, err = api.ValidatingAdmissionPolicyBindings().Create(ctx, o, metav1.CreateOptions{})
		default:
			err = fmt.Errorf("the freeze has a %T", object)
		}
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// frozen freezes a tenant.
func frozen(ctx context.Context, w *world, name string) error {
	if err := withFreezing(ctx, w, name); err != nil {
		return err
	}
	return w.must(w.run(w.direct, w.folder(), "", "freeze", name, "--reason", "INC-12"))
}
