{{/* Name of the application in labels. */}}
{{- define "zmban.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Name of the objects, short enough for the longest suffix, "-dashboard". */}}
{{- define "zmban.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $release := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $release .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* Labels that select the pods; they must not change during the life of a release. */}}
{{- define "zmban.selectorLabels" -}}
app.kubernetes.io/name: {{ include "zmban.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The standard labels of every object. */}}
{{- define "zmban.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "zmban.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "zmban.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
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
