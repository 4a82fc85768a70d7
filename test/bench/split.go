package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"helm-tenant/test/records"
)

// The size of the split: releases of ten revisions each, over namespaces of which each tenant
// has two; and the limits.
const (
	splitReleases, splitEach, splitNamespaces, splitMiB = 200, 10, 40, 100
)

// splitRows: one Tiller for everybody, given to twenty tenants. The Tillers' pods are not
// waited for: no kubelet runs them here.
func splitRows(ctx context.Context, m *meter, ours, dir string, report *strings.Builder) error {
	client, err := m.loader()
	if err != nil {
		return err
	}
	file, err := fillSplit(ctx, client, dir)
	if err != nil {
		return err
	}
	if err := m.settle(ctx); err != nil {
		return err
	}
	what := fmt.Sprintf("%d releases of %d revisions over %d namespaces", splitReleases, splitEach, splitNamespaces)
	from := "--from=old"
	for _, args := range [][]string{
		{"split", "-f", file, from, "--dry-run", "-o", "json"},
		{"split", "-f", file, from, "--wait=false", "--backup", filepath.Join(dir, "split.yaml")},
		{"split", from, "--abort", "--wait=false", "--backup", filepath.Join(dir, "split-abort.yaml")},
		{"split", "-f", file, from, "--wait=false", "--backup", filepath.Join(dir, "split-2.yaml")},
		{"split", from, "--finish", "--yes", "--wait=false", "--backup", filepath.Join(dir, "split-finish.yaml")},
	} {
		if err := m.row(ctx, report, what, 0, splitMiB, append([]string{ours}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

// fillSplit makes the Tiller, its records and what the releases made, and returns the tenants
// file.
func fillSplit(ctx context.Context, client kubernetes.Interface, dir string) (string, error) {
	namespace := func(i int) string { return fmt.Sprintf("split-%02d", i%splitNamespaces) }
	file := "apiVersion: helm-tenant/v1\ntenants:\n"
	for i := range splitNamespaces {
		if i%2 == 0 {
			file += fmt.Sprintf("- name: split-t%02d\n  namespaces: [%s, %s]\n", i/2, namespace(i), namespace(i+1))
		}
		if err := makeNamespace(ctx, client, namespace(i)); err != nil {
			return "", err
		}
	}
	if err := makeOldTiller(ctx, client, "old"); err != nil {
		return "", err
	}
	for i := range splitReleases {
		for revision := 1; revision <= splitEach; revision++ {
			r := records.Release{Name: fmt.Sprintf("release-%03d", i), Namespace: namespace(i), Revision: revision, Status: "SUPERSEDED"}
			if revision == splitEach {
				r.Status = "DEPLOYED"
				made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: r.Name}, Data: map[string]string{"greeting": fmt.Sprint(revision)}}
				if _, err := client.CoreV1().ConfigMaps(r.Namespace).Create(ctx, made, metav1.CreateOptions{}); err != nil {
					return "", err
				}
			}
			if _, err := client.CoreV1().ConfigMaps("old").Create(ctx, records.ConfigMap(r), metav1.CreateOptions{}); err != nil {
				return "", err
			}
		}
	}
	path := filepath.Join(dir, "split-tenants.yaml")
	return path, os.WriteFile(path, []byte(file), 0o600)
}

// makeOldTiller makes a namespace with a Tiller in it as helm init makes one, with these
// flags.
func makeOldTiller(ctx context.Context, client kubernetes.Interface, namespace string, flags ...string) error {
	if err := makeNamespace(ctx, client, namespace); err != nil {
		return err
	}
	labels := map[string]string{"app": "helm", "name": "tiller"}
	tiller := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "tiller-deploy", Labels: labels}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "tiller", Image: "registry.example.com/tiller:v2.16.12", Command: append([]string{"/tiller"}, flags...), Env: []corev1.EnvVar{{Name: "TILLER_NAMESPACE", Value: namespace}}}}}},
	}}
	_, err := client.AppsV1().Deployments(namespace).Create(ctx, tiller, metav1.CreateOptions{})
	return err
}

func makeNamespace(ctx context.Context, client kubernetes.Interface, name string) error {
	_, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}
