package clustertest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"

	"helm-tenant/cluster"
	"helm-tenant/install"
)

func answer(w http.ResponseWriter, code int, object any) {
	text, err := json.Marshal(object)
	if err != nil {
		code, text = http.StatusInternalServerError, nil
	}
	answerText(w, code, text)
}

func answerText(w http.ResponseWriter, code int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(text) // the client may have closed the connection
}

func fail(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	status.Kind, status.APIVersion = "Status", "v1"
	answer(w, int(status.Code), status)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	gvr := schema.GroupVersionResource{}
	switch {
	case parts[0] == "version":
		answer(w, 200, map[string]string{"gitVersion": "v1.37.0", "minor": "37"})
		return
	case parts[0] == "api" && len(parts) >= 2:
		gvr.Version, parts = parts[1], parts[2:]
	case parts[0] == "apis" && len(parts) >= 3:
		gvr.Group, gvr.Version, parts = parts[1], parts[2], parts[3:]
	default:
		s.groups(w)
		return
	}
	if len(parts) == 0 {
		s.resources(w, gvr.GroupVersion())
		return
	}
	asked := Request{}
	if parts[0] == "namespaces" && len(parts) > 2 {
		asked.Namespace, parts = parts[1], parts[2:]
	}
	gvr.Resource, parts = parts[0], parts[1:]
	asked.Kind = s.kinds[gvr].Kind
	if len(parts) > 0 {
		asked.Name = parts[0]
	}
	if strings.HasPrefix(gvr.Resource, "selfsubject") || gvr.Resource == "subjectaccessreviews" {
		s.review(w, r, gvr.Resource)
		return
	}
	if asked.Kind == "" {
		http.NotFound(w, r)
		return
	}
	asked.Verb = map[string]string{"GET": "get", "POST": "create", "PUT": "update", "DELETE": "delete"}[r.Method]
	query := r.URL.Query()
	if asked.Verb == "get" && asked.Name == "" {
		asked.Verb = "list"
		if query.Get("watch") != "" && query.Get("watch") != "false" {
			asked.Verb = "watch"
		}
	}
	if query.Get("dryRun") != "" {
		asked.Verb = "dry-run"
	}
	s.object(w, r, gvr, asked)
}

