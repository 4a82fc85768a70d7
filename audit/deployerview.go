package audit

import (
	"helm-tenant/tenant"
)

// Deployer is one deployer and who reaches it.
type Deployer struct {
	Tenant     string        `json:"tenant,omitempty"`
	Engine     tenant.Engine `json:"engine"`
	Home       string        `json:"home"`
	Account    string        `json:"serviceAccount"`
	Workload   string        `json:"workload,omitempty"`
	Version    string        `json:"version,omitempty"`
	Namespaces []string      `json:"namespaces"`
	// All says that its namespaces are all of the cluster.
	All     bool     `json:"allNamespaces,omitempty"`
	Open    bool     `json:"openOnNetwork,omitempty"`
	Members []string `json:"members"`
	// Temporary are the members whose grant is limited in time.
	Temporary tenant.Terms `json:"temporary"`
	Power     Power        `json:"power"`
	Access    []Access     `json:"access"`
}

// Wide is somebody who reaches deployers by rights over the whole cluster, and is
// none of Kubernetes' own administrators.
type Wide struct {
	Subject string `json:"subject"`
	// Deployers counts those that it reaches, of Of.
	Deployers int `json:"deployers"`
	Of        int `json:"of"`
	// Reaches are the deployers' accounts, HOME:ACCOUNT, where it is not all.
	Reaches []string   `json:"reaches"`
	Paths   []OpenPath `json:"paths"`
}

// view is the deployer as a report shows it.
func (d *deployer) view() Deployer {
	view := Deployer{Tenant: d.tenant(), Engine: d.target.Engine, Home: d.target.Home, Account: d.target.Account, Version: d.version,
		Open: d.network.listens && !d.network.closed, Temporary: d.terms, Power: d.power, Access: d.access}
	if d.tiller != nil {
		view.Workload = d.tiller.Kind + " " + d.tiller.Name
	}
	if d.record != nil {
		view.Namespaces, view.All = d.record.Tenant.Namespaces, d.record.Tenant.AllNamespaces
	}
	for _, m := range d.members {
		view.Members = append(view.Members, m.String())
	}
	return view
}

// view is somebody as a report shows them, of so many deployers.
func (w wide) view(total int) Wide {
	view := Wide{Subject: w.who.String(), Deployers: len(w.reached), Of: total, Paths: newAccess(w.who, false, w.paths).Paths}
	if view.Deployers < view.Of {
		for _, d := range w.reached {
			view.Reaches = append(view.Reaches, d.target.Home+":"+d.target.Account)
		}
	}
	return view
}
