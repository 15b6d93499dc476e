{{/* Name of the application in labels. */}}
{{- define "zmban.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 57 | trimSuffix "-" }}
{{- end }}

{{/* Name of the objects, short enough for the longest suffix of a Service, "-uninstall-ready". */}}
{{- define "zmban.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $release := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $release .Values.fullnameOverride | trunc 47 | trimSuffix "-" }}
{{- end }}

{{/* Labels that select the pods; they must not change during the life of a release. */}}
{{- define "zmban.selectorLabels" -}}
app.kubernetes.io/name: {{ include "zmban.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels that every object has, without the name. */}}
{{- define "zmban.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "zmban.labels" -}}
{{ include "zmban.commonLabels" . }}
{{ include "zmban.selectorLabels" . }}
{{- end }}

{{/* Labels of the hooks' pods. Their name differs, or the Service and the DaemonSet would select them. */}}
{{- define "zmban.hookSelectorLabels" -}}
app.kubernetes.io/name: {{ include "zmban.name" .root }}-hook
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "zmban.hookLabels" -}}
{{ include "zmban.commonLabels" .root }}
{{ include "zmban.hookSelectorLabels" . }}
{{- end }}

{{- define "zmban.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "zmban.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "zmban.fullname" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{/* The account of hooks. That of the release does not exist yet before the installation, and no more after it. */}}
{{- define "zmban.hookServiceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ include "zmban.fullname" . }}-hooks
{{- else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{/*
zmban.toml: sections of scalars and lists, which the schema enforces. Every such JSON value is a TOML value, too;
toToml would write the integer 2520 as 2520.0, because Helm holds all numbers as floats.
*/}}
{{- define "zmban.toml" -}}
{{- range $section, $keys := .Values.settings -}}
[{{ $section }}]
{{ range $key, $value := $keys -}}
{{ $key }} = {{ toJson $value }}
{{ end }}
{{- end }}
{{- end }}

{{/* A jail file with the options that tell the shipped jails where the logs are; empty if no log names any. */}}
{{- define "zmban.logOptions" -}}
{{- $found := dict }}
{{- range $name, $log := .Values.logs }}
{{- range $option, $pattern := $log.options }}
{{- $place := printf "%s/%s" (trimSuffix "/" (default "" $log.mountPath)) $pattern }}
{{- if $log.kubelet }}{{ $place = printf "/var/lib/kubelet/pods/%s/%s" (trimAll "/" $log.kubelet) $pattern }}{{ end }}
{{- if $log.stdout }}{{ $place = printf "cri:/var/log/containers/%s" $pattern }}{{ end }}
{{- $_ := set $found $option (append (default list (index $found $option)) $place) }}
{{- end }}
{{- end }}
{{- if $found }}
# Where the values of the chart say that the logs are.
[DEFAULT]
{{- range $option, $places := $found }}
{{ $option }} = {{ join "\n    " $places }}
{{- end }}
{{- end }}
{{- end }}

{{/* The jail files of the release, as JSON. */}}
{{- define "zmban.jails" -}}
{{- $options := include "zmban.logOptions" . | trim }}
{{- $first := dict }}
{{- if $options }}{{ $first = dict "00-chart-logs.conf" (printf "%s\n" $options) }}{{ end }}
{{- merge (dict) .Values.jails $first | toJson }}
{{- end }}

{{/* Name of a ConfigMap, by its content: a pod never sees a content that was not checked with its own version. */}}
{{- define "zmban.configMapName" -}}
{{- printf "%s-%s-%s" (include "zmban.fullname" .root) .kind (.texts | toJson | sha256sum | trunc 10) }}
{{- end }}

{{/* The content of the release's ConfigMaps by kind, as JSON. */}}
{{- define "zmban.configuration" -}}
{{- $jails := include "zmban.jails" . | fromJson }}
{{- dict "jails" $jails "filters" .Values.filters "settings" (dict "zmban.toml" (include "zmban.toml" .)) | toJson }}
{{- end }}

{{/* One probe: path and timing. On the node's loopback, where zmban always listens. */}}
{{- define "zmban.probe" -}}
httpGet:
  host: 127.0.0.1
  port: http
  path: {{ .path }}
{{- range $figure, $value := .figures }}
{{ $figure }}: {{ $value }}
{{- end }}
{{- end }}

{{/* A duration such as 30s in milliseconds. */}}
{{- define "zmban.milliseconds" -}}
{{- $number := regexFind "^[0-9]+" . | int64 }}
{{- $unit := regexFind "[a-z]+$" . }}
{{- mul $number (index (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) $unit) }}
{{- end }}
