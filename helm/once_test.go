package helm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestReadOnce: files that can't be read twice are replaced by a copy; everything else stays as
// typed.
func TestReadOnce(t *testing.T) {
	for _, c := range []struct {
		major int
		args  []string
		// keeps are the paths that are copied; want are the arguments of helm's dry run, or of
		// Helm 2's template.
		keeps, want []string
	}{
		{3, []string{"install", "web", "./c", "-f", "v.yaml", "--set-file", "a=b"}, nil, []string{"-f", "v.yaml", "--set-file", "a=b", "--", "web", "./c"}},
		{3, []string{"install", "web", "./c", "-f", "-"}, []string{"-"}, []string{"--values=/k/0", "--", "web", "./c"}},
		{4, []string{"upgrade", "-if-", "web", "./c", "--wait"}, []string{"-"}, []string{"--values=/k/0", "--install", "--wait", "--", "web", "./c"}},
		{3, []string{"install", "-g", "./c", "--values=a.yaml,-", "-f", "/dev/fd/63", "--set", "x=-"}, []string{"-", "/dev/fd/63"},
			[]string{"--values=a.yaml", "--values=/k/0", "--values=/k/1", "-g", "--set", "x=-", "--", "./c"}},
		{3, []string{"install", "web", "./c", "-f", `"a,b.yaml",-`}, []string{"-"}, []string{`--values="a,b.yaml"`, "--values=/k/0", "--", "web", "./c"}},
		{3, []string{"install", "web", "./c", "--set-file", `k\,1=/dev/stdin,k2=file`}, []string{"/dev/stdin"}, []string{`--set-file=k\,1=/k/0,k2=file`, "--", "web", "./c"}},
		{3, []string{"install", "web", "./c", "--description", "-", "--", "-"}, nil, nil}, // too many words
		{2, []string{"install", "./c", "-n", "web", "-f", "a,-"}, []string{"-"}, []string{"--values=a", "--values=/k/0", "--", "/c"}},
	} {
		d, err := ReadDeployment(c.major, c.args)
		if err != nil {
			if c.want != nil {
				t.Errorf("%q: %v", c.args, err)
			}
			continue
		}
		var keeps []string
		once, err := d.ReadOnce(func(path string) (string, error) {
			keeps = append(keeps, path)
			return fmt.Sprintf("/k/%d", len(keeps)-1), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		got := once.DryRun().Args
		if c.major == 2 {
			got = once.Template(Capabilities{}, "/c", false).Args
		}
		if !slices.Equal(keeps, c.keeps) || !strings.HasSuffix("\x00"+strings.Join(got, "\x00"), "\x00"+strings.Join(c.want, "\x00")) {
			t.Errorf("%q: copied %q, starts %q", c.args, keeps, got)
		}
		if once.Release != d.Release || once.Chart != d.Chart || len(c.keeps) == 0 && once != d {
			t.Errorf("%q: changed to %+v", c.args, once)
		}
	}
	d, err := ReadDeployment(3, []string{"install", "web", "./c", "-f", "-"})
	if err != nil {
		t.Fatal(err)
	}
	none := errors.New("none")
	if _, err := d.ReadOnce(func(string) (string, error) { return "", none }); !errors.Is(err, none) {
		t.Errorf("a copy that fails: %v", err)
	}
}
