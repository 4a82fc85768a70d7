package preflight

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/refusal"
	"helm-tenant/visible"
)

// status returns the API server's answer in an error; nil if it did not answer.
func status(err error) *metav1.Status {
	if answered, ok := errors.AsType[interface {
		error
		apierrors.APIStatus
	}](err); ok {
		s := answered.Status()
		return &s
	}
	return nil
}

// Existing judges an object that may exist already. live is the object in the cluster; it is
// nil if err says why it was not read.
func (q Question) Existing(o Object, live *unstructured.Unstructured, err error) []Finding {
	if s := status(err); err != nil {
		if s != nil && s.Code == http.StatusNotFound {
			return nil
		}
		return []Finding{q.Refusal(o, "get", err)}
	}
	switch {
	case o.CRDFolder:
		return nil // helm does not change an existing one
	case o.Hook && !o.Replaces() && q.ServerSide:
		return []Finding{about(o, Exists, Warned, "it is there, and helm writes over it: it is a hook", "", "")}
	case o.Hook && o.Replaces():
		return []Finding{about(o, Exists, Warned, "it is there, and helm deletes and creates it anew: it is a hook", "", "")}
	case o.Hook:
		return []Finding{refused(o, Exists, "it is there, and this hook's deletion policy does not replace it", "delete it, or rename the release", "")}
	case q.owns(live) || q.TakeOwnership:
		return nil
	}
	whose := "nobody's release"
	if name := live.GetAnnotations()[annotationRelease]; name != "" && live.GetLabels()[labelManagedBy] == "Helm" {
		whose = fmt.Sprintf("release %q in namespace %q", name, live.GetAnnotations()[annotationNamespace])
	}
	return []Finding{refused(o, Exists, "it is there, and belongs to "+whose, "rename the release or the object by the chart's values, or delete the object; --take-ownership makes it this release's", "")}
}

// owns reports whether an object belongs to the release by helm's rules (helm.sh/helm/v3,
// checkOwnership in pkg/action/validate.go).
func (q Question) owns(live *unstructured.Unstructured) bool {
	notes := live.GetAnnotations()
	return live.GetLabels()[labelManagedBy] == "Helm" && notes[annotationRelease] == q.Release && notes[annotationNamespace] == q.Namespace
}

// Own marks an object as helm does before it writes it.
func (q Question) Own(o Object) *unstructured.Unstructured {
	owned := o.DeepCopy()
	if o.Hook || o.CRDFolder {
		return owned
	}
	labels, notes := owned.GetLabels(), owned.GetAnnotations()
	if labels == nil {
		labels = map[string]string{}
	}
	if notes == nil {
		notes = map[string]string{}
	}
	labels[labelManagedBy], notes[annotationRelease], notes[annotationNamespace] = "Helm", q.Release, q.Namespace
	owned.SetLabels(labels)
	owned.SetAnnotations(notes)
	return owned
}

// limits matches the messages of the admission plugin LimitRanger.
var limits = regexp.MustCompile(`is forbidden: \[?(?:(?:minimum|maximum) [^ ]+ usage per |[^ ]+ max limit to request ratio per )`)

// untypedApply is the beginning of the API server's refusal, with status 500, of an apply whose
// object does not match the schema of its kind.
const untypedApply = "failed to create typed patch object"

// IsAboutApply reports whether the API server may have refused an apply because of something
// that only a patch can express: fields that are not in the schema, two items of a list with
// the same key, characters that YAML does not allow, such as DEL.
func IsAboutApply(err error) bool {
	s := status(err)
	return s != nil && (s.Code == http.StatusBadRequest || strings.HasPrefix(s.Message, untypedApply))
}

// IsOwnConflict reports whether the API server refused an apply for nothing but fields that helm
// itself owns by patches or updates. Where an upgrade by Helm 4 goes over to server-side apply,
// or an install takes an object over, helm takes these fields over first
// (helm.sh/helm/v4/pkg/kube, upgradeClientSideFieldManager).
func IsOwnConflict(err error) bool {
	s := status(err)
	if s == nil || s.Code != http.StatusConflict || s.Details == nil || len(s.Details.Causes) == 0 {
		return false
	}
	return !slices.ContainsFunc(s.Details.Causes, func(cause metav1.StatusCause) bool {
		return cause.Type != metav1.CauseTypeFieldManagerConflict || !strings.HasPrefix(cause.Message, `conflict with "helm" using `)
	})
}

// noAnswer is the text of a finding for a question that the API server did not answer.
const noAnswer = "the API server gave no answer"

