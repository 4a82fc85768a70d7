package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
)

// FieldManager is the field manager of helm-tenant's writes (managedFields).
const FieldManager = "helm-tenant"

// WriteError reports the write that failed, and the number of writes made before it.
type WriteError struct {
	Change      Change
	Made, Total int
	Err         error
}

func (e *WriteError) Error() string {
	text := fmt.Sprintf("%s %s: %v", e.Change.Action, e.Change.Key, e.Err)
	switch {
	case e.Made == 0:
	case apierrors.IsInvalid(e.Err) || apierrors.IsBadRequest(e.Err):
		text += fmt.Sprintf(" (%d of %d writes were made)", e.Made, e.Total) // such a write fails each time
	default:
		text += fmt.Sprintf(" (%d of %d writes were made; the same command again finishes them)", e.Made, e.Total)
	}
	return text
}

func (e *WriteError) Unwrap() error { return e.Err }

// Outdated reports whether a write failed because the object had changed since it was
// read. The caller should then read and plan again.
func Outdated(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
}

// Write makes the changes phase by phase, up to width changes of a phase concurrently, and
// calls onChange for each that was made, one call at a time and in the plan's order. The API
// server refuses an update if the object has changed since the plan was made (resourceVersion),
// and a deletion likewise (uid). After the first failure no further phase begins; the error is
// a *WriteError.
func (c *Client) Write(ctx context.Context, plan *Plan, width int, onChange func(Change)) error {
	plan.sort()
	count, total := 0, len(plan.Changes)
	for rest := plan.Changes; len(rest) > 0; {
		end := slices.IndexFunc(rest, func(change Change) bool { return change.phase != rest[0].phase })
		if end < 0 {
			end = len(rest)
		}
		phase := rest[:end]
		if phase[0].phase == PhaseOwners && plan.BeforeOwners != nil {
			if err := plan.BeforeOwners(ctx); err != nil {
				return &WriteError{Change: phase[0], Made: count, Total: total, Err: err}
			}
		}
		told := inOrder{changes: phase, made: make([]bool, len(phase)), tell: onChange}
		err := concurrently(len(phase), width, func(i int) error {
			if err := c.write(ctx, &phase[i]); err != nil {
				return &WriteError{Change: phase[i], Err: c.explain("writing", err)}
			}
			told.add(i)
			return nil
		})
		count += told.rest()
		if err != nil {
			if failed, ok := errors.AsType[*WriteError](err); ok {
				failed.Made, failed.Total = count, total
			}
			return err
		}
		rest = rest[end:]
	}
	return nil
}

// inOrder tells of changes that are made concurrently, in their order: each as soon as all
// before it are made.
type inOrder struct {
	changes []Change
	tell    func(Change)

	mutex sync.Mutex
	made  []bool
	next  int // the first that may not be told yet
}

func (o *inOrder) add(i int) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.made[i] = true
	for ; o.next < len(o.changes) && o.made[o.next]; o.next++ {
		o.tell(o.changes[o.next])
	}
}

// rest tells of the changes behind one that failed, when no more are being made, and returns
// how many were made.
func (o *inOrder) rest() (made int) {
	for i, done := range o.made {
		if !done {
			continue
		}
		made++
		if i >= o.next {
			o.tell(o.changes[i])
		}
	}
	return made
}

// write makes one change. Failures of the server or the network are tried again a few
// times; client-go itself tries again after 429 and Retry-After (k8s.io/client-go/rest,
// withRetry).
func (c *Client) write(ctx context.Context, change *Change) error {
	return retry.OnError(patience(), func(err error) bool { return ctx.Err() == nil && passing(err) }, func() error {
		return c.writeOnce(ctx, change)
	})
}

func patience() wait.Backoff {
	return wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 6}
}

// passing reports whether the next try may succeed. If a failed create or update did
// reach the server, the next try is refused as outdated, and everything is read and
// planned again. For a moment after a namespace was deleted and made again, admission takes the
// new one for the old one, which is being terminated.
func passing(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || apierrors.IsInternalError(err) || apierrors.IsServerTimeout(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsTimeout(err) ||
		errors.Is(err, io.ErrUnexpectedEOF) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsHTTP2ConnectionLost(err)
}

// IsTransient reports whether a read that failed with this error may succeed when it is
// repeated. It is false for nil.
func IsTransient(err error) bool {
	_, unreachable := errors.AsType[*UnreachableError](err)
	return unreachable || apierrors.IsTooManyRequests(err) || passing(err)
}

// metadataOnly requests only the metadata of a written object as the answer.
const metadataOnly = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

func (c *Client) createSecret(ctx context.Context, secret *corev1.Secret) error {
	client, err := c.typed(corev1.SchemeGroupVersion)
	if err != nil {
		return err
	}
	options := metav1.CreateOptions{FieldManager: FieldManager}
	return client.Post().Resource("secrets").Namespace(secret.Namespace).SetHeader("Accept", metadataOnly).
		SpecificallyVersionedParams(&options, metav1.ParameterCodec, metav1.SchemeGroupVersion).Body(secret).Do(ctx).Error()
}

// TryAnnotate returns the API server's answer to the dry run of an update that adds an annotation
// to an object. The object may have changed since it was read: then it is a conflict.
func (c *Client) TryAnnotate(ctx context.Context, key Key, annotation, value string) error {
	live := NewLive()
	if err := c.Lookup(ctx, live, []Key{key}); err != nil {
		return err
	}
	object := live.Get(key)
	if object == nil {
		return apierrors.NewNotFound(kinds[key.Kind].resource.GroupResource(), key.Name)
	}
	next := object.DeepCopy()
	annotations := next.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotation] = value
	next.SetAnnotations(annotations)
	return c.tryWrite(ctx, Change{Action: Update, Key: key, Object: next})
}

