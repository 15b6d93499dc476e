{{/*
Work on every node, as a hook that fails if one node fails. Helm waits for Pods, but not for a DaemonSet: so a DaemonSet
works in an init container, and is ready afterwards; a Pod then compares, by DNS, the pods that exist with those that
are ready. Neither needs the Kubernetes API. Helm deletes all of it when all of it succeeded.

.root; .component: name of the hook; .event: of Helm; .work: the init container without its name, image and mounts of
state; .volumes: more volumes; .seconds: until it fails.
*/}}
{{- define "zmban.rollCall" -}}
{{- $root := .root }}
{{- $name := printf "%s-%s" (include "zmban.fullname" $root) .component }}
{{- $labels := dict "root" $root "component" .component }}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "zmban.hookLabels" $labels | nindent 4 }}
  annotations:
    helm.sh/hook: {{ .event }}
    helm.sh/hook-weight: "-5"
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  selector:
    matchLabels:
      {{- include "zmban.hookSelectorLabels" $labels | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "zmban.hookLabels" $labels | nindent 8 }}
    spec:
      {{- include "zmban.podOnNode" $root | nindent 6 }}
      serviceAccountName: {{ include "zmban.hookServiceAccountName" $root }}
      terminationGracePeriodSeconds: 1
      initContainers:
        - name: {{ .component }}
          image: {{ include "zmban.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          {{- .work | nindent 10 }}
      containers:
        - name: done
          image: {{ include "zmban.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command: [sleep, infinity]
          securityContext:
            {{- include "zmban.rights" (dict "root" $root) | nindent 12 }}
          resources:
            {{- include "zmban.smallResources" . | nindent 12 }}
      volumes:
        {{- include "zmban.stateVolume" $root | nindent 8 }}
        {{- with .volumes }}
        {{- . | nindent 8 }}
        {{- end }}
      {{- include "zmban.placement" $root | trim | nindent 6 }}
---
{{ include "zmban.judge" (merge (dict "selector" (include "zmban.hookSelectorLabels" $labels) "cure" (printf "kubectl -n %s logs ds/%s -c %s --all-pods" $root.Release.Namespace $name .component)) .) }}
{{- end }}

{{/*
The two Services and the Pod that compare the pods that exist with those that are ready. .selector: labels of the pods;
.cure: the command that shows the reasons; else as above.
*/}}
{{- define "zmban.judge" -}}
{{- $root := .root }}
{{- $name := printf "%s-%s" (include "zmban.fullname" $root) .component }}
{{- $labels := dict "root" $root "component" .component }}
{{- $judge := dict "root" $root "component" (printf "%s-roll-call" .component) }}
{{- range $suffix, $all := dict "every" true "ready" false }}
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}-{{ $suffix }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "zmban.hookLabels" $labels | nindent 4 }}
  annotations:
    helm.sh/hook: {{ $.event }}
    helm.sh/hook-weight: "-6"
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  clusterIP: None
  publishNotReadyAddresses: {{ $all }}
  selector:
    {{- $.selector | nindent 4 }}
  ports:
    # Nobody connects to it; some DNS servers have no addresses for a Service without a port.
    - name: unused
      port: 9
---
{{ end -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ $name }}-roll-call
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "zmban.hookLabels" $judge | nindent 4 }}
  annotations:
    helm.sh/hook: {{ .event }}
    helm.sh/hook-weight: "0"
    {{- /* That of `helm test` stays, for `helm test --logs`. */}}
    helm.sh/hook-delete-policy: before-hook-creation{{ if ne .event "test" }},hook-succeeded{{ end }}
spec:
  restartPolicy: Never
  {{- include "zmban.podAnywhere" $root | nindent 2 }}
  serviceAccountName: {{ include "zmban.hookServiceAccountName" $root }}
  containers:
    - name: roll-call
      image: {{ include "zmban.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: [/opt/zmban/bin/python, -Ic]
      args:
        - |
          {{- $root.Files.Get "files/roll_call.py" | nindent 10 }}
        - {{ $name }}-every
        - {{ $name }}-ready
        - {{ .seconds | quote }}
        # Between two nodes of a rolling update all pods are ready for this time.
        - {{ add $root.Values.minReadySeconds 15 | quote }}
        - {{ .cure }}
      securityContext:
        runAsUser: 65534
        runAsGroup: 65534
        runAsNonRoot: true
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      resources:
        {{- include "zmban.smallResources" . | nindent 8 }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "zmban.smallResources" -}}
requests:
  cpu: 10m
  memory: 32Mi
limits:
  memory: 64Mi
{{- end }}
