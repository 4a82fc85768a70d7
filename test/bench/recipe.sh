#!/usr/bin/env bash
# The seed's recipe for one tenant, as a person would put it into a script:
#   recipe.sh TENANT NAMESPACE,NAMESPACE... USER
# It does not wait for Tiller's pod.
set -euo pipefail
tenant=$1 user=$3
IFS=, read -ra namespaces <<<"$2"
home=$tenant-tiller

kubectl create namespace "$home"
kubectl create serviceaccount tiller --namespace "$home"
for namespace in "${namespaces[@]}"; do
	kubectl create namespace "$namespace"
	kubectl create rolebinding tiller --namespace "$namespace" --clusterrole admin --serviceaccount "$home:tiller"
done
# Tiller's own records, and what a user needs to reach it.
kubectl create role tiller --namespace "$home" --verb get,list,create,update,delete --resource configmaps
kubectl create rolebinding tiller --namespace "$home" --role tiller --serviceaccount "$home:tiller"
kubectl create role tiller-user --namespace "$home" --verb create,list --resource pods,pods/portforward
kubectl create rolebinding tiller-user --namespace "$home" --role tiller-user --user "$user"
helm init --service-account tiller --tiller-namespace "$home" --skip-refresh --stable-repo-url http://127.0.0.1:1 \
	--node-selectors bench=none
