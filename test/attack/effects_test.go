package attack

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/test/harness"
)

// The effects of an attack, read as root; empty if there is none.

// seesObject sees an object that was made.
func (s *attackRun) seesObject(ctx context.Context, kind, namespace, name string) (string, error) {
	object, err := s.live(ctx, kind, namespace, name)
	if err != nil || object == nil {
		return "", err
	}
	return fmt.Sprintf("%s %s stands in %q", kind, name, namespace), nil
}

// seesNone sees that an object is gone, or going.
func (s *attackRun) seesNone(ctx context.Context, kind, namespace, name string) (string, error) {
	object, err := s.live(ctx, kind, namespace, name)
	if err != nil || object != nil && object.GetDeletionTimestamp() == nil {
		return "", err
	}
	return fmt.Sprintf("%s %s is gone from %q", kind, name, namespace), nil
}

// seesField sees a value that only the attacker would have written.
func (s *attackRun) seesField(ctx context.Context, kind, namespace, name, value string, fields ...string) (string, error) {
	object, err := s.live(ctx, kind, namespace, name)
	if err != nil || object == nil {
		return "", err
	}
	found, _, err := unstructured.NestedFieldNoCopy(object.Object, fields...)
	if err != nil || fmt.Sprint(found) != value {
		return "", err
	}
	return fmt.Sprintf("%s %s in %q was changed", kind, name, namespace), nil
}

// seesMark sees the attacker's label on an object.
func (s *attackRun) seesMark(ctx context.Context, kind, namespace, name string) (string, error) {
	return s.seesField(ctx, kind, namespace, name, s.id, "metadata", "labels", "attack")
}

// decoded is one value of a Secret.
func decoded(secret *unstructured.Unstructured, key string) string {
	text, _, _ := unstructured.NestedString(secret.Object, "data", key)
	value, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return ""
	}
	return string(value)
}

// seesToken sees that the API server takes a token for Tiller's account.
func (s *attackRun) seesToken(ctx context.Context, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	review, err := s.root.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil || review.Status.User.Username != s.deployer(s.victim) {
		return "", err
	}
	return "a token of " + review.Status.User.Username, nil
}

// makes returns an attack by a chart of one object, into whatever namespace the
// object names.
func makes(manifest string) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		return s.makes(ctx, s.entry.namespaces[0], manifest)
	}
}

func (s *attackRun) makes(ctx context.Context, namespace, manifest string) outcome {
	return s.made(ctx, namespace, manifest, s.install(ctx, namespace, manifest))
}

// planted returns an attack by one object that the actor makes in its own namespace,
// in whatever way it has.
func (s *attackRun) planted(ctx context.Context, manifest string) outcome {
	return s.made(ctx, s.own, manifest, s.plant(ctx, manifest))
}

func (s *attackRun) made(ctx context.Context, namespace, manifest string, answer error) outcome {
	object, err := parse(s.fill(manifest))
	if err != nil {
		return failure("%v", err)
	}
	if object.GetNamespace() != "" {
		namespace = object.GetNamespace()
	}
	if clusterScoped[object.GetKind()] {
		namespace = ""
	}
	effect, err := s.seesObject(ctx, object.GetKind(), namespace, object.GetName())
	return s.settle(answer, effect, err)
}

var clusterScoped = map[string]bool{"Namespace": true, "PersistentVolume": true, "ClusterRoleBinding": true, "PriorityClass": true,
	"CustomResourceDefinition": true, "MutatingWebhookConfiguration": true, "ValidatingAdmissionPolicyBinding": true}

// replaces returns an attack by a chart whose hook has the name of an existing object: Tiller
// deletes a hook's object before it creates it. It worked if the object is gone or is the
// attacker's. The manifest must have the label attack: $ID.
func replaces(manifest string) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		filled := s.fill(manifest)
		object, err := parse(filled)
		if err != nil {
			return failure("%v", err)
		}
		kind, namespace, name := object.GetKind(), object.GetNamespace(), object.GetName()
		was, err := s.live(ctx, kind, namespace, name)
		// By the seed's recipe there are neither records nor policies.
		if err != nil || was == nil && !s.bare {
			return failure("%s %s/%s, which is to be replaced, is not there: %v", kind, namespace, name, err)
		}
		answer := s.install(ctx, s.entry.namespaces[0], filled)
		effect, err := s.seesMark(ctx, kind, namespace, name)
		if err == nil && effect == "" && was != nil {
			effect, err = s.seesNone(ctx, kind, namespace, name)
		}
		return s.settle(answer, effect, err)
	}
}

// asHook makes Tiller delete the existing object and create this one.
const asHook = `{helm.sh/hook: pre-install, helm.sh/hook-delete-policy: before-hook-creation}`

// watched is an output in which a test waits for a word.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	word string
	once sync.Once
	seen chan struct{}
}

func newWatched(word string) *watched { return &watched{word: word, seen: make(chan struct{})} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.text.Write(p)
	if bytes.Contains(w.text.Bytes(), []byte(w.word)) {
		w.once.Do(func() { close(w.seen) })
	}
	return n, err
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// stream runs a command that does not end by itself, until ctx does.
func (st *environment) stream(ctx context.Context, out *watched, actor *person, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"HOME=" + actor.home, "KUBECONFIG=" + actor.kubeconfig, harness.Collector()}
	cmd.Stdout, cmd.Stderr = io.Writer(out), io.Writer(out)
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return errTimeout
		}
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, out)
	}
	return nil
}
