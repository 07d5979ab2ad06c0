{{- define "orchestrator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "orchestrator.fullname" -}}
{{- $full := default .Values.fullnameOverride .Values.orchestrator.fullnameOverride -}}
{{- if $full }}
{{- $full | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "orchestrator.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "orchestrator.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "orchestrator.migrationsName" -}}
{{- default (printf "%s-migrations" (include "orchestrator.fullname" .)) .Values.migrations.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "orchestrator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "orchestrator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{- define "orchestrator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "orchestrator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "orchestrator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "orchestrator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "orchestrator.image" -}}
{{- with .Values.orchestrator.image -}}
{{- if .registry }}{{ .registry }}/{{ end }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end }}
{{- end }}

{{/* The file of channels, from the list. */}}
{{- define "orchestrator.channels" -}}
{{- $channels := dict -}}
{{- range .Values.channels }}
{{- if hasKey $channels .name }}{{ fail (printf "channels: %s is there twice" .name) }}{{ end }}
{{- $_ := set $channels .name .organizations -}}
{{- end }}
{{- dict "channels" $channels | toYaml }}
{{- end }}

{{/* A security context; charts of the Bitnami kind have "enabled" in it. */}}
{{- define "orchestrator.securityContext" -}}
{{- if ne (toString (get . "enabled")) "false" }}
{{- omit . "enabled" | toYaml }}
{{- else -}}
{}
{{- end }}
{{- end }}

{{/* How the server reaches the database. The password is never a part of the pod's own text. Takes root and secret. */}}
{{- define "orchestrator.databaseEnv" -}}
- name: DATABASE_HOST
  value: {{ .root.Values.database.host | quote }}
- name: DATABASE_PORT
  value: {{ .root.Values.database.port | quote }}
- name: DATABASE_NAME
  value: {{ .root.Values.database.auth.database | quote }}
- name: DATABASE_PARAMETERS
  value: {{ .root.Values.database.connectionParameters | quote }}
- name: DATABASE_USERNAME
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: DATABASE_USERNAME
- name: DATABASE_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: DATABASE_PASSWORD
{{- end }}

{{/* What cannot work together is refused before anything is changed. */}}
{{- define "orchestrator.validate" -}}
{{- $tls := .Values.orchestrator.tls -}}
{{- if .Values.postgresql.enabled }}{{ fail "postgresql.enabled: this chart brings no PostgreSQL; set it to false, and database.host to one of yours" }}{{ end }}
{{- if not .Values.database.host }}{{ fail "database.host: it must name a PostgreSQL, 15 or newer; this chart brings none" }}{{ end }}
{{- if not (or .Values.database.auth.credentialsSecretName (and .Values.database.auth.username .Values.database.auth.password)) }}{{ fail "database.auth: give credentialsSecretName, or username and password" }}{{ end }}
{{- if not .Values.channels }}{{ fail "channels: there must be one" }}{{ end }}
{{- if and $tls.mtls.enabled (not $tls.enabled) }}{{ fail "orchestrator.tls.mtls.enabled: mutual TLS needs orchestrator.tls.enabled" }}{{ end }}
{{- if and $tls.enabled (not $tls.secrets.pair) }}{{ fail "orchestrator.tls.secrets.pair: it must name the Secret of the server's certificate" }}{{ end }}
{{- if and $tls.createCertificates.enabled (not $tls.createCertificates.issuer) }}{{ fail "orchestrator.tls.createCertificates.issuer: it must name an issuer of cert-manager" }}{{ end }}
{{- if and $tls.createCertificates.enabled (not $tls.createCertificates.domains) }}{{ fail "orchestrator.tls.createCertificates.domains: there must be one" }}{{ end }}
{{- if and $tls.mtls.enabled (not (or $tls.mtls.clientCACerts $tls.cacert)) }}{{ fail "orchestrator.tls.mtls.clientCACerts: it must name the organizations' CAs" }}{{ end }}
{{- if and .Values.orchestrator.verifyClientMSPID (not $tls.mtls.enabled) }}{{ fail "orchestrator.verifyClientMSPID: it needs orchestrator.tls.mtls.enabled" }}{{ end }}
{{- if and .Values.orchestrator.verifyClientMSPID (not $tls.mtls.clientCACerts) }}{{ fail "orchestrator.verifyClientMSPID: it needs orchestrator.tls.mtls.clientCACerts" }}{{ end }}
{{- end }}

{{/* Further variables of the server. Numbers as JSON has them: as texts, large ones would get an exponent. */}}
{{- define "orchestrator.extraEnv" -}}
{{- range $name, $value := .Values.orchestrator.env }}
- name: {{ $name }}
  value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}
{{- end }}
{{- end }}
