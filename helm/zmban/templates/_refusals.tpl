{{/*
Values that the schema cannot refuse with a cure. Each template of this file prints one sentence per line; "zmban.refuse"
fails with all of them.
*/}}
{{- define "zmban.refuse" -}}
{{- $parts := list "image" "labels" "logs" "mounts" "environment" "settings" "monitoring" "existing" }}
{{- $found := list }}
{{- range $part := $parts }}
{{- range $line := include (printf "zmban.refuse.%s" $part) $ | splitList "\n" }}
{{- with trim $line }}{{ $found = append $found . }}{{ end }}
{{- end }}
{{- end }}
{{- if $found }}
{{- fail (printf "\n  %s\n" (join "\n  " $found)) }}
{{- /* `helm lint` ignores fail, but not a template that does not exist; its name is shown. */}}
{{- include (join "; " $found) . }}
{{- end }}
{{- end }}

{{- define "zmban.refuse.image" -}}
{{- if not .Values.image.repository }}
image.repository is empty: build the image from the Dockerfile, push it, and name it, e.g. registry.example.com/mail/zmban
{{- end }}
{{- end }}

{{- define "zmban.refuse.labels" -}}
{{- range $key, $_ := .Values.podLabels }}
{{- if regexMatch "^(app\\.kubernetes\\.io/|helm\\.sh/)|^(controller-revision-hash|pod-template-generation)$" $key }}
podLabels: {{ $key }} is set by the chart or by Kubernetes; use a name of your own, such as example.com/team
{{- end }}
{{- end }}
{{- end }}

{{- define "zmban.refuse.logs" -}}
{{- range $name, $log := .Values.logs }}
{{- $kinds := list }}
{{- range $kind := list "hostPath" "persistentVolumeClaim" "kubelet" "stdout" }}
{{- if index $log $kind }}{{ $kinds = append $kinds $kind }}{{ end }}
{{- end }}
{{- if ne (len $kinds) 1 }}
logs.{{ $name }} has {{ len $kinds }} places ({{ join ", " $kinds }}): give exactly one of hostPath, persistentVolumeClaim, kubelet, stdout; null removes one of the defaults
{{- end }}
{{- if and (or $log.hostPath $log.persistentVolumeClaim) (not $log.mountPath) }}
logs.{{ $name }} has no mountPath: give the path that the jails name, e.g. /opt/zimbra/log
{{- end }}
{{- if and (or $log.kubelet $log.stdout) (not $log.options) }}
logs.{{ $name }} has no options, so no jail reads it: name the files for options of the jails, e.g. {zimbra_log: zimbra.log}
{{- end }}
{{- end }}
{{- end }}

