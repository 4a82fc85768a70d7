package admin

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"

	"helm-tenant/install"
	"helm-tenant/tenant"
)

// otherStorage returns the storage of the tenant's live Tiller, if its record has another
// one: somebody changed one of the two by hand. It is empty if they agree.
func (d *decision) otherStorage() tenant.Storage {
	var deployment appsv1.Deployment
	found, err := d.facts.live.Into(tillerKey(d.tenant.Home()), &deployment)
	if err != nil || !found || !d.existed || !d.was.Engine.Has(tenant.EngineTiller) || deployment.Labels[tenant.LabelTenant] != d.tenant.Name {
		return ""
	}
	live := install.LiveSettings(deployment.Spec).Storage
	if live == d.was.Tiller.Storage || live != tenant.StorageSecret && live != tenant.StorageConfigMap {
		return ""
	}
	return live
}

// checkLiveStorage refuses to change a Tiller to the recorded storage if its releases are
// in the other one, unless the request names the storage.
func (d *decision) checkLiveStorage() error {
	live := d.otherStorage()
	if live == "" || !d.tenant.Engine.Has(tenant.EngineTiller) || d.tenant.Tiller.Storage == live || !d.request.Exact && d.request.Tenant.Tiller.Storage != "" {
		return nil
	}
	kinds, err := answerAbout(d.facts.recordKinds, "the kinds of release records", d.tenant.Home())
	if err != nil {
		return err
	}
	inLive := slices.ContainsFunc(kinds, func(kind string) bool { return strings.EqualFold(kind, string(live)) })
	if !inLive {
		return nil
	}
	return &RefusedError{fmt.Sprintf("the Tiller in namespace %q keeps its releases as %ss, and the tenant's record says %ss: Tiller would not find them there", d.tenant.Home(), live, d.was.Tiller.Storage), SettingStorage, string(live)}
}
