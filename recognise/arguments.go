package recognise

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"

	"helm-tenant/tenant"
)

// words returns the words of a container's command line. An argument of a shell contains
// several: sh -c "tiller --listen=...".
func words(c *corev1.Container) []string {
	var all []string
	for _, argument := range slices.Concat(c.Command, c.Args) {
		all = append(all, splitScript(argument)...)
	}
	return all
}

// separators end a command in a shell's script.
const separators = "\n;&|"

// splitScript returns the words of a shell's script, without quotes.
func splitScript(script string) []string {
	unquoted := strings.NewReplacer(`"`, "", `'`, "").Replace(script)
	return strings.FieldsFunc(unquoted, func(r rune) bool { return strings.ContainsRune(" \t\r\\"+separators, r) })
}

// arguments returns the arguments of Tiller's process. Variables whose values are not in
// the pod stay as they are. known is false if the entry point of an image that is not
// Tiller's decides.
func arguments(c *corev1.Container) (args []string, known bool) {
	line := slices.Concat(c.Command, c.Args)
	for i, argument := range line {
		line[i] = expand(argument, c.Env)
	}
	switch {
	case len(c.Command) == 0 && hasTillersImage(*c):
		args, known = line, true // whatever the first word is, the image's entry point is Tiller
	case len(c.Command) > 0 && isShell(line[0]):
		args, known = ofScript(line[1:], c.Env)
	default:
		index := slices.IndexFunc(line, isProgram)
		if args = line[index+1:]; index < 0 && len(c.Command) > 0 {
			args = nil // an unknown program starts it, with unknown arguments
		}
		known = index >= 0 && len(c.Command) > 0
	}
	return args, known
}

func isShell(program string) bool {
	return slices.Contains([]string{"sh", "bash", "ash", "dash"}, path.Base(program))
}

// ofScript returns the arguments of the Tiller that a shell's script starts. The words
// after the script are the script's own arguments.
func ofScript(line []string, env []corev1.EnvVar) (args []string, known bool) {
	index := slices.IndexFunc(line, func(argument string) bool {
		return strings.HasPrefix(argument, "-") && !strings.HasPrefix(argument, "--") && strings.HasSuffix(argument, "c")
	})
	if index < 0 || index+1 >= len(line) {
		return nil, false
	}
	script := os.Expand(strings.ReplaceAll(line[index+1], "\\\n", " "), func(name string) string {
		if value, found := valueOf(name, env); found {
			return value
		}
		return "$" + name
	})
	for command := range strings.FieldsFuncSeq(script, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
		all := splitScript(command)
		if index := slices.IndexFunc(all, isProgram); index >= 0 {
			return all[index+1:], true
		}
	}
	return nil, false
}

// maxExpanded bounds a text with the values of variables, in bytes: an object of the size that
// the API server accepts could make it fill the memory. No command line is longer on Linux.
const maxExpanded = 128 << 10

// expand replaces $(NAME) as the kubelet does: unknown names stay, and $$ is a plain $
// (k8s.io/kubernetes/third_party/forked/golang/expansion). A text that gets too long stays as
// it is.
func expand(text string, env []corev1.EnvVar) string {
	var out strings.Builder
	for whole := text; ; {
		before, rest, found := strings.Cut(text, "$")
		out.WriteString(before)
		switch {
		case out.Len() > maxExpanded:
			return whole
		case !found:
			return out.String()
		}
		name, after, closed := strings.Cut(strings.TrimPrefix(rest, "("), ")")
		value, known := valueOf(name, env)
		switch {
		case strings.HasPrefix(rest, "$"):
			out.WriteString("$")
			text = rest[1:]
		case strings.HasPrefix(rest, "(") && closed && known:
			out.WriteString(value)
			text = after
		default:
			out.WriteString("$")
			text = rest
		}
	}
}

// valueOf returns the value of an environment variable that is set in the pod itself.
func valueOf(name string, env []corev1.EnvVar) (string, bool) {
	for _, e := range slices.Backward(env) { // the last one counts
		if e.Name == name {
			return e.Value, e.ValueFrom == nil
		}
	}
	return "", false
}

// variable returns the value of an environment variable of a container. If the pod's
// specification does not have the value, elsewhere says where it is. The variables of the
// specification precede those of whole ConfigMaps and Secrets, and a value may contain
// variables that are listed before it.
func variable(c *corev1.Container, name string) (value, elsewhere string) {
	for i, e := range slices.Backward(c.Env) { // the last one counts
		switch {
		case e.Name != name:
		case e.ValueFrom != nil:
			return "", sourceOf(e)
		default:
			before := *c
			before.Env = c.Env[:i]
			value = expand(e.Value, before.Env)
			if elsewhere = unresolved(value, &before); elsewhere != "" {
				return "", elsewhere
			}
			return value, ""
		}
	}
	for _, from := range c.EnvFrom {
		switch {
		case !strings.HasPrefix(name, from.Prefix):
		case from.ConfigMapRef != nil:
			elsewhere = "ConfigMap " + from.ConfigMapRef.Name
		case from.SecretRef != nil:
			elsewhere = "Secret " + from.SecretRef.Name
		default:
			elsewhere = "envFrom"
		}
	}
	return "", elsewhere
}

// unresolved says where the first variable in a text is that the pod's specification does not
// have; empty if there is none.
func unresolved(text string, c *corev1.Container) string {
	_, rest, found := strings.Cut(text, "$")
	if !found {
		return ""
	}
	name := strings.TrimLeft(rest, "({")
	if end := strings.IndexFunc(name, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }); end >= 0 {
		name = name[:end]
	}
	for _, e := range slices.Backward(c.Env) {
		if e.Name == name && e.ValueFrom != nil {
			return sourceOf(e)
		}
	}
	if name == "" {
		return ""
	}
	return "variable " + name
}

