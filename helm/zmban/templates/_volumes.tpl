{{/* Mounts of the volumes of "zmban.volumes" in the container. */}}
{{- define "zmban.mounts" -}}
- name: config
  mountPath: /etc/zmban
  readOnly: true
- name: state
  mountPath: /var/lib/zmban
{{- if .Values.domains.hostPath }}
- name: domains
  mountPath: /var/lib/zmban-domains
{{- end }}
- name: run
  mountPath: /run/zmban
- name: tmp
  mountPath: /tmp
{{- if .Values.notifySecret }}
- name: notify
  mountPath: /run/secrets/zmban
  readOnly: true
{{- end }}
{{- if .Values.localtime.hostPath }}
- name: localtime
  mountPath: /etc/localtime
  readOnly: true
{{- end }}
{{- if .Values.fail2ban.hostPath }}
- name: fail2ban
  mountPath: /etc/fail2ban
  readOnly: true
{{- end }}
{{- range $name, $log := .Values.logs }}
- name: log-{{ $name }}
  mountPath: {{ $log.mountPath }}
  readOnly: true
  {{- if semverCompare ">=1.31.0-0" $.Capabilities.KubeVersion.Version }}
  # Also file systems mounted below, such as /var/log/audit.
  recursiveReadOnly: IfPossible
  {{- end }}
{{- end }}
{{- end }}

{{- define "zmban.volumes" -}}
{{- $fullname := include "zmban.fullname" . -}}
- name: config
  projected:
    sources:
      - configMap:
          name: {{ $fullname }}-settings
      {{- range $directory, $source := dict "jail.d" "jails" "filter.d" "filters" }}
      {{- with index $.Values $source }}
      - configMap:
          name: {{ $fullname }}-{{ $source }}
          items:
            {{- range $file, $_ := . }}
            - key: {{ $file | quote }}
              path: {{ printf "%s/%s" $directory $file | quote }}
            {{- end }}
      {{- end }}
      {{- end }}
- name: state
  hostPath:
    path: {{ .Values.state.hostPath }}
    type: DirectoryOrCreate
{{- with .Values.domains.hostPath }}
- name: domains
  hostPath:
    path: {{ . }}
    type: DirectoryOrCreate
{{- end }}
- name: run
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
- name: tmp
  emptyDir:
    medium: Memory
    sizeLimit: 64Mi
{{- with .Values.notifySecret }}
- name: notify
  secret:
    secretName: {{ . }}
    defaultMode: 0400
{{- end }}
{{- with .Values.localtime.hostPath }}
- name: localtime
  hostPath:
    path: {{ . }}
    type: File
{{- end }}
{{- with .Values.fail2ban.hostPath }}
- name: fail2ban
  hostPath:
    path: {{ . }}
    type: Directory
{{- end }}
{{- range $name, $log := .Values.logs }}
- name: log-{{ $name }}
  hostPath:
    path: {{ $log.hostPath }}
    type: Directory
{{- end }}
{{- end }}
