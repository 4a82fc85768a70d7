package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// outputFlag adds -o with the formats that a verb has; the first is the default.
func outputFlag(cmd *cobra.Command, into *string, formats ...string) {
	cmd.Flags().StringVarP(into, "output", "o", formats[0], "format of what is printed: "+strings.Join(formats, "|"))
	inner := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(formats, *into) {
			return asUsage(cmd, fmt.Errorf("--output %q is not one of %s", *into, strings.Join(formats, ", ")))
		}
		return inner(cmd, args)
	}
}

// printObject writes a value as JSON or YAML.
func printObject(w io.Writer, format string, value any) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	}
	text, err := yaml.Marshal(value)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}