// Refusal returns a finding for the API server's refusal of a request about an object.
func (q Question) Refusal(o Object, verb string, err error) Finding {
	s := status(err)
	if s != nil && strings.HasPrefix(s.Message, untypedApply) {
		return invalid(o, visible.Excerpt(s.Message))
	}
	if s == nil || s.Code >= 500 || s.Code == http.StatusTooManyRequests || s.Code == http.StatusUnauthorized {
		return about(o, NotTried, Untried, noAnswer, "try again", visible.Excerpt(err.Error()))
	}
	message := visible.Excerpt(s.Message)
	if strings.Contains(message, "does not support dry run") {
		return about(o, NotTried, Untried, "an admission webhook of the cluster does not take part in dry runs", "only the installation itself shows it", message)
	}
	origin, known := refusal.Read(message)
	switch {
	case known:
		return q.by(o, verb, origin, message)
	case limits.MatchString(message):
		return refused(o, LimitRange, "a LimitRange of the namespace does not allow it: "+reason(message), "set the chart's resources within it, or ask an admin to widen the tenant's limits", message)
	case s.Code == http.StatusForbidden && apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return refused(o, Admission, "the namespace is being deleted", "choose another namespace, or wait", message)
	case s.Code == http.StatusForbidden:
		return refused(o, Admission, "an admission plugin of the API server refuses it: "+reason(message), "change what it names by the chart's values, or ask an admin", message)
	case s.Code == http.StatusNotFound && o.GetKind() == "RoleBinding":
		return refused(o, Invalid, "it binds a role that is neither there nor in the chart", "create the role by the chart's values, or bind one that is there", message)
	case s.Code == http.StatusNotFound:
		return refused(o, ForeignNamespace, fmt.Sprintf("there is no namespace %q", o.GetNamespace()), q.toNamespace(o.GetNamespace()), message)
	case s.Code == http.StatusConflict && verb == "patch":
		return refused(o, Exists, "somebody else owns fields that the chart sets", "set them there, or give --force-conflicts", message)
	case s.Code == http.StatusConflict:
		return refused(o, Exists, "it is there", "rename the release, or delete the object", message)
	}
	return invalid(o, message)
}

// invalid returns a finding for an object of which the API server says that it is not valid. The
// object is named beside it: the words before the reason are left out.
func invalid(o Object, message string) Finding {
	reason := message
	for _, before := range []string{untypedApply, " cannot be handled as a ", ` is invalid: `} {
		index := strings.Index(message, before)
		if index < 0 {
			continue
		}
		if _, after, found := strings.Cut(message[index:], ": "); found {
			reason = after
			break
		}
	}
	return refused(o, Invalid, "the API server does not take it: "+strings.TrimPrefix(reason, "errors: "), "mend the chart's values or its template", message)
}

func (q Question) by(o Object, verb string, origin refusal.Refusal, message string) Finding {
	switch origin.Kind {
	case refusal.RBAC:
		return q.lacks(o, verb, message)
	case refusal.Escalation:
		return refused(o, Escalation, "it gives rights away that the tenant's deployer does not hold itself: "+excess(message),
			"leave these rules out by the chart's values, or ask an admin to create the role (--for-admin writes it)", message)
	case refusal.PodSecurity:
		return refused(o, PodSecurity, "its pods would never be created: "+afterLevel(message), "set the chart's securityContext values so that it holds, or ask an admin for another podSecurity level of the tenant", message)
	case refusal.Quota:
		return refused(o, Quota, "the namespace's "+origin.By+" does not allow it", "ask for less by the chart's values, remove what is not needed, or ask an admin for a larger quota", message)
	case refusal.Frozen:
		return refused(o, Guard, visible.Excerpt(afterPolicy(message)), "wait until an admin ends the freeze", afterPolicy(message))
	case refusal.Guard, refusal.Records:
		return refused(o, Guard, "a guard rail of the tenant refuses it: "+reason(message), "leave it out by the chart's values, or ask an admin", afterPolicy(message))
	case refusal.ServiceAccount:
		return refused(o, ServiceAccount, "its pods name a service account that is neither there nor in the chart", "create the account by the chart's values, or name one that is there", message)
	case refusal.PriorityClass:
		return refused(o, PriorityClass, "its pods name a priority class that the cluster does not have", "leave the class out by the chart's values, or name one that is there", message)
	case refusal.ExternalIPs:
		return refused(o, Admission, "the cluster allows no external IPs", "use type LoadBalancer, or an Ingress", message)
	}
	return refused(o, Admission, origin.By+" refuses it: "+reason(message), "change what it asks for by the chart's values, or ask an admin", afterPolicy(message))
}

// lacks returns the finding about a right that the deployer lacks.
func (q Question) lacks(o Object, verb, message string) Finding {
	switch {
	case o.GetNamespace() == "":
		return refused(o, ClusterScoped, fmt.Sprintf("%s is cluster-scoped: it is in no namespace, and a tenant acts in its namespaces only", o.GetKind()),
			"leave it out by the chart's values and have an admin create it once (--for-admin writes it)", message)
	case !q.Has(o.GetNamespace()):
		return q.foreign(o, message)
	case verb == "patch" && q.ServerSide:
		return refused(o, Rights, "the deployer may not patch "+o.GetKind()+" objects, which Helm 4's server-side apply needs", "ask an admin for a role with it, or give --server-side=false, which needs create only", message)
	}
	return refused(o, Rights, fmt.Sprintf("the deployer may not %s %s objects", verb, o.GetKind()), "leave it out by the chart's values, or ask an admin for a role that allows it", message)
}

