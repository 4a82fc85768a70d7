package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/admin"
	"helm-tenant/preflight"
)

// judge renders the chart and adds the findings to the report.
func (f *flight) judge(ctx context.Context) ([]preflight.Object, error) {
	findings, fitting := preflight.JudgeRelease(f.question.Release)
	if len(findings) > 0 {
		f.deployment = f.deployment.WithRelease(fitting)
	}
	f.report.Findings = append(f.report.Findings, findings...)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Helm's dry run asks the API server the same, and takes longest; its template asks nothing.
	alone := len(findings) == 0 && f.storesSecrets() && f.deployment.RendersAlone()
	switch {
	case alone:
		f.exact, f.renders = f.start(ctx, f.deployment.Alone()), 1
	case f.question.Major > 2:
		f.startDryRun(ctx)
	}
	asking, ctxOfAsking := errgroup.WithContext(ctx)
	asking.Go(func() (err error) {
		f.served, err = f.deployer.Discover(ctxOfAsking)
		return err
	})
	asking.Go(func() error { return f.readRelease(ctxOfAsking) })
	err := asking.Wait()
	switch {
	case apierrors.IsForbidden(err) && f.question.Major > 2:
		return nil, withHint(fmt.Errorf("you may not act as the tenant's deployer, %s: you are no member of the tenant, or no longer", f.question.Deployer),
			askForGrant(ctx, f.self, f.report.Tenant))
	case err != nil:
		return nil, err
	}
	f.kinds = admin.ServedKinds(f.served)
	if alone {
		objects, fits, err := f.judgeAlone(ctx)
		if fits || err != nil {
			return objects, err
		}
		f.startDryRun(ctx)
	}
	rendering, err := f.render(ctx)
	if err != nil {
		return nil, err
	}
	rendering.Prune(f.kinds)
	objects, findings, err := f.judgeRendering(ctx, cmp.Or(fitting, rendering.Name, "release-name"), rendering, nil)
	if err != nil {
		return nil, err
	}
	f.report.Findings = rendering.Unexplained(append(f.report.Findings, findings...))
	return objects, f.tryValues(ctx, rendering.Rendered)
}

// judgeAlone judges the output of helm's template for a chart that does not depend on the
// cluster. Only if nothing at all prevents the installation does the result stand: otherwise
// helm's own dry run has to confirm it.
func (f *flight) judgeAlone(ctx context.Context) (objects []preflight.Object, fits bool, err error) {
	var trial *admin.ChartTrial
	if f.newest == nil {
		trial = f.beginTrial(ctx, 1)
	}
	out, err := f.exact()
	if err != nil {
		return nil, false, err
	}
	if out.Code != 0 || f.newest != nil || len(f.report.Findings) > 0 {
		return nil, false, nil
	}
	f.alone = attempt(out)
	rendering, simple := preflight.RenderingAlone(f.alone, f.served.Version)
	if !simple {
		return nil, false, nil
	}
	question, report := f.question, *f.report
	objects, findings, err := f.judgeRendering(ctx, f.question.Release, rendering, trial)
	if err != nil {
		return nil, false, err
	}
	if f.report.Findings = findings; f.report.Has(preflight.Refused) || f.report.Has(preflight.Untried) {
		f.question, *f.report = question, report
		return nil, false, nil
	}
	return objects, true, nil
}

// judgeRendering returns the objects that a rendering would create, and what is found about them.
// trial has begun, or is nil.
func (f *flight) judgeRendering(ctx context.Context, release string, rendering preflight.Rendering, trial *admin.ChartTrial) ([]preflight.Object, []preflight.Finding, error) {
	f.question.Release = release
	f.report.Release = cmp.Or(f.report.Release, release)
	objects := rendering.Judged(f.question)
	f.report.Objects = len(objects)
	plan := f.question.Judge(f.kinds, objects)
	findings := slices.Concat(rendering.Findings, rendering.Broken, plan.Findings)
	judge := f.judgeStatically
	if f.question.Major > 2 {
		judge = func(ctx context.Context, plan preflight.Plan) ([]preflight.Finding, error) {
			if trial == nil {
				trial = f.beginTrial(ctx, rendering.Version)
			}
			return trial.Try(ctx, plan)
		}
	}
	more, err := judge(ctx, plan)
	return objects, append(findings, more...), err
}

// keepInputs copies the files of values that can be read only once, such as standard input,
// into a folder that nobody else may read, and lets every rendering read the copies.
func (f *flight) keepInputs(ctx context.Context) error {
	deployment, err := f.deployment.ReadOnce(func(path string) (string, error) {
		var text []byte
		var err error
		if strings.TrimSpace(path) == "-" {
			text, err = f.readStdin(ctx, preflight.MaxRendered)
		} else {
			text, err = readFile(ctx, path, preflight.MaxRendered)
		}
		if err != nil {
			return "", err
		}
		if f.inputs == "" {
			if f.inputs, err = os.MkdirTemp("", "helm-tenant-preflight-"); err != nil { // mode 0700: values hold secrets
				return "", err
			}
		}
		file, err := os.CreateTemp(f.inputs, "values-*.yaml")
		if err != nil {
			return "", err
		}
		_, err = file.Write(text)
		if closed := file.Close(); err == nil {
			err = closed
		}
		return file.Name(), err
	})
	if err == nil {
		f.deployment = deployment
	}
	return err
}

func (f *flight) removeCopies() {
	for _, folder := range []string{f.folder, f.inputs} {
		if folder != "" {
			os.RemoveAll(folder)
		}
	}
}