{{- define "zmban.refuse.mounts" -}}
{{- $own := list "/etc/zmban" "/etc/fail2ban" "/etc/localtime" "/usr" "/opt/zmban" "/bin" "/sbin" "/lib" "/lib64" "/proc" "/sys" "/dev" "/tmp" "/run/zmban" "/run/secrets/zmban" "/run/secrets/zmban-web" "/run/secrets/zmban-cluster" "/var/lib/zmban" "/var/lib/zmban-domains" }}
{{- $given := list }}
{{- range $name, $volume := include "zmban.logVolumes" . | fromJson }}
{{- with $volume.mountPath }}{{ $given = append $given (dict "by" (printf "logs (volume %s)" $name) "path" (clean .)) }}{{ end }}
{{- end }}
{{- range $index, $mount := .Values.extraVolumeMounts }}
{{- $given = append $given (dict "by" (printf "extraVolumeMounts[%d]" $index) "path" (clean $mount.mountPath)) }}
{{- end }}
{{- $names := list "config" "state" "tmp" "domains" "notify" "cluster" "web" "localtime" "fail2ban" }}
{{- range .Values.extraVolumes }}
{{- if or (has .name $names) (hasKey (include "zmban.logVolumes" $ | fromJson) .name) }}
extraVolumes: {{ .name }} is a volume of the chart; choose another name
{{- end }}
{{- end }}
{{- $seen := dict }}
{{- range $one := $given }}
{{- if hasKey $seen $one.path }}
{{ $one.by }}: {{ $one.path }} is mounted twice, also by {{ index $seen $one.path }}; give each its own mountPath
{{- end }}
{{- $_ := set $seen $one.path $one.by }}
{{- $below := printf "%s/" (trimSuffix "/" $one.path) }}
{{- range $mine := $own }}
{{- if or (eq $one.path $mine) (hasPrefix $below $mine) (hasPrefix (printf "%s/" $mine) $one.path) }}
{{ $one.by }}: {{ $one.path }} would hide {{ $mine }}, which zmban needs; mount it elsewhere, e.g. /logs/NAME
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "zmban.refuse.environment" -}}
{{- $cures := dict "ZMBAN_SERVE_LISTEN" "http.port" "ZMBAN_SERVE_METRICS" "metrics.bind and metrics.port" "ZMBAN_SERVE_WEB_CONFIG" "metrics.webConfig.existingSecret" "ZMBAN_STATE" "state.hostPath" "ZMBAN_SOCKET" "state.hostPath" "ZMBAN_DOMAINS_DIRECTORY" "domains.hostPath" "ZMBAN_CLUSTER_URL" "cluster.url" "ZMBAN_CLUSTER_GROUP" "cluster.group" "ZMBAN_CLUSTER_HOST" "another name" "ZMBAN_CLUSTER_SHARED_KEY_FILE" "cluster.existingSecret" "ZMBAN_CLUSTER_USER" "cluster.user" "ZMBAN_CLUSTER_PASSWORD_FILE" "cluster.passwordKey" "ZMBAN_CLUSTER_CA_FILE" "cluster.caKey" "HOST_IP" "another name" "CONFIGURATION" "another name" }}
{{- $seen := dict }}
{{- range $index, $variable := .Values.extraEnv }}
{{- with index $cures $variable.name }}
extraEnv: {{ $variable.name }} is set by the chart; use {{ . }}
{{- end }}
{{- if and (hasKey $variable "value") (hasKey $variable "valueFrom") }}
extraEnv: {{ $variable.name }} has both value and valueFrom; keep one of them
{{- end }}
{{- if not (or (hasKey $variable "value") (hasKey $variable "valueFrom")) }}
extraEnv: {{ $variable.name }} has neither value nor valueFrom; give one of them
{{- end }}
{{- if hasKey $seen $variable.name }}
extraEnv: {{ $variable.name }} is given twice; keep one of them
{{- end }}
{{- $_ := set $seen $variable.name true }}
{{- end }}
{{- range $argument := .Values.extraArgs }}
{{- $option := regexFind "^--(listen|state|socket|dry-run|watch)" $argument }}
{{- with index (dict "--listen" "http.port" "--state" "state.hostPath" "--socket" "state.hostPath" "--dry-run" "dryRun" "--watch" "watch") $option }}
extraArgs: {{ $option }} is set by the chart; use {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "zmban.refuse.settings" -}}
{{- with .Values.settings.kernel }}
{{- if has (toString .table) (list "0" "253" "255") }}
settings.kernel.table: {{ .table }} is one of the kernel's own tables; write an unused number such as 2520, or main
{{- end }}
{{- end }}
{{- $byte := "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])" }}
{{- $four := printf "^(%s\\.){3}%s(/(3[0-2]|[12]?[0-9]))?$" $byte $byte }}
{{- $six := "^[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){2,7}(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?$" }}
{{- range $key, $networks := .Values.settings.trust }}
{{- if and (kindIs "slice" $networks) (ne $key "ssh_ports") }}
{{- range $network := $networks }}
{{- if not (or (regexMatch $four $network) (and (regexMatch $six $network) (not (contains ":::" $network)))) }}
settings.trust.{{ $key }}: {{ $network }} is not a network; write an address or ADDRESS/LENGTH, such as 192.0.2.0/24 or 2001:db8::/32
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "zmban.refuse.monitoring" -}}
{{- $v := .Values }}
{{- $outside := and $v.metrics.enabled (eq $v.metrics.bind "hostIP") }}
{{- range $monitor := list "serviceMonitor" "podMonitor" }}
{{- if and (index $v $monitor).enabled (not $outside) }}
{{ $monitor }}.enabled needs metrics.enabled: true and metrics.bind: hostIP: Prometheus cannot reach a node's loopback
{{- end }}
{{- end }}
{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled }}
serviceMonitor and podMonitor are both enabled, and every node would be scraped twice; disable one of them
{{- end }}
{{- if and $v.metrics.webConfig.existingSecret (not $outside) }}
metrics.webConfig needs metrics.bind: hostIP: the loopback port has neither TLS nor a password
{{- end }}
{{- if and $outside (eq (int $v.http.port) (int $v.metrics.port)) }}
http.port and metrics.port are both {{ $v.http.port }}; give one of them another number
{{- end }}
{{- with $v.serviceMonitor.scrapeTimeout }}
{{- if gt (int64 (include "zmban.milliseconds" .)) (int64 (include "zmban.milliseconds" $v.serviceMonitor.interval)) }}
serviceMonitor.scrapeTimeout {{ . }} is longer than the interval {{ $v.serviceMonitor.interval }}, which Prometheus refuses; lower it
{{- end }}
{{- end }}
{{- end }}

{{- define "zmban.refuse.existing" -}}
{{- if and (include "zmban.ownSettings" .) .Values.settings }}
settings and an existing zmban.toml are both given; keep one of them
{{- end }}
{{- $seen := dict }}
{{- range $kind, $directory := dict "jails" "jail.d" "filters" "filter.d" }}
{{- range $file, $_ := index (include "zmban.configuration" $ | fromJson) $kind }}
{{- $_ := set $seen (printf "%s/%s" $directory $file) $kind }}
{{- end }}
{{- end }}
{{- range $source := concat .Values.existingConfigMaps .Values.existingSecrets }}
{{- range $source.items }}
{{- if hasKey $seen .path }}
{{ $source.name }}: {{ .path }} is given already by {{ index $seen .path }}; rename one of them
{{- end }}
{{- $_ := set $seen .path $source.name }}
{{- end }}
{{- end }}
{{- end }}
