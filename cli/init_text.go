package cli

import (
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// dryRun prints the objects that would be written, and notes on what kubectl can't apply.
func (s *session) dryRun(prepared *admin.Prepared, output string) error {
	if output == "text" {
		output = "yaml"
	}
	for _, note := range prepared.Notes {
		s.say("Note: %s", note)
	}
	for _, change := range prepared.Plan.Changes {
		if change.Action == cluster.Delete || change.Action == cluster.Replace {
			s.say("would be %s: %s", pastTense[change.Action], change.Key)
		}
	}
	objects := prepared.Plan.Objects()
	if len(objects) == 0 {
		s.say("tenant %s is as asked: nothing to write", prepared.Tenant.Name)
	}
	return printManifests(s.out(), output, objects)
}

// printManifests prints objects in a form that kubectl reads: json as a List, yaml as one
// document each, name as their names.
func printManifests(w io.Writer, output string, objects []*unstructured.Unstructured) error {
	if output == "json" || output == "yaml" && len(objects) == 0 { // kubectl apply accepts an empty List, and no empty input
		list := map[string]any{"apiVersion": "v1", "kind": "List", "items": append([]*unstructured.Unstructured{}, objects...)}
		return printObject(w, output, list)
	}
	for i, object := range objects {
		if output == "name" {
			visible.Fprintf(w, "%s/%s\n", strings.ToLower(object.GetKind()), object.GetName())
			continue
		}
		if i > 0 {
			fmt.Fprintln(w, "---")
		}
		if err := printObject(w, "yaml", object.Object); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) initDone(prepared *admin.Prepared, o *initOptions) error {
	t := prepared.Tenant
	switch o.output {
	case "name":
		s.printTenantName(t.Name)
		return nil
	case "json", "yaml":
		return printObject(s.out(), o.output, tenantObject(t))
	}
	result := "is ready"
	switch {
	case !prepared.Wrote:
		result = "is as asked: nothing was written"
	case !o.wait && t.Engine.Has(tenant.EngineTiller):
		result = "is written; its Tiller is starting"
	}
	visible.Fprintf(s.out(), "tenant %s %s\n", t.Name, result)
	if t.Members.IsZero() {
		s.next("It has no members yet", command.Tenant("grant", t.Name, "--user=USER"))
	} else if prepared.Stale {
		s.next("Its namespaces or its engine changed: members whose kubeconfig remembers the tenant type again", useOf(t))
	} else {
		s.next("Its members start with", useOf(t))
	}
	return nil
}

func (s *session) printTenantName(name string) {
	visible.Fprintf(s.out(), "tenant/%s\n", name)
}

func useOf(t tenant.Tenant) command.Command {
	if t.Home() == t.Engine.ConventionalHome(t.Name) {
		return command.Tenant("use", t.Name)
	}
	return command.Tenant("use", t.Name, "--home-namespace="+t.Home())
}

func tenantObject(t tenant.Tenant) any {
	return struct {
		document
		tenant.Tenant
	}{documentOf("Tenant"), t}
}
