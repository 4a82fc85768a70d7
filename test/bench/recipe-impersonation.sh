#!/usr/bin/env bash
# What an impersonated account for one team takes, as a person would put it into a
# script:
#   recipe-impersonation.sh TEAM NAMESPACE,NAMESPACE... USER
set -euo pipefail
team=$1 user=$3
IFS=, read -ra namespaces <<<"$2"
home=$team-helm

kubectl create namespace "$home"
kubectl create serviceaccount helm --namespace "$home"
for namespace in "${namespaces[@]}"; do
	kubectl create namespace "$namespace"
	kubectl create rolebinding helm --namespace "$namespace" --clusterrole admin --serviceaccount "$home:helm"
done
kubectl create role member --namespace "$home" --verb impersonate --resource serviceaccounts --resource-name helm
kubectl create rolebinding member --namespace "$home" --role member --user "$user"
