// Package clustertest is an API server in memory, for tests of code that reads and writes
// a cluster. It keeps objects of the kinds that helm-tenant knows, and has Kubernetes'
// conflicts: resource versions, UIDs, names that are taken. It does not validate objects,
// and its only controller ends namespaces. What only a real API server shows is tested in
// test/apitest.
package clustertest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// Request describes a request.
type Request struct {
	// Verb is get, list, watch, create, update, delete, or the resource of a review.
	Verb, Kind, Namespace, Name string
}

// Server is an API server in memory.
type Server struct {
	// Refuse returns the error with which a request is refused, nil if it is not refused.
	// It must not be changed while requests are under way.
	Refuse func(Request) *apierrors.StatusError
	// Allowed reports whether the caller has a permission: VERB RESOURCE, as "create roles".
	Allowed func(permission string) bool
	// AnotherMay reports whether a user, or a group, has a permission: VERB RESOURCE. If it is
	// nil, the caller may not ask.
	AnotherMay func(who, permission string) bool

	// Enforced reports whether the server enforces an admission policy of that name, of owners or
	// records, if it is stored; nil if it does at once.
	Enforced func(policy string) bool

	t       testing.TB
	url     string
	kinds   map[schema.GroupVersionResource]cluster.Resource
	mutex   sync.Mutex
	objects map[cluster.Key]*unstructured.Unstructured // none is changed: another takes its place
	texts   map[*unstructured.Unstructured][]byte      // as JSON, of those that were read
	version int
	log     []Request
	events  []event
	more    chan struct{} // closed at the next event
}

// event is a change of an object, as a watch reports it.
type event struct {
	version int
	kind    string
	object  *unstructured.Unstructured
}

// Start starts a server that holds these objects.
func Start(t testing.TB, objects ...runtime.Object) *Server {
	t.Helper()
	s := &Server{t: t, kinds: cluster.Resources(), objects: map[cluster.Key]*unstructured.Unstructured{}, texts: map[*unstructured.Unstructured][]byte{}, more: make(chan struct{}), Allowed: func(string) bool { return true }}
	s.Put(objects...)
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.url = server.URL
	return s
}

// Kubeconfig writes a kubeconfig for the server and returns its path.
func (s *Server) Kubeconfig() string {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "kubeconfig")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: test\nclusters: [{name: c, cluster: {server: '" + s.url + "'}}]\nusers: [{name: u, user: {token: t}}]\ncontexts: [{name: test, context: {cluster: c, user: u}}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// Connect returns a client of the server, made from a kubeconfig as helm-tenant makes it.
func (s *Server) Connect() *cluster.Client {
	s.t.Helper()
	k, err := tenant.LoadKubeconfig(nil, s.Kubeconfig(), "")
	if err != nil {
		s.t.Fatal(err)
	}
	client, err := cluster.Connect(k, "test", time.Minute)
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}

// Put stores objects, as another client would.
func (s *Server) Put(objects ...runtime.Object) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, object := range objects {
		if plain, ok := object.(*unstructured.Unstructured); ok {
			object = plain.DeepCopy()
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			s.t.Fatal(err)
		}
		s.store(&unstructured.Unstructured{Object: content})
	}
}

// Remove deletes an object, as another client would.
func (s *Server) Remove(key cluster.Key) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.remove(key)
}

// Get returns the object of that key, nil if there is none.
func (s *Server) Get(key cluster.Key) *unstructured.Unstructured {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if object := s.objects[key]; object != nil {
		return object.DeepCopy()
	}
	return nil
}

// Objects returns copies of all objects.
func (s *Server) Objects() []runtime.Object {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var objects []runtime.Object
	for _, object := range s.objects {
		objects = append(objects, object.DeepCopy())
	}
	return objects
}

// Keys returns the keys of all objects, sorted.
func (s *Server) Keys() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var keys []string
	for key := range s.objects {
		keys = append(keys, key.String())
	}
	slices.Sort(keys)
	return keys
}

// Writes returns the requests that changed something since the last call.
func (s *Server) Writes() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var writes []string
	for _, r := range s.log {
		if r.Verb == "create" || r.Verb == "update" || r.Verb == "delete" {
			writes = append(writes, r.Verb+" "+cluster.Key{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}.String())
		}
	}
	s.log = nil
	return writes
}

// Count returns the number of requests of a verb and kind since the last call of Writes.
func (s *Server) Count(verb, kind string) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	count := 0
	for _, r := range s.log {
		if r.Verb == verb && r.Kind == kind {
			count++
		}
	}
	return count
}

func (s *Server) store(object *unstructured.Unstructured) {
	key := cluster.KeyOf(object)
	s.version++
	object.SetResourceVersion(strconv.Itoa(s.version))
	kind := "MODIFIED"
	if s.objects[key] == nil {
		kind = "ADDED"
		object.SetUID("")
	}
	if object.GetUID() == "" {
		object.SetUID(types.UID("uid-" + strconv.Itoa(s.version)))
	}
	delete(s.texts, s.objects[key])
	s.objects[key] = object
	s.tell(kind, object)
}

func (s *Server) remove(key cluster.Key) {
	object := s.objects[key]
	if object == nil {
		return
	}
	delete(s.objects, key)
	delete(s.texts, object)
	s.version++
	s.tell("DELETED", object)
	if key.Kind == "Namespace" {
		for other := range s.objects {
			if other.Namespace == key.Name {
				s.remove(other)
			}
		}
	}
}

// tell adds an event for all watches.
func (s *Server) tell(kind string, object *unstructured.Unstructured) {
	s.events = append(s.events, event{s.version, kind, object})
	close(s.more)
	s.more = make(chan struct{})
}

// end deletes an object. One with finalizers stays until they are removed, and is returned.
func (s *Server) end(object *unstructured.Unstructured) *unstructured.Unstructured {
	if len(object.GetFinalizers()) == 0 {
		s.remove(cluster.KeyOf(object))
		return nil
	}
	ending := object.DeepCopy()
	ending.SetDeletionTimestamp(&metav1.Time{Time: time.Now()})
	s.store(ending)
	return ending
}

// write stores a new object, or the next state of an existing one.
func (s *Server) write(object, existing *unstructured.Unstructured) {
	switch {
	case existing == nil:
		object.SetDeletionTimestamp(nil)
	case existing.GetDeletionTimestamp() != nil && len(object.GetFinalizers()) == 0:
		s.remove(cluster.KeyOf(object))
		return
	}
	s.store(object)
}
