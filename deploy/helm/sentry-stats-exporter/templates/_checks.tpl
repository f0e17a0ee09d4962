{{/* What the schema cannot say clearly, or only with a secret in its message. */}}
{{- define "exporter.checks" -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "serviceMonitor and podMonitor are both enabled, so Prometheus would scrape each exporter twice: enable one of them" }}
{{- end }}
{{- with .Values.proxy.url }}
{{- if not (regexMatch "^https?://[^:/@?#\\s]+(:[0-9]{1,5})?/?$" .) }}
{{- fail "proxy.url must be like http://HOST:PORT or https://HOST:PORT, without user and password: if the proxy needs them, set HTTPS_PROXY from a Secret with extraEnv" }}
{{- end }}
{{- end }}
{{- range prepend .Values.config.organizations (.Values.config.defaults | default dict) }}
{{- if hasKey . "token" }}
{{- fail "config has a token, which everyone who reads the ConfigMap could see: put it into the Secret of existingSecret, and name its file in token_file" }}
{{- end }}
{{- if not (hasPrefix "/" (.token_file | default "/")) }}
{{- fail "config has a relative token_file, and there is no token beside the configuration: leave token_file out for the key token of existingSecret, or write /run/secrets/sentry/KEY for another key" }}
{{- end }}
{{- end }}
{{- end }}
