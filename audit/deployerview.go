package audit

import (
	"helm-tenant/tenant"
)

// Deployer is a deployer and the subjects that reach it, for reports.
type Deployer struct {
	Tenant     string        `json:"tenant,omitempty"`
	Engine     tenant.Engine `json:"engine"`
	Home       string        `json:"home"`
	Account    string        `json:"serviceAccount"`
	Workload   string        `json:"workload,omitempty"`
	Version    string        `json:"version,omitempty"`
	Namespaces []string      `json:"namespaces"`
	// All reports whether its namespaces are all namespaces of the cluster.
	All     bool     `json:"allNamespaces,omitempty"`
	Open    bool     `json:"openOnNetwork,omitempty"`
	Members []string `json:"members"`
	// Temporary are the grants for a time of its members.
	Temporary tenant.Terms `json:"temporary"`
	Power     Power        `json:"power"`
	Access    []Access     `json:"access"`
}

// Wide is a subject that reaches deployers by cluster-wide rights and is not one of
// Kubernetes' own administrators.
type Wide struct {
	Subject string `json:"subject"`
	// Deployers is the number of deployers that it reaches, of a total of Of.
	Deployers int `json:"deployers"`
	Of        int `json:"of"`
	// Reaches are the deployers' accounts, HOME:ACCOUNT, unless it reaches all.
	Reaches []string   `json:"reaches"`
	Paths   []OpenPath `json:"paths"`
}

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

// view returns the subject for a report, given the total of deployers.
func (w wide) view(total int) Wide {
	view := Wide{Subject: w.who.String(), Deployers: len(w.reached), Of: total, Paths: newAccess(w.who, false, w.paths).Paths}
	if view.Deployers < view.Of {
		for _, d := range w.reached {
			view.Reaches = append(view.Reaches, d.target.Home+":"+d.target.Account)
		}
	}
	return view
}
