package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

func splitObject(from string, state tenant.Split) (*corev1.ConfigMap, error) {
	text, err := state.Text()
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: tenant.SplitName, Namespace: from, Labels: map[string]string{tenant.LabelManagedBy: tenant.ManagedBy}},
		Data:       map[string]string{tenant.SplitKey: text},
	}, err
}

// setSplit moves a split from one state to the next: was is nil before it, next after it.
// It returns a *SplittingError or ErrEnded if another admin moved it elsewhere.
func setSplit(ctx context.Context, c *cluster.Client, from string, was, next *tenant.Split, onChange func(cluster.Change)) error {
	_, err := Write(ctx, c, func(ctx context.Context) (*Prepared, error) {
		object, state, err := readSplitState(ctx, c, from)
		if err != nil {
			return nil, err
		}
		phase := func(s *tenant.Split) tenant.Phase {
			if s == nil {
				return ""
			}
			return s.Phase
		}
		switch {
		case was == nil && state != nil && !maps.Equal(state.Releases, next.Releases):
			return nil, &SplittingError{from, *state} // another admin began with another file
		case phase(state) == phase(next) && phase(state) != phase(was):
			return &Prepared{live: cluster.NewLive()}, nil // another admin made this step
		case phase(state) != phase(was) && state == nil:
			return nil, ErrEnded
		case phase(state) != phase(was):
			return nil, &SplittingError{from, *state}
		}
		prepared := &Prepared{live: cluster.NewLive()}
		switch {
		case next == nil && object != nil:
			prepared.Plan.Delete(object, cluster.PhaseLast)
		case next == nil:
		case object == nil:
			wanted, err := splitObject(from, *next)
			if err != nil {
				return nil, err
			}
			return prepared, prepared.Plan.Create(wanted)
		default:
			text, err := next.Text()
			if err != nil {
				return nil, err
			}
			prepared.Plan.Edit(object, cluster.PhaseObjects, func(object *unstructured.Unstructured) {
				object.Object["data"] = map[string]any{tenant.SplitKey: text}
			})
		}
		return prepared, nil
	}, onChange)
	return err
}

// setReceiving writes a tenant's part in the split to its record, or removes it if state is nil,
// and scales the tenant's Tiller if replicas is not nil. A tenant that does not exist is
// skipped.
func (s *Split) setReceiving(ctx context.Context, t tenant.Tenant, state *tenant.Migration, replicas *int32) error {
	_, err := Write(ctx, s.Client, func(ctx context.Context) (*Prepared, error) {
		prepared := &Prepared{Tenant: t, live: cluster.NewLive()}
		if err := s.Client.Lookup(ctx, prepared.live, []cluster.Key{recordKey(t.Home()), tillerKey(t.Home())}); err != nil {
			return nil, err
		}
		record := prepared.live.Get(recordKey(t.Home()))
		if record == nil {
			return prepared, nil
		}
		now, err := cluster.MigrationOf(record)
		if err != nil {
			return nil, err
		}
		if now != nil && now.From != s.From {
			return nil, &MigratingError{t.Name, *now}
		}
		if err := prepared.planState(state); err != nil {
			return nil, err
		}
		prepared.planReplicas(replicas)
		return prepared, nil
	}, s.Event.made)
	return err
}

// scale sets the replicas of the workloads that run the split Tiller, by kind and name;
// those that are not named get none.
func (s *Split) scale(ctx context.Context, replicas map[string]int32) error {
	_, err := Write(ctx, s.Client, func(ctx context.Context) (*Prepared, error) {
		found, err := readTillers(ctx, s.Client, s.From)
		if err != nil {
			return nil, err
		}
		prepared := &Prepared{live: cluster.NewLive()}
		known := map[string]bool{}
		for _, t := range found.tillers {
			known[t.String()] = true
			if slices.Contains(tenant.ScalableKinds, t.object.GetKind()) {
				prepared.Plan.Edit(t.object, cluster.PhaseWorkload, withReplicas(replicas[t.String()]))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(replicas)) {
			if !known[name] {
				s.Event.note("%s, which ran the Tiller in namespace %s, is gone", name, s.From)
			}
		}
		return prepared, nil
	}, s.Event.made)
	return err
}

// checkAllowed returns a *DeniedError unless the admin may make every write of the split,
// and of an abort.
func (s *Split) checkAllowed(ctx context.Context, p *SplitPlan) error {
	var plan cluster.Plan
	object, err := splitObject(s.From, tenant.Split{})
	if err != nil {
		return err
	}
	if err := plan.Create(object); err != nil {
		return err
	}
	plan.Changes = append(plan.Changes, cluster.Change{Action: cluster.Update, Key: splitKey(s.From)}, cluster.Change{Action: cluster.Delete, Key: splitKey(s.From)})
	for _, t := range p.tillers {
		plan.Edit(t.object, cluster.PhaseWorkload, withReplicas(-1))
	}
	for _, record := range p.movingRecords() {
		plan.Delete(record.Live(), cluster.PhaseRemoval)
	}
	for _, r := range p.Releases {
		if r.Tenant == "" || len(r.records) == 0 {
			continue
		}
		key := r.copyKey(r.records[0].Stored)
		plan.Changes = append(plan.Changes, cluster.Change{Action: cluster.Delete, Key: key})
		if err := plan.Create(copyOf(key, cluster.Record{})); err != nil {
			return err
		}
	}
	return CheckAllowed(ctx, s.Client, &Prepared{Plan: plan, live: p.live})
}

// tillersLabels are the labels of Tiller's records (k8s.io/helm/pkg/storage/driver).
var tillersLabels = []string{"NAME", "OWNER", "STATUS", "VERSION", "CREATED_AT", "MODIFIED_AT"}

// copyOf returns the copy of a record for the tenant's Tiller. Only Tiller's own labels
// are copied: other labels could assign the copy to another tenant.
func copyOf(key cluster.Key, record cluster.Record) runtime.Object {
	labels := map[string]string{}
	if object, ok := record.Object.(metav1.Object); ok {
		for _, name := range tillersLabels {
			if value, found := object.GetLabels()[name]; found {
				labels[name] = value
			}
		}
	}
	meta := metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Labels: labels}
	packed := packedIn(record)
	if key.Kind == "ConfigMap" {
		return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: key.Kind}, ObjectMeta: meta, Data: map[string]string{release.DataKey: string(packed)}}
	}
	return &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: key.Kind}, ObjectMeta: meta, Type: corev1.SecretTypeOpaque, Data: map[string][]byte{release.DataKey: packed}}
}

