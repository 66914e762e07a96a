// The only reader of process.env. All problems are told at once, each with its variable; the result is frozen.
// Empty is unset. Every secret variable has a `_FILE` twin. An unknown REKEY_* refuses to start, with a suggestion.

import { readFileSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { formatDuration, isDuration, parseDuration } from '#domain/duration.ts'
import { Secret } from '#domain/secret.ts'
import { suggest } from '#domain/suggest.ts'
import { allowFault } from '#runtime/egress.ts'
import { isSecretVariable, type Variable, variableNames } from './variables.ts'

type Env = Readonly<Record<string, string | undefined>>

export interface Config {
  readonly host: string
  readonly port: number
  readonly metrics: {
    readonly host: string
    readonly port: number
    /** Whether somebody asked for this port; the default one may be taken. */
    readonly asked: boolean
  }
  readonly dataDir: string
  /** Null: the embedded Postgres. */
  readonly databaseUrl: Secret | null
  readonly migrationDatabaseUrl: Secret | null
  readonly redisUrl: Secret | null
  readonly kekFile: string
  readonly writerKeyFile: string
  readonly credentialsDir: string | null
  readonly defaultCredentials: boolean
  readonly publishDir: string | null
  readonly pkcs11Modules: readonly string[]
  /** Variables that a token's library gets, beside those of `libraryNames`. */
  readonly pkcs11Env: readonly string[]
  /** Modules of providers that are not part of Rekey. */
  readonly providerModules: readonly string[]
  readonly egressAllow: readonly string[]
  readonly tls: { readonly cert: string; readonly key: string } | null
  readonly trustedProxy: string | null
  /** By what address browsers know Rekey, without a path. Null: by the one that it listens on, if that is loopback. */
  readonly publicUrl: string | null
  readonly rateLimit: number
  readonly samples: boolean
  /** How often each key is compared with its provider; 0: never. */
  readonly reconcileEveryMs: number
  readonly logLevel: LogLevel
  /** Null: spans go nowhere. */
  readonly tracing: TracingConfig | null
  /** `REKEY_CREDENTIAL_*`, as they are: read when a connection asks for one. */
  readonly credentials: Readonly<Record<string, Secret>>
  /** `REKEY_CREDENTIAL_<X>_HOSTS`: where the credential may be sent. */
  readonly credentialHosts: Readonly<Record<string, readonly string[]>>
}

const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** `OTEL_TRACES_SAMPLER`, as the specification of OpenTelemetry names them. */
const samplerNames = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const

export interface TracingConfig {
  readonly sampler: (typeof samplerNames)[number]
  /** `OTEL_TRACES_SAMPLER_ARG`, from 0 to 1; for the samplers by ratio. */
  readonly ratio: number
}

const connectionStrings = {
  postgres: {
    scheme: /^postgres(?:ql)?:\/\//,
    example: 'postgresql://USER:PASSWORD@HOST/DATABASE',
  },
  redis: { scheme: /^rediss?:\/\//, example: 'redis://HOST:6379' },
} as const
const free = ['REKEY_CREDENTIAL_', 'REKEY_TEST_']

/** Keys of the installation: in no backup. */
export const keyFiles = ({ kekFile, dataDir }: Pick<Config, 'kekFile' | 'dataDir'>) => ({
  kekFile,
  pepperFile: join(dataDir, 'pepper'),
})

export class ConfigError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(
      `the configuration has ${problems.length} problem${problems.length === 1 ? '' : 's'}:\n${problems.map((line) => `  ${line}`).join('\n')}`,
    )
    this.name = 'ConfigError'
    this.problems = problems
  }
}

