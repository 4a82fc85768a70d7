package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/envvar"
	"helm-tenant/helm"
	"helm-tenant/preflight"
	"helm-tenant/tenant"
)

// preflightFlags are our own flags that may stand among helm's.
var preflightFlags = []string{"for-admin", "context", "request-timeout"}

func newPreflight(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "preflight install|upgrade [NAME] CHART [helm's own flags]",
		Short: "Check whether a chart will install here, and what prevents it",
		Long: `Check whether a chart will install or upgrade in your tenant, and report everything that
prevents it at once, before anything is written. Type it as you would type helm's install
or upgrade, with the same flags; the same helm renders the chart.

It finds APIs that the API server does not serve; cluster-scoped objects; namespaces that
are not the tenant's; rights that the deployer lacks or would grant; objects that the
tenant's guard rails, PodSecurity, quota or limits refuse; existing objects of somebody
else; and names and sizes that do not fit into helm's record.

With Helm 3 and 4 it asks the API server by dry runs as the tenant's deployer, which store
nothing; each pod template is also tried as a pod. With Helm 2 a member can't ask the API
server as the deployer: the objects are compared with the tenant's record, and the rest is
reported as not tried.

For cluster-scoped objects it also renders the chart with its usual switches for them,
such as rbac.create=false, at most six times in all. --for-admin writes the remaining
objects into a file, for an admin to read and judge.

Exit codes: 0 the chart will install, 4 something prevents it, 5 something could not be
tried; if helm can't render the chart, helm's own message and exit code.`,
		Example: `  helm tenant preflight install web ./chart -f values.yaml
  helm tenant preflight upgrade --install web repo/chart --version 1.2.3 -o json
  helm tenant preflight install web ./chart --for-admin for-admin.yaml
  helm tenant --tenant team-b preflight install web ./chart -n b`,
		DisableFlagParsing: true, // the flags are helm's, and are passed on as typed
		Args:               cobra.ArbitraryArgs,
		ValidArgs:          []string{"install", "upgrade"},
	}
	f := cmd.Flags()
	f.String("for-admin", "", "write the objects that an admin would have to create into this file")
	f.StringP("output", "o", "table", "output format: table|wide|json|yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, noHelm := s.HelmClient(cmd.Context(), false)
		// What is wrong with the line under each helm is said without one.
		d, err := helm.ReadDeployment(cmp.Or(client.Major, 3), s.Call.Line.Args, preflightFlags...)
		if err == nil && d.Is("help") || slices.Equal(s.Call.Line.Args, []string{"--help"}) || slices.Equal(s.Call.Line.Args, []string{"-h"}) {
			return cmd.Help()
		}
		if _, unknown := errors.AsType[*helm.UnknownFlagError](err); noHelm != nil && (err == nil || unknown) {
			return noHelm
		}
		if err != nil {
			return asUsage(cmd, err)
		}
		output := d.Value("output")
		if output == "" {
			output = "table"
		}
		if formats := []string{"table", "wide", "json", "yaml"}; !slices.Contains(formats, output) {
			return asUsage(cmd, fmt.Errorf("--output %q is not one of %s", output, strings.Join(formats, ", ")))
		}
		if timeout := d.Value("request-timeout"); timeout != "" {
			if err := duration(&s.requestTimeout).Set(timeout); err != nil {
				return asUsage(cmd, fmt.Errorf("--request-timeout: %w", err))
			}
		}
		if file := d.Value("for-admin"); file != "" {
			if err := checkReplaceable("--for-admin", file); err != nil {
				return err
			}
		}
		if err := s.checkIdentity(); err != nil {
			return err
		}
		return s.preflight(cmd.Context(), client, d, output)
	}
	return cmd
}

type flight struct {
	*session
	deployment *helm.Deployment
	decision   helm.Decision
	// kubeconfig is the file with which helm is started; empty for the environment's.
	kubeconfig string
	// deployer acts as the tenant's deployer if the member may, otherwise as the member.
	deployer *cluster.Client
	// self acts as the caller.
	self     *cluster.Client
	served   *cluster.Discovery
	kinds    preflight.Kinds
	question preflight.Question
	// newest is the newest revision of the release, nil if there is none.
	newest *cluster.Stored
	report *preflight.Report
	// exact waits for helm's own dry run, or for its template of a chart that does not depend on
	// the cluster; nil with Helm 2.
	exact func() (helm.Output, error)
	// alone is the output of that template; nil if there is none.
	alone *preflight.Attempt
	// renders counts how often helm has rendered the chart.
	renders int
	// chart is a folder or an archive for Helm 2, whose template accepts nothing else;
	// folder is the folder of a downloaded chart.
	chart, folder string
	// inputs is the folder with copies of what can be read only once; empty for none.
	inputs string
}

func (s *session) preflight(ctx context.Context, client helm.Client, d *helm.Deployment, output string) error {
	f := &flight{session: s, deployment: d}
	if err := f.locate(ctx, client); err != nil {
		return err
	}
	defer f.removeCopies()
	if err := f.keepInputs(ctx); err != nil {
		return err
	}
	objects, err := f.judge(ctx)
	if failed, ok := errors.AsType[*helmError](err); ok {
		return s.sayHelmFailed(failed)
	}
	if err != nil {
		return err
	}
	f.report.Sum()
	if file := d.Value("for-admin"); file != "" {
		if err := s.writeForAdmin(file, f.report, f.question.ForAdmins(f.report.Findings, objects)); err != nil {
			return err
		}
	}
	if err := s.printPreflight(f.report, output); err != nil {
		return err
	}
	switch f.report.Result {
	case "refused":
		return &codeError{code: exitFound}
	case "untried":
		return &codeError{code: exitUnseen}
	}
	return nil
}