// copyRecords writes the missing copies, batch by batch, and leaves those that exist.
func copyRecords(ctx context.Context, c *cluster.Client, p *SplitPlan, onChange func(cluster.Change)) error {
	missing := p.missing()
	var wanted []cluster.Stored
	for _, r := range p.Releases {
		for _, record := range r.records {
			if _, ok := missing[record.Key]; ok {
				wanted = append(wanted, record.Stored)
			}
		}
	}
	batch, size := map[cluster.Key]runtime.Object{}, 0
	flush := func() error {
		err := writeCopies(ctx, c, p.From, batch, onChange)
		batch, size = map[cluster.Key]runtime.Object{}, 0
		return err
	}
	err := c.EachRecord(ctx, wanted, func(record cluster.Record) error {
		r := missing[record.Key]
		key := r.copyKey(record.Stored)
		batch[key] = copyOf(key, record)
		if size += len(packedIn(record)); size < batchBytes {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// writeCopies writes a batch of copies. An existing object in the place of a copy must be
// equal to it. It returns ErrEnded or a *SplittingError if another admin ended or aborted
// the split in the meantime; if they copied all records, nothing is left to write.
func writeCopies(ctx context.Context, c *cluster.Client, from string, batch map[cluster.Key]runtime.Object, onChange func(cluster.Change)) error {
	if len(batch) == 0 {
		return nil
	}
	first := true
	_, err := Write(ctx, c, func(ctx context.Context) (*Prepared, error) {
		prepared := &Prepared{live: cluster.NewLive()}
		switch _, state, err := readSplitState(ctx, c, from); {
		case err != nil:
			return nil, err
		case state == nil:
			return nil, ErrEnded
		case state.Phase == tenant.PhaseConverted || state.Phase == tenant.PhaseVerified:
			return prepared, nil
		case state.Phase != tenant.PhaseFrozen:
			return nil, &SplittingError{from, *state}
		}
		if !first { // another admin wrote one of them in the meantime
			if err := c.Lookup(ctx, prepared.live, slices.Collect(maps.Keys(batch))); err != nil {
				return nil, err
			}
		}
		first = false
		for key, object := range batch {
			existing := prepared.live.Get(key)
			if existing == nil {
				if err := prepared.Plan.Create(object); err != nil {
					return nil, err
				}
				continue
			}
			same, err := holdsSame(existing, object)
			if err != nil {
				return nil, err
			}
			if !same {
				return nil, fmt.Errorf("%s already exists and is no copy: remove it, or leave its release with --leave", key)
			}
		}
		return prepared, nil
	}, onChange)
	return err
}

func holdsSame(live *unstructured.Unstructured, object runtime.Object) (bool, error) {
	var stored cluster.Record
	switch live.GetKind() {
	case "Secret":
		var secret corev1.Secret
		if err := cluster.Typed(live, &secret); err != nil {
			return false, err
		}
		stored.Object = &secret
	case "ConfigMap":
		var configMap corev1.ConfigMap
		if err := cluster.Typed(live, &configMap); err != nil {
			return false, err
		}
		stored.Object = &configMap
	default:
		return false, errors.New("a record is a Secret or a ConfigMap")
	}
	return sha256.Sum256(packedIn(stored)) == sha256.Sum256(packedIn(cluster.Record{Object: object})), nil
}