export const loadConfig = (env: Env = process.env): Config => {
  const problems: string[] = unknownNames(env)
  const read = (name: Variable): string | null => {
    const direct = env[name] === '' ? undefined : env[name]
    const file =
      isSecretVariable(name) && env[`${name}_FILE`] !== '' ? env[`${name}_FILE`] : undefined
    if (direct !== undefined || file === undefined) return direct ?? null
    try {
      return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
    } catch {
      problems.push(`${name}_FILE: cannot read ${file}`)
      return null
    }
  }
  const integer = (name: Variable, otherwise: number, min: number, max: number): number => {
    const text = read(name)
    if (text === null) return otherwise
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    problems.push(`${name}: "${text}" is not a whole number from ${min} to ${max}`)
    return otherwise
  }
  const flag = (name: Variable, otherwise: boolean): boolean => {
    const text = read(name)
    if (text === null) return otherwise
    if (text === 'on' || text === 'off') return text === 'on'
    problems.push(`${name}: "${text}" is neither on nor off`)
    return otherwise
  }
  const duration = (name: Variable, otherwise: number, least: number): number => {
    const text = read(name)
    if (text === null) return otherwise
    const ms = isDuration(text) ? parseDuration(text) : null
    if (ms === 0 || (ms !== null && ms >= least)) return ms
    problems.push(
      ms === null
        ? `${name}: "${text}" is not a duration such as 30m, 1h or 0s`
        : `${name}: "${text}" is shorter than ${formatDuration(least)}; 0s: never`,
    )
    return otherwise
  }
  /** Not the text itself in the problem: it holds a password. */
  const connection = (name: Variable, kind: keyof typeof connectionStrings): Secret | null => {
    const text = read(name)
    if (text === null) return null
    const { scheme, example } = connectionStrings[kind]
    if (!scheme.test(text) || !URL.canParse(text))
      problems.push(`${name}: it is no connection string such as ${example}`)
    return new Secret(text)
  }
  const list = (name: Variable): readonly string[] =>
    (read(name) ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')

  const egressAllow = list('REKEY_EGRESS_ALLOW')
  for (const entry of egressAllow) {
    const fault = allowFault(entry)
    if (fault !== null) problems.push(`REKEY_EGRESS_ALLOW: "${entry}" ${fault}`)
  }

  const pkcs11Modules = list('REKEY_PKCS11_MODULES')
  for (const path of pkcs11Modules)
    if (!isAbsolute(path)) problems.push(`REKEY_PKCS11_MODULES: "${path}" is no absolute path`)
  const pkcs11Env = list('REKEY_PKCS11_ENV')
  for (const name of pkcs11Env)
    if (/^(?:REKEY|NODE)_/.test(name))
      problems.push(`REKEY_PKCS11_ENV: ${name} is not for a library`)

  const dataDir = resolve(read('REKEY_DATA_DIR') ?? '.rekey')
  const level = read('REKEY_LOG_LEVEL') ?? 'info'
  const logLevel = logLevels.find((known) => known === level)
  if (!logLevel) problems.push(`REKEY_LOG_LEVEL: "${level}" is none of ${logLevels.join(', ')}`)
  const [cert, key] = [read('REKEY_TLS_CERT'), read('REKEY_TLS_KEY')]
  if ((cert === null) !== (key === null))
    problems.push('REKEY_TLS_CERT and REKEY_TLS_KEY are needed together')

  const config: Config = {
    host: read('REKEY_HOST') ?? '127.0.0.1',
    port: integer('REKEY_PORT', 7400, 0, 65_535),
    metrics: {
      host: read('REKEY_METRICS_HOST') ?? '127.0.0.1',
      port: integer('REKEY_METRICS_PORT', 7401, 0, 65_535),
      asked: read('REKEY_METRICS_PORT') !== null,
    },
    dataDir,
    databaseUrl: connection('REKEY_DATABASE_URL', 'postgres'),
    migrationDatabaseUrl: connection('REKEY_MIGRATION_DATABASE_URL', 'postgres'),
    redisUrl: connection('REKEY_REDIS_URL', 'redis'),
    kekFile: resolve(read('REKEY_KEK_FILE') ?? join(dataDir, 'kek')),
    writerKeyFile: resolve(read('REKEY_WRITER_KEY_FILE') ?? join(dataDir, 'writer-key')),
    credentialsDir: read('REKEY_CREDENTIALS_DIR'),
    defaultCredentials: flag('REKEY_DEFAULT_CREDENTIALS', false),
    publishDir: read('REKEY_PUBLISH_DIR'),
    pkcs11Modules,
    pkcs11Env,
    providerModules: list('REKEY_PROVIDERS'),
    egressAllow,
    tls: cert !== null && key !== null ? { cert, key } : null,
    trustedProxy: read('REKEY_TRUSTED_PROXY'),
    publicUrl: publicUrlOf(read('REKEY_PUBLIC_URL'), problems),
    rateLimit: integer('REKEY_RATE_LIMIT', 600, 1, 1_000_000),
    samples: flag('REKEY_SAMPLES', true),
    reconcileEveryMs: duration('REKEY_RECONCILE_EVERY', 3_600_000, 60_000),
    logLevel: logLevel ?? 'info',
    tracing: tracingOf(env, problems),
    ...credentialsOf(env),
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.freeze(config)
}

export interface CommandTracing {
  /** `TRACEPARENT`, as it is. */
  readonly inherited: string | null
  readonly tracing: TracingConfig | null
}

/** For a command of the command line: variables that others are meant by do not keep it from running. */
export const loadCommandTracing = (env: Env = process.env): CommandTracing => {
  const problems: string[] = []
  const tracing = tracingOf(env, problems)
  return { inherited: env['TRACEPARENT'] ?? null, tracing: problems.length === 0 ? tracing : null }
}

/** The standard variables of OpenTelemetry: what decides whether and how spans are made. The rest it reads by itself. */
const tracingOf = (env: Env, problems: string[]): TracingConfig | null => {
  const read = (name: string): string | null => {
    const text = env[name]?.trim()
    return text === undefined || text === '' ? null : text
  }
  const endpoint = (['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'] as const)
    .map((name) => ({ name, text: read(name) }))
    .find(({ text }) => text !== null)
  const exporter = read('OTEL_TRACES_EXPORTER') ?? 'otlp'
  if (endpoint === undefined || exporter === 'none') return null
  if (read('OTEL_SDK_DISABLED')?.toLowerCase() === 'true') return null
  if (exporter !== 'otlp')
    problems.push(`OTEL_TRACES_EXPORTER: "${exporter}" is neither otlp nor none`)
  // Not the text itself: an address may carry a password.
  if (!/^https?:$/.test(URL.parse(endpoint.text ?? '')?.protocol ?? ''))
    problems.push(`${endpoint.name}: it is no http or https address`)
  const protocol = read('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL') ?? read('OTEL_EXPORTER_OTLP_PROTOCOL')
  if (protocol !== null && protocol !== 'http/protobuf')
    problems.push(`OTEL_EXPORTER_OTLP_PROTOCOL: "${protocol}" is not spoken, http/protobuf is`)
  const wanted = read('OTEL_TRACES_SAMPLER') ?? 'parentbased_always_on'
  const sampler = samplerNames.find((name) => name === wanted)
  if (sampler === undefined)
    problems.push(`OTEL_TRACES_SAMPLER: "${wanted}" is none of ${samplerNames.join(', ')}`)
  const ratio = Number(read('OTEL_TRACES_SAMPLER_ARG') ?? '1')
  if (!(ratio >= 0 && ratio <= 1))
    problems.push('OTEL_TRACES_SAMPLER_ARG: it is no number from 0 to 1')
  return { sampler: sampler ?? 'parentbased_always_on', ratio }
}

const publicUrlOf = (text: string | null, problems: string[]): string | null => {
  if (text === null) return null
  const url = URL.parse(text)
  const secure = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url))
  if (url !== null && secure && text.replace(/\/$/, '') === url.origin) return url.origin
  problems.push(`REKEY_PUBLIC_URL: it is no https://host without a path, in lower case`)
  return null
}