func sourceOf(e corev1.EnvVar) string {
	switch from := e.ValueFrom; {
	case from.ConfigMapKeyRef != nil:
		return "ConfigMap " + from.ConfigMapKeyRef.Name
	case from.SecretKeyRef != nil:
		return "Secret " + from.SecretKeyRef.Name
	case from.FieldRef != nil:
		return "the pod's " + from.FieldRef.FieldPath
	}
	return "variable " + e.Name
}

// switches are Tiller's flags that take no word after them (k8s.io/helm/cmd/tiller).
var switches = []string{"tls", "tls-verify", "probe", "trace", "experimental-release", "version", "h", "help"}

// given is a flag with its value, "true" if it has none.
type given struct{ name, value string }

// flagsIn returns the flags among Tiller's arguments, as Go's package flag parses them:
// up to the first word that is not a flag.
func flagsIn(args []string) []given {
	var flags []given
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if len(arg) < 2 || arg[0] != '-' || arg == "--" {
			break
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		switch {
		case hasValue:
		case slices.Contains(switches, name) || len(args) == 0:
			value = "true"
		default:
			value, args = args[0], args[1:]
		}
		flags = append(flags, given{name, value})
	}
	return flags
}

// flag returns the last value of one of Tiller's flags; "true" if it has no value, empty
// if it is not given.
func flag(c *corev1.Container, name string) string {
	args, _ := arguments(c)
	value := ""
	for _, flag := range flagsIn(args) {
		if flag.name == name {
			value = flag.value
		}
	}
	return value
}

// StorageOf returns the storage of the Tiller in a container according to its command
// line. The default is ConfigMaps (k8s.io/helm/cmd/tiller). It may be a storage that no
// tenant can have.
func StorageOf(c *corev1.Container) tenant.Storage {
	if value := flag(c, "storage"); value != "" {
		return tenant.Storage(value)
	}
	return tenant.StorageConfigMap
}

// KnownStorageOf is StorageOf, or empty if the command line is not certain.
func KnownStorageOf(c *corev1.Container) tenant.Storage {
	args, known := arguments(c)
	storage := StorageOf(c)
	// A variable may stand for flags.
	if !known || strings.Contains(string(storage), "$") || slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "$") }) {
		return ""
	}
	return storage
}

// NamespaceOf returns the namespace in which a Tiller in a container of a pod in podNamespace
// keeps its releases (k8s.io/helm/cmd/tiller, namespace). If the pod's specification does not
// have it, elsewhere says where it is.
func NamespaceOf(c *corev1.Container, podNamespace string) (namespace, elsewhere string) {
	value, elsewhere := variable(c, namespaceVariable)
	switch {
	case elsewhere == "the pod's metadata.namespace":
		return podNamespace, ""
	case elsewhere != "" || value == "":
		return podNamespace, elsewhere
	}
	return value, ""
}

// VerifiesClients reports whether the Tiller in a container requires a certificate of its
// clients. Any value of the variable turns that on, and the flag overrides it.
func VerifiesClients(c *corev1.Container) bool {
	switch flag(c, "tls-verify") {
	case "":
		value, _ := valueOf("TILLER_TLS_VERIFY", c.Env)
		return value != ""
	case "1", "t", "T", "true", "TRUE", "True":
		return true
	}
	return false
}

// Listener is where the API of a Tiller listens (k8s.io/helm/cmd/tiller, flag listen).
type Listener struct {
	// Loopback reports whether only processes of its own pod can connect.
	Loopback bool
	// Port is 0 if the container's specification does not tell it.
	Port int32
}

// ListenerOf returns where the Tiller in a container listens, according to its command line;
// where another image's entry point decides, according to the port that is called as in
// Tiller's own Deployment.
func ListenerOf(c *corev1.Container) Listener {
	address := flag(c, "listen")
	if address == "" {
		if _, known := arguments(c); !known {
			for _, declared := range c.Ports {
				if declared.Name == "tiller" {
					return Listener{Port: declared.ContainerPort}
				}
			}
		}
		return Listener{Port: port}
	}
	colon := strings.LastIndex(address, ":")
	host, number := address[:max(colon, 0)], address[colon+1:]
	l := Listener{Loopback: host == "localhost" || strings.HasPrefix(host, "127.") || host == "[::1]"}
	if n, err := strconv.ParseUint(number, 10, 16); err == nil {
		l.Port = int32(n)
	}
	return l
}

// Leads reports whether a connection to that port of the pod can reach the Tiller.
func (l Listener) Leads(to int32) bool { return l.Port == 0 || l.Port == to }

func (l Listener) String() string {
	if l.Port == 0 {
		return "Tiller's port"
	}
	return "port " + strconv.Itoa(int(l.Port))
}

// Listening returns the containers that run beside one another in a pod, whose ports are all
// ports of the pod: of init containers those that keep running.
func Listening(spec corev1.PodSpec) []*corev1.Container {
	var all []*corev1.Container
	for i := range spec.Containers {
		all = append(all, &spec.Containers[i])
	}
	for i := range spec.InitContainers {
		if policy := spec.InitContainers[i].RestartPolicy; policy != nil && *policy == corev1.ContainerRestartPolicyAlways {
			all = append(all, &spec.InitContainers[i])
		}
	}
	return all
}
