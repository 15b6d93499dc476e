{{/* What every pod of the chart on a node has: no token, the node's network, the rights to pull the image. */}}
{{- define "zmban.podOnNode" -}}
# The routes belong in the node's routing table; the network namespace of a pod has its own.
hostNetwork: true
dnsPolicy: ClusterFirstWithHostNet
{{ include "zmban.podAnywhere" . }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- define "zmban.podAnywhere" -}}
# zmban does not use the Kubernetes API.
automountServiceAccountToken: false
# Otherwise Kubernetes adds ZMBAN_PORT and others of the Service to the environment, where zmban reads settings.
enableServiceLinks: false
securityContext:
  {{- toYaml (mergeOverwrite (dict "seccompProfile" (dict "type" "RuntimeDefault")) .Values.podSecurityContext) | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* On which nodes. */}}
{{- define "zmban.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The rights of a container: these capabilities, and what the values add (SELinux, AppArmor, seccomp). */}}
{{- define "zmban.rights" -}}
# Kubernetes gives capabilities to no other user (kubernetes#56374); file capabilities need escalation.
runAsUser: 0
runAsGroup: 0
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
  {{- with .capabilities }}
  add:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- with .root.Values.securityContext }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The environment, which is the same for the service and for `zmban check`: it holds settings too. */}}
{{- define "zmban.environment" -}}
- name: ZMBAN_STATE
  value: /var/lib/zmban
# In the state directory, so that `helm test` reaches the service from a pod of its own.
- name: ZMBAN_SOCKET
  value: /var/lib/zmban/control.sock
- name: ZMBAN_SERVE_LISTEN
  value: {{ printf "127.0.0.1:%v" .Values.http.port | quote }}
{{- if and .Values.metrics.enabled (eq .Values.metrics.bind "hostIP") }}
- name: HOST_IP
  valueFrom:
    fieldRef:
      fieldPath: status.hostIP
- name: ZMBAN_SERVE_METRICS
  value: {{ printf "$(HOST_IP):%v" .Values.metrics.port | quote }}
{{- if .Values.metrics.webConfig.existingSecret }}
- name: ZMBAN_SERVE_WEB_CONFIG
  value: /run/secrets/zmban-web/web-config.yml
{{- end }}
{{- end }}
{{- if .Values.domains.hostPath }}
- name: ZMBAN_DOMAINS_DIRECTORY
  value: /var/lib/zmban-domains
{{- end }}
{{- with .Values.cluster }}
{{- if .url }}
- name: ZMBAN_CLUSTER_URL
  value: {{ .url | quote }}
- name: ZMBAN_CLUSTER_GROUP
  value: {{ .group | quote }}
- name: ZMBAN_CLUSTER_HOST
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
- name: ZMBAN_CLUSTER_SHARED_KEY_FILE
  value: /run/secrets/zmban-cluster/shared-key
{{- with .user }}
- name: ZMBAN_CLUSTER_USER
  value: {{ . | quote }}
{{- end }}
{{- with .passwordKey }}
- name: ZMBAN_CLUSTER_PASSWORD_FILE
  value: /run/secrets/zmban-cluster/{{ . }}
{{- end }}
{{- with .caKey }}
- name: ZMBAN_CLUSTER_CA_FILE
  value: /run/secrets/zmban-cluster/{{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* A configuration that was accepted on this node once never keeps zmban from starting again: the jails that can run
do, and `zmban status` reports the others. A new one must be whole. */}}
{{- define "zmban.checkScript" -}}
if zmban check; then
  printf '%s\n' "$CONFIGURATION" >"$ZMBAN_STATE/checked"
  exit 0
fi
if [ "$(cat "$ZMBAN_STATE/checked" 2>/dev/null)" = "$CONFIGURATION" ]; then
  echo "zmban starts all the same, because this node accepted this configuration before: see zmban status" >&2
  exit 0
fi
echo "zmban does not start with this configuration; other nodes keep theirs: mend it, or helm rollback" >&2
exit 78
{{- end }}
