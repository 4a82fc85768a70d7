package audit

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// helmRecordLabels are those of a release record of Helm 3 and 4
// (helm.sh/helm/v3/pkg/storage/driver, newSecretsObject).
var helmRecordLabels = labels.Set{"owner": "helm", "name": "x", "status": "deployed", "version": "1"}

// releaseLabels returns the labels of a release record, with the selector's values for labels
// whose values differ between records (k8s.io/helm/pkg/storage/driver).
func releaseLabels(selector *metav1.LabelSelector) map[string]string {
	record := map[string]string{"OWNER": "TILLER", "NAME": "x", "STATUS": "DEPLOYED", "VERSION": "1", "CREATED_AT": "1", "MODIFIED_AT": "1"}
	requested := func(key, value string) {
		if _, differs := record[key]; differs && key != "OWNER" {
			record[key] = value
		}
	}
	if selector == nil {
		return record
	}
	for key, value := range selector.MatchLabels {
		requested(key, value)
	}
	for _, requirement := range selector.MatchExpressions {
		switch {
		case requirement.Operator == metav1.LabelSelectorOpIn && len(requirement.Values) > 0:
			requested(requirement.Key, requirement.Values[0])
		case requirement.Operator == metav1.LabelSelectorOpNotIn && slices.Contains(requirement.Values, record[requirement.Key]):
			requested(requirement.Key, strings.Join(requirement.Values, "-")+"-") // another value
		}
	}
	return record
}
