package audit

import (
	"testing"

	"k8s.io/apimachinery/pkg/version"
)

func TestServerOfVersion(t *testing.T) {
	for _, test := range []struct {
		info  version.Info
		minor int
	}{
		{version.Info{Minor: "24"}, 24},
		{version.Info{Minor: "34+"}, 34},
		{version.Info{Minor: "37", EmulationMinor: "36", GitVersion: "v1.37.2"}, 36},
		{version.Info{GitVersion: "v1.24.17"}, 24},
		{version.Info{GitVersion: "v1.36.3-eks-1234"}, 36},
		{version.Info{GitVersion: "unknown"}, 0},
		{version.Info{}, 0},
	} {
		if got, want := ServerOf(test.info), serverOfMinor(test.minor); got != want {
			t.Errorf("%+v: got %+v, want %+v", test.info, got, want)
		}
	}
}
