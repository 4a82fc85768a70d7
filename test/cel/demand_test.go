package cel

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"helm-tenant/rails"
)

// parse reads an object.
func parse[T any](t *testing.T, text string) *T {
	t.Helper()
	object := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), object); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return object
}

// storage are volumes by which a pod mounts a disk or storage server, one of each kind,
// and inline volumes of CSI drivers.
var storage = []string{
	"csi: {driver: nfs.csi.k8s.io}", "csi: {driver: ''}", "awsElasticBlockStore: {volumeID: yy}", "azureDisk: {diskName: yy, diskURI: z}", "cephfs: {monitors: [yy]}", "cinder: {volumeID: yy}", "fc: {lun: 0}",
	"flexVolume: {driver: yy}", "flocker: {datasetName: yy}", "gcePersistentDisk: {pdName: yy}", "gitRepo: {repository: yy}", "glusterfs: {endpoints: yy, path: z}",
	"iscsi: {targetPortal: yy, iqn: z, lun: 0}", "nfs: {server: yy, path: /}", "photonPersistentDisk: {pdID: yy}", "portworxVolume: {volumeID: yy}", "quobyte: {registry: yy, volume: z}",
	"rbd: {monitors: [yy], image: z}", "scaleIO: {gateway: yy, system: z, secretRef: {name: s}}", "storageos: {volumeName: yy}", "vsphereVolume: {volumePath: yy}",
}