func (q Question) foreign(o Object, message string) Finding {
	return refused(o, ForeignNamespace, fmt.Sprintf("namespace %q is not the tenant's", o.GetNamespace()), q.toNamespace(o.GetNamespace()), message)
}

// toNamespace suggests where an object in that namespace could be instead.
func (q Question) toNamespace(namespace string) string {
	do := "set the namespace by the chart's values"
	if namespace == q.Namespace {
		do = "give --namespace"
	}
	if q.AllNamespaces || len(q.Namespaces) == 0 {
		return do
	}
	return do + ", to one of: " + strings.Join(q.Namespaces, ", ")
}

// violates matches the API server's warning about pods that PodSecurity would refuse.
const violates = "would violate PodSecurity "

// Warnings returns findings for the API server's warnings about an object. found are the
// object's other findings; tried says that its pods were tried separately.
func (q Question) Warnings(o Object, warnings []string, found []Finding, tried bool) []Finding {
	known := slices.ContainsFunc(found, func(f Finding) bool { return f.ID == PodSecurity })
	var findings []Finding
	for _, text := range slices.Compact(slices.Sorted(slices.Values(warnings))) {
		warning, ofPods := strings.CutPrefix(visible.Excerpt(text), violates)
		warning = strings.ReplaceAll(warning, `:latest"`, `"`)
		switch {
		case refusedBy(text, found): // a freeze warns of what it refuses
		case ofPods && known:
		case ofPods && tried:
			findings = append(findings, about(o, PodSecurity, Warned, "the namespace warns of PodSecurity "+warning, "", ""))
		case ofPods:
			findings = append(findings, refused(o, PodSecurity, "its pods may never be created: PodSecurity "+warning,
				"set the chart's securityContext values so that it holds", visible.Excerpt(text)))
		default:
			findings = append(findings, about(o, Admission, Warned, "the API server warns: "+visible.Excerpt(text), "", ""))
		}
	}
	return findings
}

// refusedBy reports whether a warning of an admission policy says what a refusal among the findings
// says.
func refusedBy(warning string, found []Finding) bool {
	_, words, ofPolicy := strings.Cut(warning, "': ")
	return ofPolicy && strings.HasPrefix(warning, "Validation failed for ValidatingAdmissionPolicy '") &&
		slices.ContainsFunc(found, func(f Finding) bool { return f.Result == Refused && f.Answer == visible.Excerpt(words) })
}

// Verb returns the verb of the request by which helm writes an object that does or does not
// exist.
func (q Question) Verb(exists bool) string {
	if exists || q.ServerSide {
		return "patch"
	}
	return "create"
}

// IsThere reports whether the API server refused a create because the object exists.
func IsThere(err error) bool { return err != nil && apierrors.IsAlreadyExists(err) }

// Decided reports whether the findings about an object make further questions about it
// pointless: the object is out of the tenant's reach, or belongs to somebody else.
func Decided(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool {
		return f.Result == Refused && (f.ID == ClusterScoped || f.ID == ForeignNamespace || f.ID == Exists)
	})
}

// Merge adds a finding to those for the same object. A missing right of the deployer is
// reported once.
func Merge(findings []Finding, one Finding) []Finding {
	if one.ID == Rights || one.ID == ClusterScoped {
		findings = slices.DeleteFunc(findings, func(f Finding) bool { return f.ID == one.ID })
	}
	return append(findings, one)
}

// Of returns a copy of the finding for another object.
func (f Finding) Of(o Object) Finding {
	f.APIVersion, f.Kind, f.Namespace, f.Name, f.File = o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName(), o.File
	return f
}

// PodRefusal returns a finding about an object for the refusal of a pod or claim that its
// controller would create. counts is false if the refusal means nothing: a right to create pods
// is the controller's, and faults of the object itself are in wrote, the API server's answer to
// the object.
func (q Question) PodRefusal(o Object, err, wrote error) (f Finding, counts bool) {
	s := status(err)
	if s == nil || s.Code >= 500 || s.Code == http.StatusTooManyRequests || strings.Contains(s.Message, "does not support dry run") {
		return about(o, NotTried, Untried, "its pods could not be tried", "try again", visible.Excerpt(err.Error())), true
	}
	origin, known := refusal.Read(visible.Excerpt(s.Message))
	switch {
	case known && origin.Kind == refusal.RBAC:
		return Finding{}, false
	case (s.Code == http.StatusUnprocessableEntity || s.Code == http.StatusBadRequest || known && (origin.Kind == refusal.Guard || origin.Kind == refusal.Frozen)) && wrote != nil:
		return Finding{}, false
	}
	return q.Refusal(o, "create", err), true
}

// Unread returns the finding that something could not be read. The error says that the API
// server did not answer.
func Unread(subject string, err error) (Finding, error) {
	s := status(err)
	if s == nil {
		return Finding{}, err
	}
	return Finding{ID: NotTried, Result: Untried, Why: subject + " can't be read", Do: "ask an admin, or somebody who may", Answer: visible.Excerpt(s.Message)}, nil
}