// tryWrite makes a creation, update or deletion as a server-side dry run: it is checked and not
// stored.
func (c *Client) tryWrite(ctx context.Context, change Change) error {
	api, dry := c.resource(kinds[change.Key.Kind], change.Key.Namespace), []string{metav1.DryRunAll}
	var err error
	switch change.Action {
	case Create:
		_, err = api.Create(ctx, change.Object, metav1.CreateOptions{FieldManager: FieldManager, DryRun: dry})
	case Update:
		_, err = api.Update(ctx, change.Object, metav1.UpdateOptions{FieldManager: FieldManager, DryRun: dry})
	case Delete:
		err = api.Delete(ctx, change.Key.Name, metav1.DeleteOptions{DryRun: dry})
	}
	return err
}

func (c *Client) writeOnce(ctx context.Context, change *Change) error {
	api := c.resource(kinds[change.Key.Kind], change.Key.Namespace)
	switch change.Action {
	case Create:
		if change.secret != nil {
			return c.createSecret(ctx, change.secret)
		}
		_, err := api.Create(ctx, change.Object, metav1.CreateOptions{FieldManager: FieldManager})
		return err
	case Update:
		_, err := api.Update(ctx, change.Object, metav1.UpdateOptions{FieldManager: FieldManager})
		return err
	}
	if err := c.delete(ctx, change); err != nil || change.Action == Delete {
		return err
	}
	anew := Stripped(change.Object)
	if kinds[change.Key.Kind].ends() {
		anew.SetFinalizers(nil)
	}
	_, err := api.Create(ctx, anew, metav1.CreateOptions{FieldManager: FieldManager})
	return err
}

// ends reports whether objects of the kind are deleted in spite of their finalizers, with which the
// API server would keep them, and the rights that they give: whoever writes in their namespace can
// set some. Those of a namespace or of a workload are their controllers'.
func (k kind) ends() bool { return len(k.fields) > 0 && k.phase != PhaseWorkload }

// Finalizers returns the finalizers that the change removes from an object that it deletes.
func (c Change) Finalizers() []string {
	if c.Action != Delete && c.Action != Replace || c.Live == nil || !kinds[c.Key.Kind].ends() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.Live.GetFinalizers()), ofGarbageCollector)
}

// ofGarbageCollector reports whether a finalizer waits for dependent objects. A deletion in the
// background ends these.
func ofGarbageCollector(name string) bool {
	return name == metav1.FinalizerDeleteDependents || name == metav1.FinalizerOrphanDependents
}

func (c *Client) delete(ctx context.Context, change *Change) error {
	k, uid := kinds[change.Key.Kind], change.Live.GetUID()
	options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}
	if !k.ends() {
		return unlessMissing(c.resource(k, change.Key.Namespace).Delete(ctx, change.Key.Name, options))
	}
	// Dependents are whatever names the object: to wait for them is to wait for who made them.
	background := metav1.DeletePropagationBackground
	options.PropagationPolicy = &background
	kept, err := c.deleteKept(ctx, k, change.Key, options)
	if err != nil || kept == nil {
		return unlessMissing(err)
	}
	change.Removed, err = c.removeFinalizers(ctx, k, kept)
	return err
}

func unlessMissing(err error) error {
	if apierrors.IsNotFound(err) {
		return nil // it is deleted already
	}
	return err
}

// deleteKept deletes an object, and returns it if finalizers keep it; nil if none does. client-go's
// dynamic client does not return it.
func (c *Client) deleteKept(ctx context.Context, k kind, key Key, options metav1.DeleteOptions) (*unstructured.Unstructured, error) {
	client, err := c.typed(k.resource.GroupVersion())
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(&options)
	if err != nil {
		return nil, err
	}
	result := client.Delete().NamespaceIfScoped(key.Namespace, k.namespaced).Resource(k.resource.Resource).Name(key.Name).
		SetHeader("Content-Type", runtime.ContentTypeJSON).SetHeader("Accept", runtime.ContentTypeJSON).Body(body).Do(ctx)
	if err := result.Error(); err != nil {
		return nil, err
	}
	answer, err := result.Raw()
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(answer, &object.Object); err != nil {
		return nil, fmt.Errorf("the API server's answer to the deletion can't be read: %w", err)
	}
	if object.GetDeletionTimestamp() == nil || len(object.GetFinalizers()) == 0 {
		return nil, nil
	}
	return object, nil
}

// removeFinalizers ends the deletion of an object that its finalizers keep, and returns these. From
// its deletion on nobody can add any, so this comes after it.
func (c *Client) removeFinalizers(ctx context.Context, k kind, kept *unstructured.Unstructured) (removed []string, err error) {
	api, uid := c.resource(k, kept.GetNamespace()), kept.GetUID()
	err = retry.RetryOnConflict(patience(), func() error {
		removed = slices.DeleteFunc(slices.Clone(kept.GetFinalizers()), ofGarbageCollector)
		kept.SetFinalizers(nil)
		_, err := api.Update(ctx, kept, metav1.UpdateOptions{FieldManager: FieldManager})
		if !apierrors.IsConflict(err) {
			return unlessMissing(err)
		}
		now, reading := api.Get(ctx, kept.GetName(), metav1.GetOptions{})
		if reading != nil || now.GetUID() != uid {
			return unlessMissing(reading)
		}
		kept = now
		return err
	})
	return removed, err
}
