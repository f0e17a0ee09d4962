{{/* The name of all objects. A Job's name adds 18 characters, and may have 63. */}}
{{- define "exporter.fullname" -}}
{{- $name := .Values.fullnameOverride }}
{{- if not $name }}
{{- $name = contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) }}
{{- end }}
{{- $name | trunc 44 | trimSuffix "-" }}
{{- end }}

{{/* Selectors are immutable: nothing that an upgrade changes may be in them. */}}
{{- define "exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "exporter.backfillLabels" -}}
app.kubernetes.io/name: sentry-stats-backfill
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "exporter.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "exporter.labels" -}}
{{ include "exporter.selectorLabels" . }}
{{ include "exporter.commonLabels" . }}
{{- end }}

{{/* The labels of an object and the user's, which cannot replace them. */}}
{{- define "exporter.labelsWith" -}}
{{- merge (include "exporter.labels" (first .) | fromYaml) (last .) | toYaml }}
{{- end }}

{{- define "exporter.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* On OpenShift, an id from outside of the namespace's range would be refused. */}}
{{- define "exporter.podSecurityContext" -}}
{{- if .Values.openshift }}
{{- omit .Values.podSecurityContext "fsGroup" "runAsGroup" "runAsUser" | toYaml }}
{{- else }}
{{- toYaml .Values.podSecurityContext }}
{{- end }}
{{- end }}

{{/* The environment of a container; takes the context, and hosts that are never proxied. */}}
{{- define "exporter.proxyEnvironment" -}}
{{- with .context.Values.proxy.url }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
- name: HTTP_PROXY
  value: {{ . | quote }}
{{- with compact (list $.context.Values.proxy.noProxy $.direct) }}
- name: NO_PROXY
  value: {{ join "," . | quote }}
{{- end }}
{{- end }}
{{- with .context.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The port of an address, given or that of its scheme. */}}
{{- define "exporter.port" -}}
{{- $address := urlParse . }}
{{- regexFind ":[0-9]+$" $address.host | trimPrefix ":" | default (eq $address.scheme "http" | ternary "80" "443") }}
{{- end }}

{{/* The ports of Sentry, or of the proxy to it, separated by spaces. */}}
{{- define "exporter.ports" -}}
{{- $addresses := list }}
{{- with .Values.proxy.url }}{{ $addresses = list . }}{{ end }}
{{- if or (not .Values.proxy.url) .Values.proxy.noProxy }}
{{- $defaults := .Values.config.defaults | default dict }}
{{- range .Values.config.organizations }}
{{- $addresses = append $addresses (.url | default $defaults.url | default "https://sentry.io") }}
{{- end }}
{{- end }}
{{- $ports := list }}
{{- range $addresses }}{{ $ports = append $ports (include "exporter.port" .) }}{{ end }}
{{- $ports | uniq | sortAlpha | join " " }}
{{- end }}

{{/* What both exporter and backfill may reach. */}}
{{- define "exporter.egress" -}}
{{- $dns := .Values.networkPolicy.dnsPorts }}
{{- if .Values.openshift }}{{ $dns = append $dns 5353 | uniq }}{{ end }}
- ports:
    {{- range $dns }}
    - port: {{ . }}
      protocol: UDP
    - port: {{ . }}
      protocol: TCP
    {{- end }}
- ports:
    {{- range splitList " " (include "exporter.ports" .) }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .Values.networkPolicy.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- with .Values.networkPolicy.egress }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The endpoint of a monitor. The address of a pod changes when it is rescheduled, its name does
not. With another instance, counters would be new series, and increase() would miss what came
meanwhile. */}}
{{- define "exporter.endpoint" -}}
{{- $instance := dict "sourceLabels" (list "__meta_kubernetes_pod_name") "targetLabel" "instance" }}
{{- $relabelings := prepend (.endpoint.relabelings | default list) $instance }}
{{- $endpoint := merge (dict "port" "http" "interval" .interval "relabelings" $relabelings) .endpoint }}
{{- list $endpoint | toYaml }}
{{- end }}

{{/* The labels that Prometheus adds to what it scrapes, as YAML. */}}
{{- define "exporter.targetLabels" -}}
{{- $fullname := include "exporter.fullname" . }}
{{- $labels := include "exporter.labels" . | fromYaml }}
{{- $pod := printf "%s-%d" $fullname (int .Values.backfill.shard) }}
{{- $target := dict "job" $fullname "instance" $pod }}
{{- if or .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- $target = dict "pod" $pod "namespace" .Release.Namespace "container" "exporter" "endpoint" "http" | merge $target }}
{{- end }}
{{- if .Values.serviceMonitor.enabled }}
{{- $_ := set $target "service" $fullname }}
{{- $_ := set $target "job" (get $labels .Values.serviceMonitor.jobLabel | default $fullname) }}
{{- end }}
{{- if .Values.podMonitor.enabled }}
{{- $default := printf "%s/%s" .Release.Namespace $fullname }}
{{- $_ := set $target "job" (get (merge (deepCopy .Values.podLabels) $labels) .Values.podMonitor.jobLabel | default $default) }}
{{- end }}
{{- range $name, $value := .Values.backfill.labels }}
{{- if kindIs "invalid" $value }}{{ $_ := unset $target $name }}{{ else }}{{ $_ := set $target $name $value }}{{ end }}
{{- end }}
{{- toYaml $target }}
{{- end }}
