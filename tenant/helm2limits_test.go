package tenant

import (
	"strings"
	"testing"
)

func TestHelm2Limits(t *testing.T) {
	for _, test := range []struct {
		name, cluster, user string
		proxied             bool
		fails, ignores      string
	}{
		{name: "what Helm 2 knows", cluster: "insecure-skip-tls-verify: true", user: "tokenFile: /t"},
		{name: "a proxy", cluster: "proxy-url: http://me:secret@proxy.example:3128", ignores: `proxy-url of cluster "c"`},
		{name: "a proxy of the environment", cluster: "proxy-url: http://proxy.example:3128", proxied: true},
		{name: "a server name", cluster: "tls-server-name: api.example", ignores: `tls-server-name of cluster "c"`},
		{name: "a UID", user: "as: bob\n    as-uid: u", ignores: `as-uid of user "u"`},
		{name: "an old exec plugin", user: "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: c}"},
		{name: "an older exec plugin", user: "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: c}"},
		{name: "a new exec plugin", user: "exec: {apiVersion: client.authentication.k8s.io/v1, command: c, interactiveMode: Never}", fails: `user "u" in the kubeconfig: it is of client.authentication.k8s.io/v1,`},
		{name: "an exec plugin that is told of the cluster", user: "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: c, provideClusterInfo: true}", ignores: "provideClusterInfo"},
		{name: "an auth-provider", user: "auth-provider: {name: oidc, config: {client-id: c}}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.user == "" {
				test.user = "token: t"
			}
			text := "current-context: x\ncontexts:\n- name: x\n  context: {cluster: c, user: u}\nclusters:\n- name: c\n  cluster:\n    server: https://127.0.0.1:1\n    " +
				test.cluster + "\nusers:\n- name: u\n  user:\n    " + test.user + "\n"
			got := load(t, write(t, "config", text, 0o600), "").Helm2Limits(test.proxied)
			ignores := strings.Join(got.Ignores, "; ")
			if !strings.Contains(got.Fails, test.fails) || (test.fails == "") != (got.Fails == "") || !strings.HasPrefix(ignores, test.ignores) || (test.ignores == "") != (ignores == "") {
				t.Errorf("got %+v", got)
			}
			if strings.Contains(ignores, "secret") {
				t.Errorf("it shows the proxy's password: %s", ignores)
			}
		})
	}
}

// Every verb that uses the cluster names an auth-provider that client-go has removed, with its
// replacement; it still has oidc.
func TestAuthProviders(t *testing.T) {
	for provider, want := range map[string]string{
		"oidc":      "",
		"gcp":       `user "alice" of the kubeconfig has the auth-provider "gcp", which clients of Kubernetes have no more (Helm 2's own commands work with it); use the exec plugin gke-gcloud-auth-plugin, which "gcloud container clusters get-credentials" writes into a kubeconfig`,
		"azure":     "kubelogin convert-kubeconfig",
		"openstack": "client-keystone-auth",
		"mine":      `has the auth-provider "mine", which clients of Kubernetes do not know; use an exec plugin`,
	} {
		text := strings.Replace(twoClusters, "colour: red", "auth-provider: {name: "+provider+", config: {}}", 1)
		text = strings.Replace(text, "    client-certificate: alice.pem\n    exec: {apiVersion: client.authentication.k8s.io/v1, command: ./login, interactiveMode: Never}\n", "", 1)
		_, err := load(t, write(t, "config", text, 0o600), "main").RESTConfig()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v", provider, err)
		}
	}
}