// decode reads the object in a request, in JSON, or a Secret as protobuf.
func decode(r *http.Request, into *unstructured.Unstructured) error {
	if r.Header.Get("Content-Type") != runtime.ContentTypeProtobuf {
		return json.NewDecoder(r.Body).Decode(&into.Object)
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var secret corev1.Secret
	if _, _, err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Decode(text, nil, &secret); err != nil {
		return err
	}
	into.Object, err = runtime.DefaultUnstructuredConverter.ToUnstructured(&secret)
	return err
}

// object answers a request about objects of one kind.
func (s *Server) object(w http.ResponseWriter, r *http.Request, gvr schema.GroupVersionResource, asked Request) {
	var body unstructured.Unstructured
	if asked.Verb == "create" || asked.Verb == "update" || asked.Verb == "dry-run" {
		if err := decode(r, &body); err != nil {
			fail(w, apierrors.NewBadRequest(err.Error()))
			return
		}
		asked.Name = body.GetName()
	}
	s.mutex.Lock()
	s.log = append(s.log, asked)
	s.mutex.Unlock()
	if s.Refuse != nil {
		if err := s.Refuse(asked); err != nil {
			fail(w, err)
			return
		}
	}
	held := asked.Verb == "dry-run" && body.GetAnnotations()[install.AnnotationProbe] != "" && (s.Enforced == nil || s.Enforced(install.OwnersName))
	if asked.Verb == "watch" {
		s.watch(w, r, asked)
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	key := cluster.Key{Kind: asked.Kind, Namespace: asked.Namespace, Name: asked.Name}
	existing := s.objects[key]
	if asked.Verb == "dry-run" {
		s.dryRun(w, r, gvr.GroupResource(), asked, body.Object, held)
		return
	}
	if asked.Verb == "list" {
		s.list(w, r, gvr, asked)
		return
	}
	switch {
	case asked.Verb == "create" && existing != nil:
		fail(w, apierrors.NewAlreadyExists(gvr.GroupResource(), key.Name))
	case asked.Verb == "create" && asked.Namespace != "" && s.objects[cluster.Key{Kind: "Namespace", Name: asked.Namespace}] == nil:
		fail(w, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, asked.Namespace))
	case asked.Verb != "create" && existing == nil:
		fail(w, apierrors.NewNotFound(gvr.GroupResource(), key.Name))
	case asked.Verb == "update" && body.GetResourceVersion() != "" && body.GetResourceVersion() != existing.GetResourceVersion():
		fail(w, apierrors.NewConflict(gvr.GroupResource(), key.Name, errors.New("the object has been modified")))
	case asked.Verb == "delete":
		var options metav1.DeleteOptions
		_ = json.NewDecoder(r.Body).Decode(&options) // options are optional
		if p := options.Preconditions; p != nil && p.UID != nil && *p.UID != existing.GetUID() {
			fail(w, apierrors.NewConflict(gvr.GroupResource(), key.Name, errors.New("the UID in the precondition is another")))
			return
		}
		if ending := s.end(existing); ending != nil {
			answer(w, 200, ending.Object)
			return
		}
		answer(w, 200, map[string]string{"kind": "Status", "apiVersion": "v1", "status": "Success"})
	case asked.Verb == "get":
		answerText(w, 200, s.text(existing))
	default:
		body.SetKind(asked.Kind)
		body.SetAPIVersion(gvr.GroupVersion().String())
		body.SetNamespace(asked.Namespace)
		s.write(&body, existing)
		answer(w, 200, body.Object)
	}
}

// list returns the objects that the selectors match, or their metadata.
func (s *Server) list(w http.ResponseWriter, r *http.Request, gvr schema.GroupVersionResource, asked Request) {
	matches, err := selector(r)
	if err != nil {
		fail(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	var keys []cluster.Key
	for key, object := range s.objects {
		if key.Kind == asked.Kind && (asked.Namespace == "" || key.Namespace == asked.Namespace) && matches(object) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b cluster.Key) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	list := map[string]any{"kind": asked.Kind + "List", "apiVersion": gvr.GroupVersion().String(), "metadata": map[string]any{"resourceVersion": strconv.Itoa(s.version)}}
	metaOnly := strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList")
	if metaOnly {
		list["kind"], list["apiVersion"] = "PartialObjectMetadataList", "meta.k8s.io/v1"
	}
	var items [][]byte
	for _, key := range keys {
		object := s.objects[key]
		text := s.text(object)
		if metaOnly {
			text, err = json.Marshal(map[string]any{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.Object["metadata"]})
			if err != nil {
				break
			}
		}
		items = append(items, text)
	}
	text, wrong := json.Marshal(list)
	if err := errors.Join(err, wrong); err != nil {
		fail(w, apierrors.NewInternalError(err))
		return
	}
	text = append(text[:len(text)-1], `,"items":[`...)
	text = append(text, bytes.Join(items, []byte{','})...)
	answerText(w, 200, append(text, "]}"...))
}

// text returns a stored object as JSON. Most are read many times for each time that they change.
func (s *Server) text(object *unstructured.Unstructured) []byte {
	text, known := s.texts[object]
	if !known {
		var err error
		if text, err = json.Marshal(object.Object); err != nil {
			panic(err) // it came as JSON
		}
		s.texts[object] = text
	}
	return text
}

// selector returns a function that reports whether an object matches a request's
// selectors.
func selector(r *http.Request) (func(*unstructured.Unstructured) bool, error) {
	query := r.URL.Query()
	byLabel, err := labels.Parse(query.Get("labelSelector"))
	if err != nil {
		return nil, err
	}
	byField, err := fields.ParseSelector(query.Get("fieldSelector"))
	if err != nil {
		return nil, err
	}
	return func(object *unstructured.Unstructured) bool {
		kind, _, _ := unstructured.NestedString(object.Object, "type")
		known := fields.Set{"metadata.name": object.GetName(), "metadata.namespace": object.GetNamespace(), "type": kind}
		return byLabel.Matches(labels.Set(object.GetLabels())) && byField.Matches(known)
	}, nil
}

// watch sends the changes of a kind's objects since the version in the request, and all
// later ones.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, asked Request) {
	matches, err := selector(r)
	since, wrong := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if err := errors.Join(err, wrong); err != nil {
		fail(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.(http.Flusher).Flush()
	for next := 0; ; {
		s.mutex.Lock()
		events, more := s.events[next:], s.more
		next = len(s.events)
		s.mutex.Unlock()
		for _, e := range events {
			if e.version <= since || e.object.GetKind() != asked.Kind || asked.Namespace != "" && e.object.GetNamespace() != asked.Namespace || !matches(e.object) {
				continue
			}
			if json.NewEncoder(w).Encode(map[string]any{"type": e.kind, "object": e.object.Object}) != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
		select {
		case <-r.Context().Done():
			return
		case <-more:
		}
	}
}

// groups returns the list of API groups.
func (s *Server) groups(w http.ResponseWriter) {
	seen := map[schema.GroupVersion]bool{}
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for gvr := range s.kinds {
		gv := gvr.GroupVersion()
		if gv.Group == "" || seen[gv] {
			continue
		}
		seen[gv] = true
		version := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
		list.Groups = append(list.Groups, metav1.APIGroup{Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version})
	}
	answer(w, 200, list)
}

// resources returns the kinds of an API group's version.
func (s *Server) resources(w http.ResponseWriter, gv schema.GroupVersion) {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String()}
	for gvr, resource := range s.kinds {
		if gvr.GroupVersion() == gv {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: gvr.Resource, Kind: resource.Kind, Namespaced: resource.Namespaced, Verbs: []string{"get", "list"}})
		}
	}
	answer(w, 200, list)
}

// review answers reviews of the caller's identity and permissions.
func (s *Server) review(w http.ResponseWriter, r *http.Request, resource string) {
	var review unstructured.Unstructured
	if err := json.NewDecoder(r.Body).Decode(&review.Object); err != nil {
		fail(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	switch resource {
	case "selfsubjectaccessreviews":
		a, _, _ := unstructured.NestedMap(review.Object, "spec", "resourceAttributes")
		review.Object["status"] = map[string]any{"allowed": s.Allowed(fmt.Sprintf("%s %s", a["verb"], a["resource"]))}
	case "subjectaccessreviews":
		allowed, err := s.anotherMay(&review)
		if err != nil {
			fail(w, err)
			return
		}
		review.Object["status"] = map[string]any{"allowed": allowed}
	case "selfsubjectrulesreviews":
		review.Object["status"] = map[string]any{"resourceRules": []any{}, "nonResourceRules": []any{}, "incomplete": false}
	case "selfsubjectreviews":
		review.Object["status"] = map[string]any{"userInfo": map[string]any{"username": "admin"}}
	}
	answer(w, 201, review.Object)
}
