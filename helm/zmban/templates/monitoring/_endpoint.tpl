{{/* How Prometheus scrapes one node: the same for a ServiceMonitor and a PodMonitor. */}}
{{- define "zmban.endpoint" -}}
{{- with .Values.serviceMonitor }}
- port: metrics
  path: /metrics
  interval: {{ .interval }}
  {{- with .scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  scheme: {{ .scheme }}
  {{- range $key := list "tlsConfig" "basicAuth" }}
  {{- with index $.Values.serviceMonitor $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  relabelings:
    # The alert rules use this job name, independent of the release's name.
    - targetLabel: job
      replacement: zmban
    # Label series by the node's name.
    - sourceLabels: [__meta_kubernetes_pod_node_name]
      targetLabel: node
    {{- with .relabelings }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The part of both that selects, and the limits. */}}
{{- define "zmban.monitorSpec" -}}
namespaceSelector:
  matchNames: [{{ .Release.Namespace }}]
selector:
  matchLabels:
    {{- include "zmban.selectorLabels" . | nindent 4 }}
{{- range $key, $value := .Values.serviceMonitor.limits }}
{{ $key }}: {{ $value | int64 }}
{{- end }}
{{- end }}

{{- define "zmban.monitorMetadata" -}}
name: {{ include "zmban.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "zmban.labels" . | nindent 2 }}
  {{- with .Values.serviceMonitor.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.serviceMonitor.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
