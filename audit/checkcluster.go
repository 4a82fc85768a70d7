package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"helm-tenant/command"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// addIdentityMap adds the path through the map of a cloud's identities; false if there is
// no such path.
func (a *auditor) addIdentityMap() (Path, bool) {
	if !a.snapshot.Identities.Used {
		return Path{}, false
	}
	p := pather{Target{Home: IdentityMapNamespace, Server: a.snapshot.Server}, a.rights}
	path := Path{ID: "map-identity", Name: "name an administrator where the cloud's people are", finding: idIdentityMap}
	for _, verb := range change {
		path.needs = append(path.needs, p.only(verb, "", "configmaps", IdentityMapName))
	}
	if !a.snapshot.Identities.Exists {
		path.needs = append(path.needs, p.create("", "configmaps")...)
	}
	a.general = append(a.general, path)
	return path, true
}

// checkIdentityMap finds subjects that can name administrators in that map.
func (a *auditor) checkIdentityMap() {
	path, used := a.addIdentityMap()
	if !used {
		return
	}
	a.eachOther([]string{IdentityMapNamespace}, func(s Subject, mine func(grant) bool) {
		if steps, open := a.rights.opens(identityOf(s), path, nil, mine); open {
			a.add(idIdentityMap, everybodyIs(s), a.finding(s, opened{path, steps}, "%s can write the ConfigMap %s of %s, which names the cluster's administrators", s, IdentityMapName, IdentityMapNamespace))
		}
	})
}

// everybodyIs returns the severity for rights of everybody; empty for other subjects.
func everybodyIs(s Subject) Severity {
	if s.IsEverybody() {
		return Critical
	}
	return ""
}

// eachOther calls do for all subjects that hold any right in the whole cluster or in those
// namespaces, with a filter for their grants. It skips Kubernetes' own components, and subjects
// that reach every deployer by their own rights.
func (a *auditor) eachOther(namespaces []string, do func(s Subject, mine func(grant) bool)) {
	all := map[Subject]bool{}
	for s := range a.rights.inCluster {
		all[s] = true
	}
	for _, ns := range namespaces {
		for s := range a.rights.inside[ns] {
			all[s] = true
		}
	}
	for _, w := range a.wide {
		if slices.ContainsFunc(w.paths, func(o opened) bool { return o.path.finding != idHome }) {
			delete(all, w.who)
		}
	}
	for _, s := range slices.SortedFunc(maps.Keys(all), compareSubjects) {
		if isAdministrator(s) || a.powerful[s] {
			continue
		}
		do(s, ownGrants(s))
	}
}

// makeHome returns the ways to create a namespace with the labels of a home. Where these are
// reserved, that takes one of the rights by which the admission policy knows administrators.
func (a *auditor) makeHome() []Need {
	p := pather{Target{}, a.rights}
	needs := p.createIn("", "", "namespaces")
	if !a.snapshot.Guard.Reserved {
		return needs
	}
	claim := Ask{Verb: rails.VerbClaim, Group: rails.GroupClaim, Resource: rails.ResourceClaim, AnyName: true}
	var reserved []Need
	for _, need := range needs {
		reserved = append(reserved, append(slices.Clone(need), claim), append(slices.Clone(need), p.all("create", rbacGroup, "rolebindings")...))
	}
	return reserved
}

// checkMakesHomes finds subjects that can create a namespace, and so the home of a tenant
// that does not exist yet, with its labels.
func (a *auditor) checkMakesHomes() {
	path := Path{ID: "make-home", Name: "make namespaces", needs: a.makeHome()}
	a.eachOther(nil, func(s Subject, mine func(grant) bool) {
		steps, open := a.rights.opens(identityOf(s), path, nil, mine)
		if !open {
			return
		}
		f := a.finding(s, opened{path, steps}, "%s can make namespaces, and so the home of a tenant that is not there yet", s)
		severity := Severity("")
		if s.IsEverybody() {
			severity = Medium
		}
		if r, steps := a.deletesHome(s); r != nil {
			severity = Medium
			f.Text += fmt.Sprintf("; it can also delete the home of tenant %s and make it again: the tenant's namespaces trust the account of that name, whoever makes it", r.Tenant.Name)
			f.Chains = append(f.Chains, chainsOf(s, []opened{{path, steps}})...)
		}
		a.add(idMakesHomes, severity, f)
	})
}

