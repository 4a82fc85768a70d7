package rails

import (
	"fmt"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// networkPolicies keeps a member's NetworkPolicy in an isolated namespace from allowing
// what the isolation blocks, since policies only add up. Allowing ingress is a member's
// own risk.
//
// CEL of Kubernetes 1.30 has no functions for addresses in new expressions, so blocks are
// compared as numbers, and IPv6 ones by their first 16 bits: that refuses more than
// necessary, never less.
func networkPolicies() policy {
	const same = `(oldObject != null && has(oldObject.spec.egress) && e in oldObject.spec.egress` +
		` && object.spec.podSelector == oldObject.spec.podSelector` +
		` && (has(object.spec.policyTypes) ? object.spec.policyTypes : []) == (has(oldObject.spec.policyTypes) ? oldObject.spec.policyTypes : []))`
	blocks := `variables.added.map(e, has(e.to) ? e.to.filter(t, has(t.ipBlock)).map(t, t.ipBlock) : [])`
	return policy{
		kind: "networkpolicies", groups: []string{"networking.k8s.io"}, resources: []string{"networkpolicies"}, operations: onWrite,
		variables: []admissionv1.Variable{
			{Name: "isolated", Expression: quoted(annotationExcept) + ` in variables.notes`},
			{Name: "except", Expression: `variables.isolated ? variables.notes[` + quoted(annotationExcept) + `].split(",") : []`},
			{Name: "powers", Expression: powers()},
			{Name: "except4", Expression: `variables.except.filter(x, !x.contains(":")).map(x, ` + numbers("x") + `)`},
			{Name: "hex", Expression: `"0123456789abcdef"`},
			// As nat64 writes them.
			{Name: "translated", Expression: `variables.except.filter(x, !x.contains(":")).map(x, "` + nat64Prefix + `" + ` + hextetOf("x", 0) + ` + ":" + ` + hextetOf("x", 2) + ` + "/" + string(96 + ` + bits("x") + `))`},
			{Name: "except6", Expression: `variables.except.filter(x, x.contains(":")) + variables.translated`},
			{Name: "closed", Expression: `(variables.except + variables.translated).join(", ")`},
			{Name: "added", Expression: `!variables.isolated || !has(object.spec.egress) ? [] : object.spec.egress.filter(e, !` + same + `)`},
			{Name: "blocks", Expression: blocks},
			{Name: "open4", Expression: `variables.blocks.exists(list, list.exists(b, !b.cidr.contains(":") && [` + numbers("b.cidr") + `].exists(n, variables.except4.exists(x, n[0] <= x[1] && x[0] <= n[1]` +
				` && !(has(b.except) && b.except.exists(c, !c.contains(":") && [` + numbers("c") + `].exists(m, m[0] <= x[0] && x[1] <= m[1])))))))`},
			{Name: "open6", Expression: `variables.blocks.exists(list, list.exists(b, b.cidr.contains(":") && [` + hextets("b.cidr") + `].exists(n, variables.except6.exists(x,` +
				` [` + hextets("x") + `].exists(m, n[0] <= m[1] && m[0] <= n[1]) && !(has(b.except) && x in b.except)))))`},
			// An IPv4 address in an IPv6 block.
			{Name: "mapped", Expression: `variables.blocks.exists(list, list.exists(b, b.cidr.contains(":") && b.cidr.matches("(?i)[.]|^[0:]*:ffff:")))`},
		},
		rules: []admissionv1.Validation{
			rule(`variables.added.all(e, has(e.to) && e.to.size() > 0)`, "in an isolated namespace egress must say where to",
				`"in this isolated namespace egress must have a to, since without one it opens " + variables.closed`),
			rule(`!variables.open4 && !variables.open6 && !variables.mapped`, "in an isolated namespace egress can't open the metadata services' addresses",
				`"in this isolated namespace egress can't open " + variables.closed + ": name them in the block's except"`),
		},
	}
}

// powers returns a CEL list of the powers of two up to 32: the number of addresses in a
// block of IPv4, by the bits that are left.
func powers() string {
	var all []string
	for bits := range 33 {
		all = append(all, strconv.FormatInt(1<<bits, 10))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// numbers returns a CEL expression for the first and the last address of an IPv4 block.
func numbers(block string) string {
	part := func(i int) string { return fmt.Sprintf(`int(%s.split("/")[0].split(".")[%d])`, block, i) }
	size := `variables.powers[32 - ` + bits(block) + `]`
	first := fmt.Sprintf("(((%s * 256 + %s) * 256 + %s) * 256 + %s) / %s * %s", part(0), part(1), part(2), part(3), size, size)
	return fmt.Sprintf("[%s, %s + %s - 1]", first, first, size)
}

func bits(block string) string { return `int(` + block + `.split("/")[1])` }

// hextetOf returns a CEL expression for two of the four numbers of an IPv4 block, as one of the
// numbers of an IPv6 address: in hexadecimal, without zeros before it.
func hextetOf(block string, first int) string {
	number := fmt.Sprintf(`(int(%[1]s.split("/")[0].split(".")[%[2]d]) * 256 + int(%[1]s.split("/")[0].split(".")[%[3]d]))`, block, first, first+1)
	digits := ""
	for _, size := range []int{4096, 256, 16} {
		digits += fmt.Sprintf(`(n >= %[1]d ? variables.hex.substring(n / %[1]d %% 16, n / %[1]d %% 16 + 1) : "") + `, size)
	}
	return fmt.Sprintf(`[%s].map(n, %svariables.hex.substring(n %% 16, n %% 16 + 1))[0]`, number, digits)
}

// hextets returns a CEL expression for the first and the last value of the first 16 bits of
// the addresses in an IPv6 block.
func hextets(block string) string {
	padded := fmt.Sprintf(`("0000" + %s.lowerAscii().split(":")[0]).substring(size(%s.split(":")[0]))`, block, block)
	digit := func(i int) string { return fmt.Sprintf(`variables.hex.indexOf(%s.substring(%d, %d))`, padded, i, i+1) }
	size := fmt.Sprintf(`(%s < 16 ? variables.powers[16 - %s] : 1)`, bits(block), bits(block))
	first := fmt.Sprintf(`(((%s * 16 + %s) * 16 + %s) * 16 + %s) / %s * %s`, digit(0), digit(1), digit(2), digit(3), size, size)
	return fmt.Sprintf(`[%s, %s + %s - 1]`, first, first, size)
}
