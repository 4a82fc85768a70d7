// Package cel compiles the CEL of the admission policies as the oldest API server that
// has them does.
package cel

import (
	"slices"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/cel/environment"

	"helm-tenant/install"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// TestKubernetes130Compiles: the API server accepts, in a new policy, only CEL that the
// previous minor version knows, so that it can be rolled back.
func TestKubernetes130Compiles(t *testing.T) {
	count := 0
	policies := slices.Concat(rails.Policies(rails.Priorities{Harmless: []string{"low"}}, tenant.GuardEnforce), rails.Freezing(), rails.Reserving(), install.Admission(), install.Owners())
	for _, object := range policies {
		policy, isPolicy := object.(*admissionv1.ValidatingAdmissionPolicy)
		if !isPolicy {
			continue
		}
		count++
		t.Run(policy.Name, func(t *testing.T) {
			compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(version.MajorMinor(1, 29)))
			if err != nil {
				t.Fatal(err)
			}
			hasParams := policy.Spec.ParamKind != nil
			options := cel.OptionalVariableDeclarations{HasAuthorizer: true, HasParams: hasParams}
			check := func(result cel.CompilationResult) {
				t.Helper()
				if result.Error != nil {
					t.Errorf("%v\n%s", result.Error, result.ExpressionAccessor.GetExpression())
				}
			}
			for _, v := range policy.Spec.Variables {
				check(compiler.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, options, environment.NewExpressions))
			}
			for _, m := range policy.Spec.MatchConditions {
				check(compiler.CompileCELExpression((*matchconditions.MatchCondition)(&m), options, environment.NewExpressions))
			}
			for _, v := range policy.Spec.Validations {
				check(compiler.CompileCELExpression(&validating.ValidationCondition{Expression: v.Expression}, options, environment.NewExpressions))
				if v.MessageExpression != "" {
					check(compiler.CompileCELExpression(&validating.MessageExpressionCondition{MessageExpression: v.MessageExpression}, cel.OptionalVariableDeclarations{HasParams: hasParams}, environment.NewExpressions))
				}
			}
		})
	}
	if count < 15 {
		t.Errorf("%d policies were compiled", count)
	}
}
