{{/* The rule that records a threshold. */}}
{{- define "exporter.threshold" -}}
record: {{ printf "sentry_stats:threshold:%s" .name | quote }}
expr: {{ printf "vector(%v)" .value | quote }}
{{- with .labels }}
labels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Whether a rule and a given threshold are about the same. */}}
{{- define "exporter.sameThreshold" -}}
{{- $rule := first . }}
{{- $given := last . }}
{{- if eq ($rule.record | default "") (printf "sentry_stats:threshold:%s" $given.name) }}
{{- if deepEqual ($rule.labels | default dict) ($given.labels | default dict) }}yes{{ end }}
{{- end }}
{{- end }}

{{/* A rule, or in its place the given threshold that is about the same. */}}
{{- define "exporter.ruleWithThreshold" -}}
{{- $rule := first . }}
{{- $given := dict }}
{{- range last . }}
{{- if include "exporter.sameThreshold" (list $rule .) }}{{ $given = . }}{{ end }}
{{- end }}
{{- if $given }}{{ include "exporter.threshold" $given }}{{ else }}{{ toYaml $rule }}{{ end }}
{{- end }}

{{/* The given thresholds that no rule is about yet, as a list. */}}
{{- define "exporter.addedThresholds" -}}
{{- $rules := first . }}
{{- $added := list }}
{{- range $given := last . }}
{{- $known := "" }}
{{- range $rules }}{{ $known = or $known (include "exporter.sameThreshold" (list . $given)) }}{{ end }}
{{- if not $known }}{{ $added = append $added (include "exporter.threshold" $given | fromYaml) }}{{ end }}
{{- end }}
{{- toYaml $added }}
{{- end }}