// locate finds out where helm would act, and as which identity.
func (f *flight) locate(ctx context.Context, client helm.Client) error {
	call := f.Call
	typed := f.deployment.Typed()
	call.Line.Command, call.Line.Args = typed.Command, typed.Args
	if err := call.Line.Check(helm.Namespaced); err != nil {
		return err
	}
	file, _ := call.Line.Typed("kubeconfig")
	k, err := f.session.kubeconfig(file, f.deployment.Value("context"))
	if err != nil {
		return err
	}
	resolved, err := f.resolve(ctx, k, f.Call.Line.Tenant, client.Engine(), f.requestTimeout)
	if err != nil {
		return err
	}
	if f.self, err = f.connect(k, f.requestTimeout); err != nil {
		return err
	}
	// Judging namespaces takes all of them.
	if resolved.NamespacesUnknown() {
		if resolved, err = f.readNamespaces(ctx, k, resolved, f.requestTimeout); err != nil {
			return err
		}
	}
	f.decision, err = f.decide(ctx, call, client, k, resolved, f.requestTimeout)
	if _, reads := errors.AsType[*helm.ReaderError](err); reads {
		return withHint(fmt.Errorf("you may read tenant %q, and a preflight asks as its deployer what may be written", resolved.Name),
			askForMember(ctx, f.self, resolved.Name))
	}
	if err != nil {
		return err
	}
	if k.InPod() && resolved.Engine == tenant.EngineImpersonation {
		if f.kubeconfig, err = k.PodFile(); err != nil {
			return err
		}
	}
	f.deployer = f.self
	if as, _ := k.Impersonates(); resolved.Engine == tenant.EngineImpersonation && as != resolved.DeployerUser() {
		if f.deployer, err = f.deployer.As(resolved.DeployerUser()); err != nil {
			return err
		}
	}
	d := f.deployment
	f.question = preflight.Question{
		Major: client.Major, Release: d.Release, Namespace: f.decision.Namespace, Namespaces: resolved.Namespaces, AllNamespaces: resolved.AllNamespaces,
		Deployer: resolved.DeployerUser(), NoHooks: d.Is("no-hooks"), SkipCRDs: d.Is("skip-crds"), TakeOwnership: d.Is("take-ownership"),
		ServerSide: d.ServerSide(), ForceConflicts: d.Is("force-conflicts"),
	}
	f.report = &preflight.Report{Tenant: resolved.Name, Command: d.Command, Release: d.Release, Namespace: f.decision.Namespace, Chart: d.Chart,
		Deployer: resolved.DeployerUser(), Helm: strconv.Itoa(client.Major)}
	return nil
}

func (f *flight) startDryRun(ctx context.Context) {
	f.exact = f.start(ctx, f.deployment.DryRun())
	f.renders++
}

func (f *flight) storesSecrets() bool {
	driver := f.Env.Get(envvar.Driver)
	return driver == "" || driver == "secret" || driver == "secrets"
}

// beginTrial begins to ask the API server as the deployer. version is the release's next one.
func (f *flight) beginTrial(ctx context.Context, version int) *admin.ChartTrial {
	var record *preflight.Object
	if f.storesSecrets() {
		record = new(f.question.Record(version))
	}
	return admin.BeginChart(ctx, f.deployer, f.question, f.served, record)
}

// readRelease finds the release's newest record. A member may not read those of Helm 2.
func (f *flight) readRelease(ctx context.Context) error {
	f.question.Upgrade = f.deployment.Command == "upgrade" && f.deployment.Release != "" && !f.deployment.Is("install")
	if f.question.Major == 2 || f.question.Release == "" || !f.question.Has(f.question.Namespace) {
		return nil
	}
	stored, err := f.deployer.NewestStored(ctx, tenant.EngineImpersonation, f.question.Namespace)
	if err != nil {
		unread, err := preflight.Unread("the records of releases in namespace "+f.question.Namespace, err)
		f.report.Findings = append(f.report.Findings, unread)
		return err
	}
	if i := slices.IndexFunc(stored, func(s cluster.Stored) bool { return s.Release == f.question.Release }); i >= 0 {
		f.newest = &stored[i]
	}
	switch {
	case f.newest == nil:
		// Without --install helm itself reports that there is nothing to upgrade.
	case f.deployment.Command == "upgrade":
		f.question.Upgrade = true
	default:
		f.report.Findings = append(f.report.Findings, preflight.JudgeName(f.newest.Status, f.deployment.Is("replace"))...)
	}
	return nil
}

// helmTimeout bounds a rendering by helm.
const helmTimeout = 5 * time.Minute

func (s *session) writeForAdmin(file string, report *preflight.Report, objects []preflight.ForAdmin) error {
	if len(objects) == 0 {
		s.say("There is nothing for an admin to create; %s was not written.", file)
		return nil
	}
	text, err := forAdminText(report, objects)
	if err != nil {
		return err
	}
	err = replaceFile(file, 0o600, func(w *os.File) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return fmt.Errorf("--for-admin: %w", err)
	}
	s.say("wrote %s, for an admin to read and judge", file)
	return nil
}