// TestDemands: the report on live objects equals the policies' answers to creating them.
func TestDemands(t *testing.T) {
	notes := map[string]string{
		"guard.helm-tenant/hosts": "*.team.example.com,a.com", "guard.helm-tenant/namespaces": "a,b", "guard.helm-tenant/priority-classes": "batch",
		"guard.helm-tenant/egress-except": "169.254.169.254/32,fd00:ec2::254/128", "helm-tenant/csi-drivers": "allowed.example.com, other.example.com",
	}
	priorities := rails.Priorities{Default: 10, Harmless: []string{"low"}}
	demandOf := map[string]func(text string) *rails.Demand{
		"rolebindings":           func(text string) *rails.Demand { return rails.OfRoleBinding(parse[rbacv1.RoleBinding](t, text)) },
		"services":               func(text string) *rails.Demand { return rails.OfService(parse[corev1.Service](t, text)) },
		"persistentvolumeclaims": func(text string) *rails.Demand { return rails.OfClaim(parse[corev1.PersistentVolumeClaim](t, text)) },
		"ingresses":              func(text string) *rails.Demand { return rails.OfIngress(parse[networkingv1.Ingress](t, text)) },
		"pods":                   func(text string) *rails.Demand { return rails.OfPod(&parse[corev1.Pod](t, text).Spec) },
		"deployments": func(text string) *rails.Demand {
			return rails.OfTemplate(&parse[appsv1.Deployment](t, text).Spec.Template.Spec)
		},
		"networkpolicies": func(text string) *rails.Demand {
			return rails.OfNetworkPolicy(&parse[networkingv1.NetworkPolicy](t, text).Spec)
		},
		"statefulsets": func(text string) *rails.Demand {
			s := parse[appsv1.StatefulSet](t, text)
			return rails.OfTemplate(&s.Spec.Template.Spec, s.Spec.VolumeClaimTemplates...)
		},
	}
	heads := map[string]string{
		"rolebindings": "apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding", "services": "apiVersion: v1, kind: Service", "persistentvolumeclaims": "apiVersion: v1, kind: PersistentVolumeClaim",
		"ingresses": "apiVersion: networking.k8s.io/v1, kind: Ingress", "pods": "apiVersion: v1, kind: Pod", "deployments": "apiVersion: apps/v1, kind: Deployment",
		"networkpolicies": "apiVersion: networking.k8s.io/v1, kind: NetworkPolicy", "statefulsets": "apiVersion: apps/v1, kind: StatefulSet",
	}
	refused := 0
	bodies := map[string][]string{
		"rolebindings": {
			"metadata: {name: x}, roleRef: {kind: ClusterRole, name: edit, apiGroup: rbac.authorization.k8s.io}",
			"metadata: {name: x}, subjects: [{kind: ServiceAccount, name: yy}]", "metadata: {name: x}, subjects: [{kind: ServiceAccount, name: yy, namespace: b}]",
			"metadata: {name: x}, subjects: [{kind: ServiceAccount, name: yy, namespace: c}]", "metadata: {name: x}, subjects: [{kind: User, name: yy, apiGroup: rbac.authorization.k8s.io}]",
			"metadata: {name: x}, subjects: [{kind: ServiceAccount, name: yy}, {kind: Group, name: yy, apiGroup: rbac.authorization.k8s.io}]",
		},
		"services": {
			"metadata: {name: x}, spec: {}", "metadata: {name: x}, spec: {externalIPs: []}", "metadata: {name: x}, spec: {externalIPs: [10.0.0.1], ports: [{port: 80}]}",
			"metadata: {name: x, annotations: {external-dns.alpha.kubernetes.io/hostname: x.team.example.com}}, spec: {}",
			"metadata: {name: x, annotations: {external-dns.alpha.kubernetes.io/hostname: 'x.team.example.com, bank.com'}}, spec: {}",
			"metadata: {name: x, annotations: {dns.gardener.cloud/dnsnames: '*'}}, spec: {}", "metadata: {name: x, annotations: {ngrok.com/url: 'tls://x.team.example.com'}}, spec: {}",
			"metadata: {name: x, annotations: {k8s.ngrok.com/url: 'tls://a.com:443/b'}}, spec: {}", "metadata: {name: x, annotations: {ngrok.com/url: 'tls://bank.com'}}, spec: {}",
			"metadata: {name: x, annotations: {ngrok.com/url: 'tls://a.com@bank.com'}}, spec: {}", "metadata: {name: x, annotations: {external-dns.alpha.kubernetes.io/hostname: 'tls://a.com'}}, spec: {}",
		},
		"persistentvolumeclaims": {"metadata: {name: x}, spec: {}", "metadata: {name: x}, spec: {volumeName: ''}", "metadata: {name: x}, spec: {volumeName: v}"},
		"ingresses": {
			"metadata: {name: x}, spec: {}", "metadata: {name: x}, spec: {rules: [{host: x.team.example.com}]}", "metadata: {name: x}, spec: {rules: [{host: x.y.team.example.com}]}",
			"metadata: {name: x}, spec: {rules: [{host: team.example.com}]}", "metadata: {name: x}, spec: {rules: [{host: '*.team.example.com'}, {host: a.com}]}",
			"metadata: {name: x}, spec: {rules: [{host: a.com}, {}]}", "metadata: {name: x}, spec: {rules: [{host: xteam.example.com}]}",
			"metadata: {name: x}, spec: {defaultBackend: {service: {name: yy, port: {number: 1}}}}", "metadata: {name: x}, spec: {tls: [{secretName: yy}]}",
			"metadata: {name: x}, spec: {tls: [{hosts: [a.com]}]}", "metadata: {name: x}, spec: {tls: [{hosts: [a.com]}, {hosts: [bank.com]}]}",
			"metadata: {name: x, annotations: {nginx.ingress.kubernetes.io/server-alias: bank.com}}, spec: {}", "metadata: {name: x, annotations: {nginx.ingress.kubernetes.io/server-alias: 'A.com'}}, spec: {}",
			"metadata: {name: x, annotations: {nginx.ingress.kubernetes.io/server-alias: ''}}, spec: {}", "metadata: {name: x, annotations: {nginx.ingress.kubernetes.io/configuration-snippet: yy}}, spec: {}",
			"metadata: {name: x, annotations: {nginx.ingress.kubernetes.io/from-to-www-redirect: 'true'}}, spec: {rules: [{host: a.com}]}",
			"metadata: {name: x, annotations: {nginx.ingress.kubernetes.io/from-to-www-redirect: 'F'}}, spec: {rules: [{host: a.com}]}",
			"metadata: {name: x, annotations: {nginx.ingress.kubernetes.io/from-to-www-redirect: 'true'}}, spec: {rules: [{host: www.a.com}]}",
			"metadata: {name: x, annotations: {cert-manager.io/common-name: bank.com}}, spec: {}",
			"metadata: {name: x, annotations: {traefik.ingress.kubernetes.io/router.tls.domains.0.Main: bank.com}}, spec: {}", "metadata: {name: x, annotations: {traefik.ingress.kubernetes.io/Router.tls.domains.x.main: a.com}}, spec: {}",
			"metadata: {name: x, annotations: {dns.gardener.cloud/dnsnames: '*'}}, spec: {rules: [{host: a.com}]}", "metadata: {name: x, annotations: {dns.gardener.cloud/dnsnames: '*,a.com'}}, spec: {rules: [{host: a.com}]}",
			"metadata: {name: x, annotations: {cert.gardener.cloud/dnsnames: '*'}}, spec: {rules: [{host: a.com}]}",
		},
		"pods": {
			"metadata: {name: x}, spec: {priority: 10}", "metadata: {name: x}, spec: {priorityClassName: batch, priority: 1000}", "metadata: {name: x}, spec: {priorityClassName: other, priority: 11}",
			"metadata: {name: x}, spec: {priorityClassName: other, priority: 10}", "metadata: {name: x}, spec: {volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {volumeName: yy}}}}]}",
			"metadata: {name: x}, spec: {volumes: [{name: v, emptyDir: {}}]}", "metadata: {name: x}, spec: {volumes: [{name: v, azureFile: {secretName: yy, shareName: z}}, {name: w, csi: {driver: csi.spiffe.io}}]}",
			"metadata: {name: x}, spec: {volumes: [{name: v, image: {reference: yy}}, {name: w, csi: {driver: other.example.com}}]}",
		},
		"deployments": {
			"metadata: {name: x}, spec: {template: {spec: {}}}", "metadata: {name: x}, spec: {template: {spec: {priorityClassName: batch}}}", "metadata: {name: x}, spec: {template: {spec: {priorityClassName: low}}}",
			"metadata: {name: x}, spec: {template: {spec: {priorityClassName: high}}}", "metadata: {name: x}, spec: {template: {spec: {volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {volumeName: yy}}}}]}}}",
			"metadata: {name: x}, spec: {template: {spec: {volumes: [{name: v, csi: {driver: allowed.example.com}}, {name: w, csi: {driver: csi.spiffe.io}}]}}}",
		},
		"statefulsets": {
			"metadata: {name: x}, spec: {template: {spec: {}}, volumeClaimTemplates: [{spec: {}}]}", "metadata: {name: x}, spec: {template: {spec: {}}, volumeClaimTemplates: [{spec: {volumeName: yy}}]}",
			"metadata: {name: x}, spec: {template: {spec: {priorityClassName: high}}}",
		},
		"networkpolicies": {
			"metadata: {name: x}, spec: {}", "metadata: {name: x}, spec: {egress: [{}]}", "metadata: {name: x}, spec: {egress: [{to: []}]}", "metadata: {name: x}, spec: {egress: [{to: [{podSelector: {}}]}]}",
			"metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}", "metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}",
			"metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}]}", "metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}}]}]}",
			"metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.255/32]}}]}]}", "metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: 169.254.169.252/30}}]}]}",
			"metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: '::/0'}}]}]}", "metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: '::/0', except: ['fd00:ec2::254/128']}}]}]}",
			"metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: '::/0', except: ['fd00:ec2::254/128', '64:ff9b::a9fe:a9fe/128']}}]}]}", "metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: '64:ff9b::a9fe:a9fe/128'}}]}]}",
			"metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: 'fd00:1::/32'}}]}]}", "metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: 'fc00::/7'}}]}]}",
			"metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: '2001:db8::/32'}}]}]}", "metadata: {name: x}, spec: {egress: [{to: [{ipBlock: {cidr: '::ffff:0:0/96'}}]}]}",
		},
	}
	for _, volume := range storage {
		bodies["pods"] = append(bodies["pods"], "metadata: {name: x}, spec: {volumes: [{name: v, emptyDir: {}}, {name: w, "+volume+"}]}")
		bodies["deployments"] = append(bodies["deployments"], "metadata: {name: x}, spec: {template: {spec: {volumes: [{name: w, "+volume+"}]}}}")
	}
	for kind, bodies := range bodies {
		for _, body := range bodies {
			text := "{" + heads[kind] + ", " + body + "}"
			allowed := judgeIn(t, kind, notes, priorities, "", text)
			var refusals []string
			if asks := demandOf[kind](text); asks != nil {
				refusals = asks.Refusals("a", notes, priorities)
			}
			if allowed != (len(refusals) == 0) {
				t.Errorf("%s: the policy allows it: %t, and it is said: %q", text, allowed, refusals)
			}
			if !allowed {
				refused++
			}
		}
	}
	if refused < 25+2*len(storage) {
		t.Errorf("%d are refused", refused)
	}
}
