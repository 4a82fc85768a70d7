package visible

import "strings"

// runnersMark is in every command that a CI runner takes out of the middle of a line that a step
// prints: ##vso[ of Azure Pipelines, ##[ of GitHub and Azure, ##teamcity[ of TeamCity. Such a
// command sets variables of the steps that follow, or what they find on PATH.
const runnersMark = "##"

// Instructs reports whether a CI runner could take a part of a text for a command.
func Instructs(text string) bool {
	if strings.Contains(text, runnersMark) {
		return true
	}
	for line := range strings.Lines(text) {
		if beginsCommand(line) {
			return true
		}
	}
	return false
}

// beginsCommand reports whether a line begins like a command of GitHub's runner, as
// ::set-output name=x::y does. An IPv6 address has no letters but those of hexadecimal digits.
func beginsCommand(line string) bool {
	rest, begins := strings.CutPrefix(strings.TrimLeft(line, " \t"), "::")
	command := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-"))]
	return begins && strings.Trim(command, "abcdefABCDEF") != ""
}
