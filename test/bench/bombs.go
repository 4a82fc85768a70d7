package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/test/records"
)

// bombRows measures what a member can do to slow down an admin: records that explode, in the
// home of a Tiller and in namespaces, and large Secrets that look like records.
func bombRows(ctx context.Context, m *meter, ours, dir string, report *strings.Builder) error {
	for _, name := range []string{"calm", "bombed", "members"} {
		if err := m.init(ctx, ours, name); err != nil {
			return err
		}
	}
	m.env = append(m.env, "HELM_BIN="+m.cluster.Bin("helm3"))
	for _, name := range []string{"held", "helds"} {
		if _, err := m.measure(ctx, ours, "init", name, "--namespaces", name, "--create-namespaces", "--engine", "impersonation"); err != nil {
			return err
		}
	}
	before, err := m.measure(ctx, ours, "audit", "--fail-on", "critical")
	if err != nil {
		return err
	}
	addRow(report, "5 tenants", "helm-tenant audit", before, 0, 0)
	if err := m.loadBombs(ctx); err != nil {
		return err
	}
	file := filepath.Join(dir, "bombs-tenants.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: helm-tenant/v1\ntenants:\n- {name: taker, namespaces: [taker]}\n"), 0o600); err != nil {
		return err
	}
	what := fmt.Sprintf("%d bombs of 1 MiB in a home, in an old Tiller's namespace and in two others", bombs)
	seconds, mib := before.wall.Seconds()+bombSeconds, float64(before.memory>>20)+bombMiB
	for _, args := range [][]string{{"audit", "--fail-on", "critical"}, {"describe", "bombed"}, {"tenants"}, {"releases", "bombed"}, {"releases", "--all"},
		{"migrate", "bombed", "--backup", filepath.Join(dir, "bombed.yaml")}, {"destroy", "bombed", "--yes", "--wait=false"},
		{"split", "-f", file, "--from=old", "--create-namespaces", "--dry-run"},
		{"describe", "helds"}, {"releases", "helds"}, {"destroy", "helds", "--yes"}} {
		if err := m.rowOf(ctx, report, what, seconds, mib, append([]string{ours}, args...)...); err != nil {
			return err
		}
	}
	noise := records.Secret(records.Release{Name: "noise", Namespace: "members", Revision: 1, Status: "DEPLOYED"})
	noise.Data["release"] = []byte(base64.StdEncoding.EncodeToString(random(memberSecretBytes * 3 / 4)))
	for _, namespace := range []string{"members", "held"} {
		err = m.load(ctx, namespace, memberSecrets, func(i int) *corev1.Secret {
			s := noise.DeepCopy()
			s.Name, s.Type = fmt.Sprintf("sh.helm.release.v1.noise-%03d.v1", i), helmRecord
			s.Labels = map[string]string{"owner": "helm", "name": fmt.Sprintf("noise-%03d", i), "status": "deployed", "version": "1", "OWNER": "TILLER"}
			return s
		})
		if err != nil {
			return err
		}
	}
	what = fmt.Sprintf("%d Secrets of %d kB in a member's namespace", memberSecrets, memberSecretBytes/1000)
	for _, args := range [][]string{{"tenants"}, {"audit", "--fail-on", "critical"}, {"describe", "members"}, {"destroy", "members", "--yes", "--wait=false", "--keep-releases"},
		{"describe", "held"}, {"releases", "held"}, {"releases", "--all"}, {"destroy", "held", "--yes", "--keep-releases", "--backup", filepath.Join(dir, "held.yaml")}} {
		seconds := float64(bombSeconds)
		if args[0] == "destroy" {
			seconds = 30 // it writes the backup
		}
		if err := m.rowOf(ctx, report, what, seconds, 200, append([]string{ours}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// helmRecord is the type of the Secrets in which Helm 3 and 4 keep releases.
const helmRecord = "helm.sh/release.v1"

// loadBombs writes the records that explode: Tiller's in a home, a namespace and the namespace
// of an old Tiller, Helm 3's in a namespace.
func (m *meter) loadBombs(ctx context.Context) error {
	bomb := bombOf(1<<20-64, []byte{0x1a, 0}) // protobuf's empty messages
	tillers := func(i int) *corev1.Secret {
		s := records.Secret(records.Release{Name: fmt.Sprintf("bomb-%03d", i), Namespace: "bombed", Revision: 1, Status: "DEPLOYED"})
		s.Data["release"] = bomb
		return s
	}
	client, err := m.loader()
	if err != nil {
		return err
	}
	if err := makeOldTiller(ctx, client, "old", "--storage=secret"); err != nil {
		return err
	}
	for _, namespace := range []string{"bombed-tiller", "bombed", "old"} {
		if err := m.load(ctx, namespace, bombs, tillers); err != nil {
			return err
		}
	}
	blank := bombOf(1<<20-64, []byte{' ', ' '}) // JSON's white space
	return m.load(ctx, "helds", bombs, func(i int) *corev1.Secret {
		name := fmt.Sprintf("bomb-%03d", i)
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sh.helm.release.v1." + name + ".v1", Labels: map[string]string{"owner": "helm", "name": name, "status": "deployed", "version": "1"}},
			Type: helmRecord, Data: map[string][]byte{"release": blank}}
	})
}

// bombOf returns a record of that size that unpacks to many of the two bytes.
func bombOf(size int, content []byte) []byte {
	var zipped bytes.Buffer
	w, _ := gzip.NewWriterLevel(&zipped, gzip.BestCompression) // a level that there is
	chunk := bytes.Repeat(content, 1<<19)
	for base64.StdEncoding.EncodedLen(zipped.Len()) < size-16<<10 {
		_, _ = w.Write(chunk) // into memory
	}
	_ = w.Close()
	return base64.StdEncoding.AppendEncode(nil, zipped.Bytes())
}
