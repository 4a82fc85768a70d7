package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"helm-tenant/cli"
)

// documentation writes an archive with a man page for each verb and a completion
// script for each shell, as cobra generates them from the command tree.
func (b *build) documentation(context.Context) error {
	files := map[string]file{}
	if err := manPages(files, cli.Commands(), &doc.GenManHeader{Section: "1", Date: &b.time, Source: "helm-tenant " + b.version, Manual: "helm-tenant"}); err != nil {
		return err
	}
	root := cli.Commands()
	// The scripts complete the program that a user types, helm-tenant; completion
	// of `helm tenant` comes with helm's own (plugin.complete).
	delete(root.Annotations, cobra.CommandDisplayNameAnnotation)
	root.Use = "helm-tenant"
	for name, generate := range map[string]func(*bytes.Buffer) error{
		"completions/helm-tenant.bash": func(out *bytes.Buffer) error { return root.GenBashCompletionV2(out, true) },
		"completions/_helm-tenant":     func(out *bytes.Buffer) error { return root.GenZshCompletion(out) },
		"completions/helm-tenant.fish": func(out *bytes.Buffer) error { return root.GenFishCompletion(out, true) },
		"completions/helm-tenant.ps1":  func(out *bytes.Buffer) error { return root.GenPowerShellCompletionWithDesc(out) },
	} {
		var out bytes.Buffer
		if err := generate(&out); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		files[name] = file{out.Bytes(), 0o644}
	}
	data, err := b.writeTgz(files)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.out, "helm-tenant-docs-"+b.version+".tgz"), data, 0o644)
}

// manPages adds a page for the command and each visible one below it.
func manPages(files map[string]file, cmd *cobra.Command, header *doc.GenManHeader) error {
	cmd.DisableAutoGenTag = true
	var out bytes.Buffer
	copied := *header // GenMan fills in the title
	if err := doc.GenMan(cmd, &copied, &out); err != nil {
		return fmt.Errorf("man page of %s: %w", cmd.CommandPath(), err)
	}
	name := "helm-tenant"
	if cmd.HasParent() {
		name += "-" + cmd.Name()
	}
	files["man/"+name+".1"] = file{out.Bytes(), 0o644}
	for _, child := range cmd.Commands() {
		if !child.IsAvailableCommand() || child.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := manPages(files, child, header); err != nil {
			return err
		}
	}
	return nil
}
