{{/* The address that history is joined to: of several shards, that of one pod. */}}
{{- define "exporter.joinHost" -}}
{{- $service := include "exporter.fullname" . }}
{{- if gt (int .Values.shards) 1 }}{{ printf "%s-%d.%s" $service (int .Values.backfill.shard) $service }}{{ else }}{{ $service }}{{ end }}
{{- end }}

{{- define "exporter.backfillTemplate" -}}
metadata:
  labels:
    {{- include "exporter.backfillLabels" . | nindent 4 }}
spec:
  automountServiceAccountToken: false
  # The variables for a Service called sentry-stats-exporter have the same prefix as the flags'.
  enableServiceLinks: false
  restartPolicy: OnFailure
  securityContext:
    {{- include "exporter.podSecurityContext" . | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: backfill
      image: {{ include "exporter.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - backfill
        - --start={{ .Values.backfill.start }}
        {{- with .Values.backfill.end }}
        - --end={{ . }}
        {{- end }}
        {{- if ne .Values.backfill.resolution "1h" }}
        - --resolution={{ .Values.backfill.resolution }}
        {{- end }}
        {{- range .Values.backfill.queries }}
        - --query={{ . }}
        {{- end }}
        - --output=/var/lib/history/history.om
        - --join={{ .Values.backfill.join | default (printf "http://%s:10790" (include "exporter.joinHost" .)) }}
        {{- range $name, $value := include "exporter.targetLabels" . | fromYaml }}
        - {{ printf "--label=%s=%s" $name $value | quote }}
        {{- end }}
      {{- with include "exporter.proxyEnvironment" (dict "context" . "direct" (include "exporter.joinHost" .)) | trim }}
      env:
        {{- nindent 8 . }}
      {{- end }}
      resources:
        {{- toYaml .Values.backfill.resources | nindent 8 }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/sentry-stats-exporter
          readOnly: true
        - name: token
          mountPath: /run/secrets/sentry
          readOnly: true
        - name: history
          mountPath: /var/lib/history
        - name: temporary
          mountPath: /tmp
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "exporter.fullname" . }}
    - name: token
      secret:
        secretName: {{ .Values.existingSecret }}
        defaultMode: 0440
    - name: history
      persistentVolumeClaim:
        claimName: {{ include "exporter.fullname" . }}-history
    - name: temporary
      emptyDir:
        medium: Memory
        sizeLimit: 64Mi
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
