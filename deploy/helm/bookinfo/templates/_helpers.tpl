{{/* The name that all objects of a release begin with. */}}
{{- define "bookinfo.name" -}}
{{- if eq .Release.Name .Chart.Name -}}
{{- .Chart.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of a service; of a dict with `root` and `service`. It can never be changed. */}}
{{- define "bookinfo.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .service }}
{{- end -}}

{{/* The labels of the objects of a service. */}}
{{- define "bookinfo.labels" -}}
{{ include "bookinfo.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "bookinfo.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "bookinfo.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "bookinfo.secret" -}}
{{- default (printf "%s-database" (include "bookinfo.name" .)) .Values.database.existingSecret -}}
{{- end -}}

{{/* The settings of a service, as variables. */}}
{{- define "bookinfo.settings" -}}
{{- $service := index .root.Values.services .service -}}
{{- $values := .root.Values -}}
RUN_MODE: container
MIGRATE: {{ $values.database.migrate | quote }}
{{ $service.prefix }}_CACHE_URL: {{ $values.cache.url | quote }}
{{ $service.prefix }}_SERVER_SHUTDOWN_DELAY: {{ printf "%ds" (int $values.shutdown.delaySeconds) }}
{{ $service.prefix }}_SERVER_DRAIN_TIMEOUT: {{ printf "%ds" (int $values.shutdown.drainSeconds) }}
{{ $service.prefix }}_SERVER_MAX_CONNECTION_AGE: {{ $values.maxConnectionAge }}
{{- /* A port-forward reaches the loopback of the pod; its neighbours in the cluster do not. */}}
{{ $service.prefix }}_TELEMETRY_DEBUG_ADDR: 127.0.0.1:{{ int $service.ports.debug }}
{{- if $values.zipkin.url }}
{{ $service.prefix }}_TELEMETRY_SPANS_URL: {{ $values.zipkin.url | quote }}
{{- else }}
{{ $service.prefix }}_TELEMETRY_SPANS_TO: none
{{- end }}
{{- if eq .service "details" }}
{{ $service.prefix }}_COMMENTS_ADDRESS: grpc://{{ include "bookinfo.name" .root }}-comments:{{ int $values.services.comments.ports.grpc }}
{{- end }}
{{- range $key, $value := $service.env }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end -}}
