{{/* Mounts of the volumes of "zmban.volumes" that hold configuration and logs, all read-only. */}}
{{- define "zmban.readMounts" -}}
- name: config
  mountPath: /etc/zmban
  readOnly: true
{{- if .Values.notifySecret }}
- name: notify
  mountPath: /run/secrets/zmban
  readOnly: true
{{- end }}
{{- if .Values.cluster.url }}
- name: cluster
  mountPath: /run/secrets/zmban-cluster
  readOnly: true
{{- end }}
{{- if .Values.metrics.webConfig.existingSecret }}
- name: web
  mountPath: /run/secrets/zmban-web
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
{{- range $name, $volume := include "zmban.logVolumes" . | fromJson }}
- name: {{ $name }}
  mountPath: {{ $volume.mountPath }}
  readOnly: true
  {{- if $volume.hostPath }}
  # What the node mounts there later is seen too, such as the volume of a pod that comes.
  mountPropagation: HostToContainer
  {{- end }}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Mounts that zmban writes to. */}}
{{- define "zmban.writeMounts" -}}
- name: state
  mountPath: /var/lib/zmban
{{- if .Values.domains.hostPath }}
- name: domains
  mountPath: /var/lib/zmban-domains
{{- end }}
- name: tmp
  mountPath: /tmp
{{- end }}

{{/* The volumes of the logs by name, as JSON: {mountPath, hostPath or claim}. Two logs may share one. */}}
{{- define "zmban.logVolumes" -}}
{{- $found := dict }}
{{- range $name, $log := .Values.logs }}
{{- if $log.hostPath }}
{{- $_ := set $found (printf "log-%s" $name) (dict "mountPath" $log.mountPath "hostPath" $log.hostPath) }}
{{- else if $log.persistentVolumeClaim }}
{{- $_ := set $found (printf "log-%s" $name) (dict "mountPath" $log.mountPath "claim" $log.persistentVolumeClaim.existingClaim) }}
{{- else if $log.kubelet }}
{{- $_ := set $found "kubelet-pods" (dict "mountPath" "/var/lib/kubelet/pods" "hostPath" "/var/lib/kubelet/pods") }}
{{- else if $log.stdout }}
{{- $_ := set $found "container-logs" (dict "mountPath" "/var/log/containers" "hostPath" "/var/log/containers") }}
{{- $_ := set $found "pod-logs" (dict "mountPath" "/var/log/pods" "hostPath" "/var/log/pods") }}
{{- with $log.dockerContainers }}
{{- $_ := set $found "docker-logs" (dict "mountPath" . "hostPath" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- $found | toJson }}
{{- end }}

{{/* The projected volume at /etc/zmban: the chart's ConfigMaps, then those that exist already. */}}
{{- define "zmban.configVolume" -}}
{{- $root := . -}}
{{- $texts := include "zmban.configuration" . | fromJson -}}
- name: config
  projected:
    sources:
      {{- if not (include "zmban.ownSettings" .) }}
      - configMap:
          name: {{ include "zmban.configMapName" (dict "root" $root "kind" "settings" "texts" $texts.settings) }}
      {{- end }}
      {{- range $directory, $kind := dict "jail.d" "jails" "filter.d" "filters" }}
      {{- with index $texts $kind }}
      - configMap:
          name: {{ include "zmban.configMapName" (dict "root" $root "kind" $kind "texts" .) }}
          items:
            {{- range $file, $_ := . }}
            - key: {{ $file | quote }}
              path: {{ printf "%s/%s" $directory $file | quote }}
            {{- end }}
      {{- end }}
      {{- end }}
      {{- range .Values.existingConfigMaps }}
      - configMap:
          {{- toYaml . | nindent 10 }}
      {{- end }}
      {{- range .Values.existingSecrets }}
      - secret:
          {{- toYaml . | nindent 10 }}
      {{- end }}
{{- end }}

{{/* Not empty if zmban.toml comes from a ConfigMap or Secret that exists already. */}}
{{- define "zmban.ownSettings" -}}
{{- range concat .Values.existingConfigMaps .Values.existingSecrets }}
{{- range .items }}{{ if eq .path "zmban.toml" }}true{{ end }}{{ end }}
{{- end }}
{{- end }}

{{- define "zmban.stateVolume" -}}
- name: state
  hostPath:
    path: {{ .Values.state.hostPath }}
    type: DirectoryOrCreate
- name: tmp
  emptyDir:
    medium: Memory
    sizeLimit: 64Mi
{{- end }}

{{- define "zmban.volumes" -}}
{{ include "zmban.configVolume" . }}
{{ include "zmban.stateVolume" . }}
{{- with .Values.domains.hostPath }}
- name: domains
  hostPath:
    path: {{ . }}
    type: DirectoryOrCreate
{{- end }}
{{- with .Values.notifySecret }}
- name: notify
  secret:
    secretName: {{ . }}
    defaultMode: 0400
{{- end }}
{{- if .Values.cluster.url }}
- name: cluster
  secret:
    secretName: {{ required "cluster.existingSecret: name the Secret with the key shared-key" .Values.cluster.existingSecret }}
    defaultMode: 0400
{{- end }}
{{- with .Values.metrics.webConfig.existingSecret }}
- name: web
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
{{- range $name, $volume := include "zmban.logVolumes" . | fromJson }}
- name: {{ $name }}
  {{- if $volume.claim }}
  persistentVolumeClaim:
    claimName: {{ $volume.claim }}
    readOnly: true
  {{- else }}
  hostPath:
    path: {{ $volume.hostPath }}
    type: Directory
  {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
