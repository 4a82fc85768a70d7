// Pins the modules whose CustomResourceDefinitions the tests apply: no code of them is
// built. go.sum vouches for them.
module helm-tenant/test/parts/crds

go 1.26.0
