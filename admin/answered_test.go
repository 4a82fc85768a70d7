package admin

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"helm-tenant/audit"
	"helm-tenant/cluster"
)

// TestServiceOf: webhooks by a URL whose host the cluster's DNS finds.
func TestServiceOf(t *testing.T) {
	for address, want := range map[string]string{
		"https://hook.a.svc/path":                       "a/hook",
		"https://hook.a.svc:8443":                       "a/hook",
		"https://hook.a.svc.cluster.local":              "a/hook",
		"https://hook.a.svc.cluster.local./x":           "a/hook",
		"https://HOOK.A.SVC.k8s.example":                "a/hook",
		"https://pod-0.hook.a.svc.cluster.local":        "a/hook",
		"https://hook.example.com":                      "/",
		"https://hook.example.com/hook.a.svc":           "/",
		"https://hook.a.svc@example.com/":               "/",
		"https://a.svc":                                 "/",
		"https://10.0.0.1":                              "/",
		"https://[fd00::1]:1":                           "/",
		"https://%zz":                                   "/",
		"":                                              "/",
		"https://svc.svc.svc":                           "svc/svc",
		"https://" + strings.Repeat("a.", 1000) + "svc": "a/a",
	} {
		if got := serviceOf(address); got.Namespace+"/"+got.Name != want {
			t.Errorf("%.60s: got %v, want %s", address, got, want)
		}
	}
}

// TestConvertersAreRead: conversion webhooks and servers of APIs in the snapshot.
func TestConvertersAreRead(t *testing.T) {
	server, c := empty().start(t)
	definition := func(name, versions, conversion string) string {
		return `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: ` + name + `}, spec: {versions: ` + versions + `, conversion: ` + conversion + `}}`
	}
	const two, service = "[{name: v1, schema: {openAPIV3Schema: {type: object}}}, {name: v2}]", "{strategy: Webhook, webhook: {conversionReviewVersions: [v1], clientConfig: {caBundle: Cg==, service: {namespace: a, name: hook, port: 1}}}}"
	for _, text := range []string{
		definition("one.example.com", "[{name: v1}]", service),
		definition("none.example.com", two, "{strategy: None}"),
		definition("two.example.com", two, service),
		definition("url.example.com", two, "{strategy: Webhook, webhook: {clientConfig: {url: 'https://hook.a.svc/x'}}}"),
		`{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.apps}, spec: {group: apps}}`,
		`{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.metrics.example.com}, spec: {service: {namespace: a, name: hook}}}`,
	} {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
			t.Fatal(err)
		}
		server.Put(object)
	}
	hook := audit.ObjectRef{Kind: "Service", Namespace: "a", Name: "hook"}
	// An audit and a revoke read the same.
	for name, take := range map[string]func(context.Context, *cluster.Client) (*audit.Snapshot, error){"TakeSnapshot": TakeSnapshot, "TakeReach": TakeReach} {
		snapshot, err := take(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(snapshot.Webhooks, func(a, b audit.Webhook) int { return strings.Compare(a.Configuration, b.Configuration) })
		if diff := cmp.Diff([]audit.Webhook{
			{Kind: audit.Definition, Configuration: "two.example.com", Server: "service hook in namespace a", Service: hook},
			{Kind: audit.Definition, Configuration: "url.example.com", Server: "https://hook.a.svc/x", Service: hook},
			{Kind: audit.AggregatedAPI, Configuration: "v1.metrics.example.com", Server: "service hook in namespace a", Service: hook},
		}, snapshot.Webhooks); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	server.Refuse = forbid("CustomResourceDefinition", "APIService", "MutatingWebhookConfiguration")
	snapshot, err := TakeReach(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var unseen []string
	for _, u := range snapshot.Unseen {
		unseen = append(unseen, u.What)
	}
	if want := []string{"apiservices in the cluster", "customresourcedefinitions in the cluster", "mutatingwebhookconfigurations in the cluster"}; !slices.Equal(unseen, want) {
		t.Errorf("what is forbidden is not said: %q, not %q", unseen, want)
	}
}
