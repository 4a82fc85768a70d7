package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"helm-tenant/helm"
	"helm-tenant/preflight"
	"helm-tenant/visible"
)

// helmError is helm's message and exit code where it does not render a chart.
type helmError struct {
	said string
	code int
}

func (e *helmError) Error() string { return e.said }

// sayHelmFailed prints helm's own message. It may quote the chart, so it is escaped and
// can't look like a line of preflight's report.
func (s *session) sayHelmFailed(failed *helmError) error {
	for i, line := range strings.Split(strings.TrimRight(failed.said, "\n"), "\n") {
		cells := strings.Split(line, "\t")
		for j, cell := range cells {
			cells[j] = visible.Text(cell)
		}
		if i > 0 {
			cells[0] = "  " + cells[0]
		}
		if _, err := io.WriteString(s.Env.Stderr, strings.Join(cells, "\t")+"\n"); err != nil {
			return err
		}
	}
	return &codeError{code: failed.code}
}

func (f *flight) runHelm(ctx context.Context, line helm.Line) (helm.Output, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, helmTimeout, fmt.Errorf("helm %s took more than %s", line.Command, helmTimeout))
	defer cancel()
	return helm.Run(ctx, f.decision.Render(line, f.Env.Environ, f.kubeconfig), preflight.MaxRendered)
}

// capabilities returns what charts can ask about the API server.
func (f *flight) capabilities() helm.Capabilities {
	return helm.Capabilities{KubeVersion: f.served.Version, APIVersions: f.served.APIVersions()}
}

// start runs helm in the background and returns a function that waits for its output.
func (f *flight) start(ctx context.Context, line helm.Line) func() (helm.Output, error) {
	done := make(chan struct{})
	var out helm.Output
	var err error
	go func() {
		defer close(done)
		out, err = f.runHelm(ctx, line)
	}()
	return func() (helm.Output, error) {
		<-done
		return out, err
	}
}

// attempt returns the output of a run of helm in the form of package preflight.
func attempt(out helm.Output) *preflight.Attempt {
	return &preflight.Attempt{Text: out.Stdout, Failed: out.Code != 0, Said: out.Stderr}
}

func attemptOf(out helm.Output, err error) (*preflight.Attempt, error) {
	if err != nil {
		return nil, err
	}
	return attempt(out), nil
}

// render has helm render the chart: by its own dry run, and if that refuses the chart, by
// its template. The error is a *helmError if helm does not render it.
func (f *flight) render(ctx context.Context) (preflight.Rendering, error) {
	capabilities := f.capabilities()
	if f.question.Major == 2 {
		return f.renderWithHelm2(ctx, capabilities)
	}
	crds := f.renderCRDs(ctx, capabilities)
	exact, err := f.exact()
	if err != nil {
		return preflight.Rendering{}, err
	}
	if exact.Code != 0 {
		rendering, err := f.renderRefused(ctx, capabilities, exact)
		return rendering, asHelmError(err, exact.Code)
	}
	f.question.TakeOwnership = f.question.TakeOwnership || f.question.Upgrade // helm has checked the ownership
	f.question.Searched = !f.question.Upgrade
	folders, err := crds()
	if err != nil {
		return preflight.Rendering{}, err
	}
	rendering, err := preflight.RenderingOfDryRun(attempt(exact), folders)
	if rendering.ApplyMethod != "" { // an upgrade continues with the release's method
		f.question.ServerSide = rendering.ApplyMethod == "ssa"
	}
	if err != nil || !rendering.ValidatedByHelm(f.served.Version) || f.deployment.Is("disable-openapi-validation") {
		return rendering, err
	}
	f.renders++
	validated, err := attemptOf(f.runHelm(ctx, f.deployment.ValidatedDryRun()))
	if err == nil {
		rendering.Validated(validated)
	}
	return rendering, err
}