export const isLoopback = ({ hostname }: URL): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)

const credentialsOf = (env: Env): Pick<Config, 'credentials' | 'credentialHosts'> => {
  const credentials: Record<string, Secret> = {}
  const credentialHosts: Record<string, readonly string[]> = {}
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('REKEY_CREDENTIAL_') || value === undefined || value === '') continue
    if (name.endsWith('_HOSTS')) {
      credentialHosts[name.slice(0, -'_HOSTS'.length)] = value.split(',').map((host) => host.trim())
    } else {
      credentials[name] = new Secret(value)
    }
  }
  return { credentials, credentialHosts }
}

const unknownNames = (env: Env): string[] =>
  Object.keys(env)
    .filter(
      (name) =>
        name.startsWith('REKEY_') &&
        name !== 'REKEY_PEERS' &&
        !free.some((prefix) => name.startsWith(prefix)),
    )
    .filter((name) => {
      const plain =
        name.endsWith('_FILE') && isSecretVariable(name.slice(0, -5)) ? name.slice(0, -5) : name
      return !variableNames.some((known) => known === plain)
    })
    .map((name) => {
      const near = suggest(name, variableNames)
      return `${name}: there is no such variable${near ? `; did you mean ${near}?` : ''}`
    })

/** What a token's library gets of the environment: what any program needs, where the libraries that are known find their own
 *  configuration, and what `REKEY_PKCS11_ENV` names. */
export const libraryEnvironment = (
  more: readonly string[] = [],
  env: Env = process.env,
): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value !== undefined && (libraryNames.has(name) || more.includes(name)) ? [[name, value]] : [],
    ),
  )
const libraryNames: ReadonlySet<string> = new Set([
  ...['HOME', 'LANG', 'LC_ALL', 'LC_CTYPE', 'LD_LIBRARY_PATH', 'PATH', 'TMPDIR', 'TZ', 'USER'],
  // Windows
  ...['APPDATA', 'LOCALAPPDATA', 'ProgramData', 'ProgramFiles', 'SystemDrive', 'SystemRoot'],
  ...['TEMP', 'TMP', 'USERPROFILE', 'windir'],
  // SoftHSM, Kryoptic, OpenSC, TPM 2.0, pkcs11-proxy
  ...['SOFTHSM2_CONF', 'KRYOPTIC_CONF', 'OPENSC_CONF', 'TPM2_PKCS11_STORE', 'TPM2_PKCS11_TCTI'],
  ...['PKCS11_PROXY_SOCKET', 'PKCS11_PROXY_TLS_PSK_FILE'],
  // Thales Luna, Entrust nShield, Utimaco, YubiHSM, Google Cloud KMS
  ...['ChrystokiConfigurationPath', 'NFAST_HOME', 'NFAST_KMDATA', 'CKNFAST_LOADSHARING'],
  ...['CS_PKCS11_R2_CFG', 'CS_PKCS11_R3_CFG', 'YUBIHSM_PKCS11_CONF', 'KMS_PKCS11_CONFIG'],
])
