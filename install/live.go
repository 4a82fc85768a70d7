package install

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"

	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// LiveSettings returns the settings of a Tiller that helm-tenant made, with its storage
// and version; settings with their default value are left out.
func LiveSettings(spec appsv1.DeploymentSpec) tenant.Tiller {
	s := recognise.SettingsOf(spec)
	c := recognise.Container(spec.Template.Spec)
	if c == nil {
		return s
	}
	s.Storage = recognise.StorageOf(c)
	if version := recognise.ImageVersion(c.Image); s.Image == "" && version != defaultVersion {
		s.Version = version
	}
	if maps.Equal(s.Resources, defaultResources) {
		s.Resources = nil
	}
	if s.HistoryMax != nil && *s.HistoryMax == tenant.DefaultHistoryMax {
		s.HistoryMax = nil
	}
	if s.Replicas != nil && *s.Replicas == tenant.DefaultReplicas {
		s.Replicas = nil
	}
	return s
}
