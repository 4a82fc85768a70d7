package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

func (s *setup) comparisons() []comparison {
	typed := func(int) *exec.Cmd { return s.command(s.member, s.helm, "--tiller-namespace", "bench-tiller", "list") }
	const typedText = "`helm --tiller-namespace bench-tiller list`"
	comparisons := []comparison{
		{
			// helm's own time hides the wrapper's; a script that ends at once does not.
			name: "what the wrapper adds, to a script in helm's place",
			ours: func(int) *exec.Cmd {
				return s.command(append(slices.Clone(s.member), "HELM_BIN="+s.script), s.ours, "list")
			},
			oursText: "`helm-tenant list`", theirs: func(int) *exec.Cmd { return s.command(s.member, s.script, "list") }, theirsText: "the script",
		},
		s.added(false),
		s.added(true),
		{
			name: "the wrapper by itself", reach: 1.12,
			ours:     func(int) *exec.Cmd { return s.command(s.member, s.ours, "list") },
			oursText: "`helm-tenant list`", theirs: typed, theirsText: typedText,
		},
		{
			name: "the plugin (helm starts twice)", reach: 1.60,
			ours:     func(int) *exec.Cmd { return s.command(s.member, s.helm, "tenant", "list") },
			oursText: "`helm tenant list`", theirs: typed, theirsText: typedText,
		},
		{
			name: "a tenant with 5 namespaces, without waiting for its pod", reach: 0.25,
			ours: func(round int) *exec.Cmd {
				name := fmt.Sprintf("ours%d", round)
				return s.command(s.admin, s.helm, "tenant", "init", name, "--namespaces", five(name), "--create-namespaces", "--user", "alice", "--wait=false",
					// So that the node is not kept busy with Tillers that nobody waits for.
					"--node-selector", "bench=none")
			},
			oursText: "`helm tenant init`",
			theirs: func(round int) *exec.Cmd {
				name := fmt.Sprintf("seed%d", round)
				return s.command(s.admin, "bash", s.recipe, name, five(name), "alice")
			},
			theirsText: "the seed's recipe as a script (kubectl, `helm init`)",
		},
	}
	for _, m := range s.modern {
		comparisons = append(comparisons, s.comparisonsOf(m)...)
	}
	return comparisons
}

// added compares the wrapper's overhead with that of the smallest program that loads the
// kubeconfig with clientcmd.
func (s *setup) added(processor bool) comparison {
	env := append(slices.Clone(s.member), "HELM_BIN="+s.script)
	c := comparison{
		name: "what the wrapper adds, to the least program that loads the kubeconfig with clientcmd", reach: 1.3, processor: processor,
		ours: func(int) *exec.Cmd { return s.command(env, s.ours, "list") }, oursText: "`helm-tenant list`",
		theirs: func(int) *exec.Cmd { return s.command(env, s.least, "list") }, theirsText: "`least list` (test/bench/least)",
	}
	if processor {
		c.name += ", processor time"
	}
	return c
}

// five returns the names of five namespaces.
func five(name string) string {
	var names []string
	for i := 1; i <= 5; i++ {
		names = append(names, fmt.Sprintf("%s-%d", name, i))
	}
	return strings.Join(names, ",")
}

func (s *setup) comparisonsOf(m modern) []comparison {
	as := "system:serviceaccount:" + m.name + "-helm:helm"
	typed := func(int) *exec.Cmd {
		return s.command(m.member, m.helm, "--kube-as-user", as, "--namespace", m.name, "list")
	}
	typedText := fmt.Sprintf("`%s --kube-as-user %s --namespace %s list`", m.name, as, m.name)
	return []comparison{
		{
			name: m.name + ": the wrapper by itself", reach: 1.12,
			ours:     func(int) *exec.Cmd { return s.command(m.member, s.ours, "list") },
			oursText: "`helm-tenant list`", theirs: typed, theirsText: typedText,
		},
		{
			name: m.name + ": the plugin (helm starts twice)", reach: 1.60,
			ours:     func(int) *exec.Cmd { return s.command(m.member, m.helm, "tenant", "list") },
			oursText: "`" + m.name + " tenant list`", theirs: typed, theirsText: typedText,
		},
		{
			name:       m.name + ": the plugin, to the least that a plugin can be",
			ours:       func(int) *exec.Cmd { return s.command(m.member, m.helm, "tenant", "list") },
			oursText:   "`" + m.name + " tenant list`",
			theirs:     func(int) *exec.Cmd { return s.command(m.member, m.helm, "least", "list") },
			theirsText: "`" + m.name + " least list`, which is `exec helm --kube-as-user ... \"$@\"`",
		},
		{
			name: m.name + ": whether a chart fits", reach: 1.50,
			ours:       func(int) *exec.Cmd { return s.command(m.member, s.ours, "preflight", "install", "web", "charts/hello") },
			oursText:   "`helm-tenant preflight install`",
			theirs:     func(int) *exec.Cmd { return s.command(m.member, m.helm, "template", "web", "charts/hello") },
			theirsText: "`" + m.name + " template`",
		},
		{
			name:     m.name + ": whether a chart fits, to helm's own dry run, which names one object at a time",
			ours:     func(int) *exec.Cmd { return s.command(m.member, s.ours, "preflight", "install", "web", "charts/hello") },
			oursText: "`helm-tenant preflight install`",
			theirs: func(int) *exec.Cmd {
				return s.command(m.member, m.helm, "--kube-as-user", as, "--namespace", m.name, "install", "web", "charts/hello", "--dry-run=server")
			},
			theirsText: "`" + m.name + " install --dry-run=server`",
		},
		{
			name: m.name + ": a tenant with 5 namespaces", reach: 0.25,
			ours: func(round int) *exec.Cmd {
				name := fmt.Sprintf("%s-ours%d", m.name, round)
				return s.command(m.admin, m.helm, "tenant", "init", name, "--namespaces", five(name), "--create-namespaces", "--user", "alice")
			},
			oursText: "`" + m.name + " tenant init`",
			theirs: func(round int) *exec.Cmd {
				name := fmt.Sprintf("%s-hand%d", m.name, round)
				return s.command(m.admin, "bash", m.recipe, name, five(name), "alice")
			},
			theirsText: "the same by a script with kubectl",
		},
	}
}
