package cli

import (
	"strings"
	"testing"
)

func TestSettingsNotes(t *testing.T) {
	for _, test := range []struct {
		apiServer, driver string
		want              []string // a part of each note
	}{
		{"", "", nil},
		{"", "secret", nil},
		{"", "secrets", nil},
		{"", "configmap", []string{`HELM_DRIVER is "configmap": helm stores releases there`}},
		{"", "configmaps", []string{`HELM_DRIVER is "configmaps": helm stores releases there`}},
		{"", "sql", []string{`HELM_DRIVER is "sql": helm stores releases there`}},
		{"", "memory", []string{`HELM_DRIVER is "memory": helm forgets each release`}},
		{"", "Secret", []string{`HELM_DRIVER is "Secret", which is no storage of helm`}},
		{"", " ", []string{`HELM_DRIVER is " ", which is no storage of helm`}},
		{"https://other:6443", "sql", []string{"HELM_KUBEAPISERVER is set: helm's commands for the tenant are refused", `HELM_DRIVER is "sql"`}},
	} {
		got := settingsNotes(test.apiServer, test.driver)
		if len(got) != len(test.want) {
			t.Errorf("HELM_KUBEAPISERVER=%q, HELM_DRIVER=%q: got %q", test.apiServer, test.driver, got)
			continue
		}
		for i, want := range test.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("HELM_KUBEAPISERVER=%q, HELM_DRIVER=%q: got %q, want %q", test.apiServer, test.driver, got[i], want)
			}
		}
	}
}
