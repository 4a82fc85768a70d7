// Command coredns is CoreDNS with the plugins that the test cluster's
// configuration names and no others: the stock build links the clients of
// several clouds, which triples the time of a cold build.
package main

import (
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() { coremain.Run() }
