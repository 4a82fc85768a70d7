package main

import (
	"strings"
	"sync"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/utils"
	v1 "k8s.io/api/core/v1"
)

// rememberedFor is for how long an answer of iptables holds.
const rememberedFor = 20 * time.Second

// remember has the controller ask iptables once in twenty seconds for the rules that lead to
// its chains. The controller asks at each change of a pod, a namespace or a policy, seventeen
// processes each time, four fifths of all that it starts; on the test cluster's node nobody
// else changes these rules after the start.
func remember(handlers map[v1.IPFamily]utils.IPTablesHandler) {
	for family, handler := range handlers {
		handlers[family] = &steadyRules{IPTablesHandler: handler, now: time.Now}
	}
}

// steadyRules remembers what iptables answered to the questions about rules and chains, until
// the controller changes one of them. ListChains, by which the controller finds the chains of
// pods that are gone, asks each time.
type steadyRules struct {
	utils.IPTablesHandler
	now func() time.Time

	mu      sync.Mutex
	since   time.Time
	answers map[string]any
}

func (s *steadyRules) Exists(table, chain string, rule ...string) (bool, error) {
	return remembered(s, question("rule", table, chain, rule...), func() (bool, error) {
		return s.IPTablesHandler.Exists(table, chain, rule...)
	})
}

func (s *steadyRules) List(table, chain string) ([]string, error) {
	return remembered(s, question("rules", table, chain), func() ([]string, error) {
		return s.IPTablesHandler.List(table, chain)
	})
}

func (s *steadyRules) ChainExists(table, chain string) (bool, error) {
	return remembered(s, question("chain", table, chain), func() (bool, error) {
		return s.IPTablesHandler.ChainExists(table, chain)
	})
}

// AppendUnique asks Exists, as the handler's own does.
func (s *steadyRules) AppendUnique(table, chain string, rule ...string) error {
	exists, err := s.Exists(table, chain, rule...)
	if err != nil || exists {
		return err
	}
	defer s.forget()
	return s.Append(table, chain, rule...)
}

func (s *steadyRules) Insert(table, chain string, position int, rule ...string) error {
	defer s.forget()
	return s.IPTablesHandler.Insert(table, chain, position, rule...)
}

func (s *steadyRules) Delete(table, chain string, rule ...string) error {
	defer s.forget()
	return s.IPTablesHandler.Delete(table, chain, rule...)
}

func (s *steadyRules) NewChain(table, chain string) error {
	defer s.forget()
	return s.IPTablesHandler.NewChain(table, chain)
}

func (s *steadyRules) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = nil
}

func question(kind, table, chain string, rule ...string) string {
	return strings.Join(append([]string{kind, table, chain}, rule...), "\x00")
}

// remembered returns the answer to that question, from ask if the remembered one is too old.
func remembered[T any](s *steadyRules, question string, ask func() (T, error)) (T, error) {
	s.mu.Lock()
	if s.answers == nil || s.now().Sub(s.since) > rememberedFor {
		s.answers, s.since = map[string]any{}, s.now()
	}
	answer, found := s.answers[question].(T)
	s.mu.Unlock()
	if found {
		return answer, nil
	}
	answer, err := ask()
	if err != nil {
		return answer, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers != nil {
		s.answers[question] = answer
	}
	return answer, nil
}