// deletesHome returns a tenant whose home namespace the subject can delete, with the grants that
// allow it; nil if there is none.
func (a *auditor) deletesHome(s Subject) (*Record, []step) {
	for r := range a.records() {
		deletion := Path{needs: []Need{pather{Target{Home: r.Namespace}, a.rights}.only("delete", "", "namespaces", r.Namespace)}}
		if steps, open := a.rights.opens(identityOf(s), deletion, nil, nil); open {
			return r, steps
		}
	}
	return nil, nil
}

// homesOf returns the namespaces of deployers that the selector matches: tenants' homes, with and
// without a record, and those of Tillers of no tenant.
func (a *auditor) homesOf(selector *metav1.LabelSelector) []string {
	chosen, err := metav1.LabelSelectorAsSelector(selector)
	if selector == nil {
		chosen = labels.Everything()
	}
	var homes []string
	seen := map[string]bool{}
	add := func(home string) {
		if ns := a.namespaces[home]; ns != nil && err == nil && !seen[home] && chosen.Matches(labels.Set(ns.Labels)) {
			homes, seen[home] = append(homes, home), true
		}
	}
	for r := range a.records() {
		add(r.Namespace)
	}
	for _, d := range a.deployers {
		add(d.target.Home)
	}
	return homes
}

// checkTwoRecords finds tenants with more than one believed record.
func (a *auditor) checkTwoRecords() {
	byName := map[string][]*Record{}
	for r := range a.records() {
		byName[r.Tenant.Name] = append(byName[r.Tenant.Name], r)
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		records := byName[name]
		if len(records) < 2 {
			continue
		}
		// The tenant's record is the one to which the annotations of its namespaces refer; only
		// admins write these.
		lead := map[string]int{}
		for _, ns := range a.labelled[name] {
			if home := ns.Annotations[tenant.AnnotationHome]; home != "" && home != ns.Name {
				lead[home]++
			}
		}
		slices.SortFunc(records, func(x, y *Record) int {
			return cmp.Or(cmp.Compare(lead[y.Namespace], lead[x.Namespace]), cmp.Compare(x.Namespace, y.Namespace))
		})
		f := Finding{Tenants: []string{name}, Subject: "tenant " + name}
		var homes []string
		for _, r := range records {
			homes = append(homes, r.Namespace)
			f.Chains = append(f.Chains, []string{"tenant " + name, objectName("ConfigMap", r.Namespace, tenant.RecordName)})
		}
		f.Text = fmt.Sprintf("tenant %s has %d records, in the namespaces %s", name, len(records), shortened(homes))
		if lead[homes[0]] > 0 && lead[homes[1]] == 0 {
			f.Text += fmt.Sprintf("; its namespaces lead to %s", homes[0])
			for _, r := range records[1:] {
				f.Fix = f.Fix.Then(command.Run(command.Kubectl("delete", r.Namespace, "configmap", tenant.RecordName), command.Kubectl("delete", r.Namespace, "rolebinding", rbac.MemberName),
					command.Command{"kubectl", "label", "namespace", r.Namespace, tenant.LabelTenant + "-", tenant.LabelHome + "-"}))
			}
		} else {
			f.Fix = command.Advice("find out which home is the tenant's, and delete the other record: the ConfigMap " + tenant.RecordName)
		}
		a.add(idTwoRecords, "", f)
	}
}

// checkPlaced finds workloads in the home that run as the deployer and have no pod that
// would be reported.
func (a *auditor) checkPlaced(d *deployer) {
	home := d.target.Home
	for _, w := range a.workloads[home] {
		if w == d.tiller || cmp.Or(w.Account, "default") != d.target.Account || w.OfPod != "" ||
			slices.ContainsFunc(a.pods[home], func(pod Pod) bool { return created(w, pod) && cmp.Or(pod.Account, "default") == d.target.Account }) {
			continue
		}
		if d.tiller != nil && w.isSetOf(d.tiller) && w.Template != nil && recognise.HasLabels(w.Template.Labels) {
			continue // an earlier revision of Tiller, with another priority class
		}
		f := d.about(w.Kind+" "+w.Name, "%s %s at the home of the deployer %s makes pods with its account", w.Kind, w.Name, d.account.Name)
		f.Chains = [][]string{{objectName(w.Kind, home, w.Name), d.account.String()}}
		f.Fix = command.Run(command.Kubectl("delete", home, strings.ToLower(w.Kind), w.Name))
		a.add(idImpostor, "", f)
	}
}
