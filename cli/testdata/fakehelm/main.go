// Fakehelm stands for helm in the scripts: it prints its arguments, and what of
// its environment counts. The environment says what else it does:
//
//   - FAKE_HELM_VERSION is what it answers when it is asked for its version, in
//     the words of that major (default v2.17.0),
//   - FAKE_HELM_EXIT is the code that it ends with,
//   - FAKE_HELM_STDIN makes it print its standard input, too,
//   - FAKE_HELM_COMPLETIONS are the lines that it answers a completion with.
//
// What is asked to complete it prints as the description of a word, "asked"; of "list
// --short" each word begins with "said:".
//
// With "tenant" among its arguments it does what Helm 2, 3 and 4 do when they run
// the plugin of that name: it starts helm-tenant.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"k8s.io/client-go/tools/clientcmd"

	"helm-tenant/envvar"
	"helm-tenant/helm"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	version := os.Getenv("FAKE_HELM_VERSION")
	if version == "" {
		version = "v2.17.0"
	}
	if index := slices.Index(args, "tenant"); index >= 0 {
		return runPlugin(version, slices.Delete(slices.Clone(args), index, index+1))
	}
	if len(args) > 0 && args[0] == "version" && slices.Contains(args, "--short") {
		return tellVersion(version, args)
	}
	if len(args) > 0 && strings.HasPrefix(args[0], "__complete") {
		fmt.Print("asked\thelm" + quoted(args) + "\n" + os.Getenv("FAKE_HELM_COMPLETIONS") + ":4\n")
		return 0
	}
	if slices.Contains(args, "--short") {
		fmt.Print("said:" + strings.Join(args, "\nsaid:") + "\n" + os.Getenv("FAKE_HELM_COMPLETIONS"))
		return 0
	}
	fmt.Println("helm" + quoted(args))
	for _, name := range []string{envvar.TillerNamespace, envvar.KubeContext, envvar.Tenant, envvar.Host, envvar.TillerHost, envvar.PluginName, envvar.PluginDir, envvar.Starter,
		envvar.Namespace, envvar.KubeAsUser, envvar.KubeAsGroups, envvar.KubeToken, envvar.KubeAPIServer, envvar.KubeCAFile, envvar.KubeServerName,
		envvar.KubeInsecure} {
		value, set := os.LookupEnv(name)
		if name == envvar.Starter && value == strconv.Itoa(starter()) {
			continue // it replaced helm-tenant, as it should
		}
		if set && !(strings.HasPrefix(version, "v2.") && helm3Alone(name)) {
			fmt.Printf("%s=%s\n", name, value)
		}
	}
	if os.Getenv("FAKE_HELM_STDIN") != "" {
		if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code, err := strconv.Atoi("0" + os.Getenv("FAKE_HELM_EXIT"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if code != 0 {
		fmt.Fprintf(os.Stderr, "Error: helm ends with %d\n", code)
	}
	return code
}

// helm3Alone reports whether a variable means nothing to Helm 2.
func helm3Alone(name string) bool {
	return name == envvar.Namespace || strings.HasPrefix(name, "HELM_KUBE") && name != envvar.KubeContext
}

// quoted returns the arguments as they could be typed; unusual characters show.
func quoted(args []string) string {
	var b strings.Builder
	for _, arg := range args {
		if arg == "" || strings.ContainsAny(arg, " '\"\t\n") {
			arg = strconv.Quote(arg)
		}
		b.WriteString(" " + arg)
	}
	return b.String()
}

// tellVersion answers `version --client --short` and `version --short`.
func tellVersion(version string, args []string) int {
	switch {
	case strings.HasPrefix(version, "v2."):
		fmt.Printf("Client: %s+g1234567\n", version)
	case strings.HasPrefix(version, "v4.") && slices.Contains(args, "--client"):
		fmt.Fprintln(os.Stderr, "Error: unknown flag: --client")
		return 1
	default:
		fmt.Printf("%s+g1234567\n", version)
	}
	return 0
}

// runPlugin starts helm-tenant as helm starts its plugin "tenant", with the
// arguments that are left: Helm 2 as in k8s.io/helm/cmd/helm/load_plugins.go and
// pkg/plugin, SetupPluginEnv; Helm 3 and 4 as in pkg/cli, EnvVars.
func runPlugin(version string, args []string) int {
	// testscript has put another name into os.Args[0] than we were started by.
	argv, err := helm.CommandLine(os.Getpid())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	env := map[string]string{envvar.Bin: argv[0], envvar.PluginName: "tenant"}
	// What is swallowed, and the variable that it ends in; "" loses it.
	swallowed := map[string]string{
		"--kube-context": envvar.KubeContext, "--namespace": envvar.Namespace, "-n": envvar.Namespace, "--kubeconfig": envvar.Kubeconfig,
		"--kube-as-user": envvar.KubeAsUser, "--kube-as-group": envvar.KubeAsGroups, "--kube-token": envvar.KubeToken,
		"--kube-apiserver": envvar.KubeAPIServer, "--kube-ca-file": envvar.KubeCAFile, "--kube-tls-server-name": envvar.KubeServerName,
		"--kube-insecure-skip-tls-verify": envvar.KubeInsecure, "--registry-config": "HELM_REGISTRY_CONFIG",
		"--repository-cache": "HELM_REPOSITORY_CACHE", "--repository-config": "HELM_REPOSITORY_CONFIG",
	}
	if strings.HasPrefix(version, "v2.") {
		swallowed = map[string]string{"--kube-context": "", "--tiller-namespace": envvar.TillerNamespace, "--host": envvar.TillerHost, "--home": envvar.Home}
		env[envvar.Home], env[envvar.Plugin] = "/helm2", "/helm2/plugins"
		env[envvar.PluginDir], env[envvar.PathCache] = "/helm2/plugins/tenant", "/helm2/cache"
		env[envvar.TillerNamespace], env[envvar.TillerHost] = "kube-system", os.Getenv(envvar.Host)
		if name := os.Getenv(envvar.TillerNamespace); name != "" {
			env[envvar.TillerNamespace] = name
		}
	} else {
		env[envvar.DataHome], env[envvar.Plugins], env[envvar.PluginDir] = "/helm3", "/helm3/plugins", "/helm3/plugins/tenant"
		for _, name := range []string{envvar.KubeContext, envvar.KubeAsUser, envvar.KubeAsGroups, envvar.KubeToken, envvar.KubeAPIServer, envvar.KubeCAFile, envvar.KubeServerName, envvar.KubeInsecure} {
			env[name] = os.Getenv(name) // always exported, set or not
		}
		if strings.HasPrefix(version, "v4.") {
			env[envvar.ContentCache] = "/helm4/content"
		}
	}
	var left []string
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		variable, known := swallowed[name]
		switch {
		case args[i] == "--debug":
			env[envvar.Debug] = "1"
			continue
		case !known:
			left = append(left, args[i])
			continue
		case !joined:
			i++
			value = args[i]
		}
		if variable != "" {
			env[variable] = value
		}
	}
	if strings.HasPrefix(version, "v2.") {
		delete(env, envvar.Namespace)
	} else if env[envvar.Namespace] == "" {
		if env[envvar.Namespace] = os.Getenv(envvar.Namespace); env[envvar.Namespace] == "" {
			env[envvar.Namespace] = contextNamespace(env[envvar.Kubeconfig], env[envvar.KubeContext])
		}
	}
	cmd := exec.Command(filepath.Join(os.Getenv("SELF"), "helm-tenant"), left...)
	cmd.Env = os.Environ()
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		fmt.Fprintln(os.Stderr, `Error: plugin "tenant" exited with error`)
		return exit.ExitCode()
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// contextNamespace is what Helm 3 and 4 take from a context, the current one where
// the name is empty (cli-runtime's ToRawKubeConfigLoader).
func contextNamespace(file, name string) string {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = file
	namespace, _, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: name}).Namespace()
	if err != nil {
		return "default"
	}
	return namespace
}

// starter returns the process that helm-tenant was: this one where helm takes its
// place, the parent on Windows.
func starter() int {
	if runtime.GOOS == "windows" {
		return os.Getppid()
	}
	return os.Getpid()
}