// renderCRDs has helm's template print the chart's crds folders, which its dry run does
// not print, while that runs. It returns a function that waits for the result, which is
// nil if there are no crds folders, or the command ignores them.
func (f *flight) renderCRDs(ctx context.Context, capabilities helm.Capabilities) func() (*preflight.Attempt, error) {
	if f.question.Upgrade || f.question.SkipCRDs || !f.deployment.MayHaveCRDs() {
		return func() (*preflight.Attempt, error) { return nil, nil }
	}
	if f.alone != nil { // it has the crds folders
		return func() (*preflight.Attempt, error) { return f.alone, nil }
	}
	start := func() func() (helm.Output, error) {
		f.renders++
		return f.start(ctx, f.deployment.CRDs(capabilities))
	}
	if f.deployment.Is("dependency-update") { // both would write the chart's dependencies
		return func() (*preflight.Attempt, error) { return attemptOf(start()()) }
	}
	running := start()
	return func() (*preflight.Attempt, error) { return attemptOf(running()) }
}

// renderRefused renders with helm's template what its dry run refuses.
func (f *flight) renderRefused(ctx context.Context, capabilities helm.Capabilities, exact helm.Output) (preflight.Rendering, error) {
	if f.alone != nil && !f.question.Upgrade {
		return preflight.RenderingOfRefused(attempt(exact), f.alone)
	}
	f.renders++
	if f.question.Upgrade {
		plain, err := f.templateOfUpgrade(ctx, capabilities)
		if ctx.Err() != nil {
			return preflight.Rendering{}, context.Cause(ctx)
		}
		if err != nil {
			plain = nil
		}
		return preflight.RenderingOfRefused(attempt(exact), plain)
	}
	plain, err := attemptOf(f.runHelm(ctx, f.deployment.Template(capabilities, "", false)))
	if err != nil {
		return preflight.Rendering{}, err
	}
	return preflight.RenderingOfRefused(attempt(exact), plain)
}

// templateOfUpgrade renders an upgrade with helm's template, with the values of the
// present release if helm would use them.
func (f *flight) templateOfUpgrade(ctx context.Context, capabilities helm.Capabilities) (*preflight.Attempt, error) {
	deployment := f.deployment
	if deployment.ReusesValues() && f.newest != nil {
		values, err := f.runHelm(ctx, deployment.ReleaseValues())
		if err != nil || values.Code != 0 {
			return nil, err
		}
		folder, err := os.MkdirTemp("", "helm-tenant-preflight-") // mode 0700, since values contain secrets
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(folder)
		file := filepath.Join(folder, "values.yaml")
		if err := os.WriteFile(file, values.Stdout, 0o600); err != nil {
			return nil, err
		}
		deployment = deployment.WithValues(file)
	}
	return attemptOf(f.runHelm(ctx, deployment.Template(capabilities, "", true)))
}

func asHelmError(err error, code int) error {
	if failed, ok := errors.AsType[*preflight.RenderError](err); ok {
		return &helmError{failed.Said, code}
	}
	return err
}

// renderWithHelm2 renders with Helm 2's template, which accepts only folders and
// archives: any other chart is downloaded first.
func (f *flight) renderWithHelm2(ctx context.Context, capabilities helm.Capabilities) (preflight.Rendering, error) {
	f.chart = f.deployment.Chart
	if _, err := os.Stat(f.chart); err != nil || f.deployment.Value("repo") != "" {
		folder, err := os.MkdirTemp("", "helm-tenant-preflight-")
		if err != nil {
			return preflight.Rendering{}, err
		}
		f.folder = folder
		out, err := f.runHelm(ctx, f.deployment.Fetch(folder))
		if err != nil {
			return preflight.Rendering{}, err
		}
		archives, err := filepath.Glob(filepath.Join(folder, "*.tgz"))
		if out.Code != 0 || err != nil || len(archives) != 1 {
			return preflight.Rendering{}, &helmError{out.Stderr, max(out.Code, 1)}
		}
		f.chart = archives[0]
	}
	out, err := f.runHelm(ctx, f.deployment.Template(capabilities, f.chart, f.question.Upgrade))
	if err != nil {
		return preflight.Rendering{}, err
	}
	f.renders++
	rendering, err := preflight.RenderingOfTemplate(attempt(out))
	return rendering, asHelmError(err, out.Code)
}
