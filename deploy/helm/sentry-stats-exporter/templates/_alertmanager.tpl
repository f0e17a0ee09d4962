{{- define "exporter.slack" -}}
{{- $files := .context.Files }}
- apiURL:
    name: {{ .slack.secret }}
    key: {{ .slack.key }}
  channel: {{ .slack.channel | quote }}
  sendResolved: true
  {{- range $key, $name := dict "color" "color" "title" "title" "text" "text" "fallback" "title" }}
  {{ $key }}: {{ printf "files/messages/slack.%s.tmpl" $name | $files.Get | toRawJson }}
  {{- end }}
  titleLink: {{ $files.Get "files/messages/link.tmpl" | toRawJson }}
  footer: ""
{{- end }}

{{- define "exporter.pagerduty" -}}
{{- $files := .context.Files }}
- routingKey:
    name: {{ .pagerduty.secret }}
    key: {{ .pagerduty.key }}
  severity: {{ "{{ .CommonLabels.severity }}" | quote }}
  class: {{ "{{ .CommonLabels.alertname }}" | quote }}
  component: {{ "{{ .CommonLabels.organization }}" | quote }}
  description: {{ $files.Get "files/messages/pagerduty.summary.tmpl" | toRawJson }}
  client: Sentry stats
  clientURL: {{ $files.Get "files/messages/link.tmpl" | toRawJson }}
  details:
    {{- range list "firing" "resolved" }}
    - key: {{ . }}
      value: {{ printf "files/messages/pagerduty.%s.tmpl" . | $files.Get | toRawJson }}
    {{- end }}
  pagerDutyLinkConfigs:
    - alt: Runbook
      href: {{ "{{ .CommonAnnotations.runbook_url }}" | quote }}
{{- end }}

{{/* The receivers of one addressee: for all alerts, and with PagerDuty for critical ones. */}}
{{- define "exporter.receivers" -}}
{{- $chat := .to.receiver | default dict | deepCopy }}
{{- if .to.slack }}
{{- $slack := include "exporter.slack" (dict "context" .context "slack" .to.slack) | fromYamlArray }}
{{- $_ := set $chat "slackConfigs" (concat $slack ($chat.slackConfigs | default list)) }}
{{- end }}
{{- $receivers := list (merge (dict "name" (printf "%schat" .prefix)) $chat) }}
{{- if .to.pagerduty }}
{{- $page := deepCopy $chat }}
{{- $pagerduty := include "exporter.pagerduty" (dict "context" .context "pagerduty" .to.pagerduty) | fromYamlArray }}
{{- $_ := set $page "pagerdutyConfigs" (concat $pagerduty ($page.pagerdutyConfigs | default list)) }}
{{- $receivers = append $receivers (merge (dict "name" (printf "%spage" .prefix)) $page) }}
{{- end }}
{{- toYaml $receivers }}
{{- end }}

{{/* The route for critical alerts to an addressee's PagerDuty, if it has one. */}}
{{- define "exporter.criticalRoute" -}}
{{- if .to.pagerduty }}
- matchers:
    - {name: severity, value: critical, matchType: "="}
  receiver: {{ printf "%spage" .prefix }}
{{- end }}
{{- end }}

{{/* The route to an addressee, for alerts with a label. */}}
{{- define "exporter.route" -}}
- matchers:
    - {name: {{ .label }}, value: {{ .value | quote }}, matchType: "="}
  receiver: {{ printf "%schat" .prefix }}
  {{- with include "exporter.criticalRoute" . | trim }}
  routes:
    {{- nindent 4 . }}
  {{- end }}
{{- end }}
