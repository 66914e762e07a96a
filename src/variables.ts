// Every variable that Rekey reads, for config.ts, which refuses others, and for the reference page, which is drawn from here.

export interface VariableRow {
  /** Of which processes: those that serve, the command, or both. */
  readonly of: 'server' | 'command' | 'both'
  readonly about: string
  /** What holds where it is not said; empty: nothing does. */
  readonly otherwise: string
  /** It has a twin that ends in `_FILE`. */
  readonly secret?: true
}

export const variables = {
  REKEY_HOST: {
    of: 'server',
    otherwise: '127.0.0.1',
    about: 'the address that the API listens on; beyond loopback only with TLS or a trusted proxy',
  },
  REKEY_PORT: {
    of: 'server',
    otherwise: '7400',
    about: 'the port of the API; 0: any free one',
  },
  REKEY_METRICS_HOST: {
    of: 'server',
    otherwise: '127.0.0.1',
    about: 'the address of `/metrics`, `/livez` and `/readyz` for Prometheus and orchestrators',
  },
  REKEY_METRICS_PORT: {
    of: 'server',
    otherwise: '7401',
    about: 'their port; 0: any free one. Where the default is taken the process starts without',
  },
  REKEY_DATA_DIR: {
    of: 'both',
    otherwise: '.rekey',
    about:
      'keys of the installation, and the PostgreSQL of `rekey up`; the command reads its admin key and finds its server there',
  },
  REKEY_DATABASE_URL: {
    of: 'server',
    otherwise: '`rekey up` brings a PostgreSQL of its own',
    secret: true,
    about: 'connection string of the role that serves',
  },
  REKEY_MIGRATION_DATABASE_URL: {
    of: 'server',
    otherwise: '',
    secret: true,
    about: 'connection string of the role that migrates, or of a superuser; for `rekey migrate`',
  },
  REKEY_REDIS_URL: {
    of: 'server',
    otherwise: 'the bell rings through PostgreSQL',
    secret: true,
    about: 'a Redis for the queue; without it, or while it is away, work begins a second later',
  },
  REKEY_KEK_FILE: {
    of: 'server',
    otherwise: '`<data>/kek`',
    about: 'the key-encryption keys, a line each',
  },
  REKEY_WRITER_KEY_FILE: {
    of: 'server',
    otherwise: '`<data>/writer-key`',
    about: 'the key that signs audit records',
  },
  REKEY_CREDENTIALS_DIR: {
    of: 'server',
    otherwise: 'none: no credential comes from a file',
    about: 'the directory below which `from: file` of a connection may name files',
  },
  REKEY_DEFAULT_CREDENTIALS: {
    of: 'server',
    otherwise: 'off',
    about: 'on: `from: default`, the identity of the host, may be used by connections',
  },
  REKEY_PUBLISH_DIR: {
    of: 'server',
    otherwise: 'none: nothing is published to files',
    about: 'the directory below which `publish` of type `file` writes',
  },
  REKEY_PKCS11_MODULES: {
    of: 'server',
    otherwise: 'none is loaded',
    about: 'absolute paths of PKCS#11 libraries that may be loaded, with commas',
  },
  REKEY_PKCS11_ENV: {
    of: 'server',
    otherwise: '',
    about: 'names of further variables that such a library gets, with commas',
  },
  REKEY_PROVIDERS: {
    of: 'server',
    otherwise: '',
    about: 'modules of providers from outside, with commas',
  },
  REKEY_EGRESS_ALLOW: {
    of: 'server',
    otherwise: 'public addresses only',
    about:
      'private addresses, networks and host names that webhooks and issuers may be at, with commas: `10.0.0.0/8, sink.example.com, *.corp.example`',
  },
  REKEY_TLS_CERT: {
    of: 'server',
    otherwise: '',
    about: 'a certificate in PEM: Rekey ends TLS by itself',
  },
  REKEY_TLS_KEY: {
    of: 'server',
    otherwise: '',
    about: 'its private key',
  },
  REKEY_TRUSTED_PROXY: {
    of: 'server',
    otherwise: '',
    about: 'addresses or networks of the proxy that ends TLS, with commas',
  },
  REKEY_PUBLIC_URL: {
    of: 'server',
    otherwise: 'the address that it listens on, on loopback',
    about: 'by what address browsers know Rekey: `https://rekey.example.com`',
  },
  REKEY_RATE_LIMIT: {
    of: 'server',
    otherwise: '600',
    about: 'requests a minute of one principal; incidents are counted apart',
  },
  REKEY_RECONCILE_EVERY: {
    of: 'server',
    otherwise: '1h',
    about: 'how often each key is compared with its provider; at least 1m, 0s: never',
  },
  REKEY_SAMPLES: {
    of: 'server',
    otherwise: 'on',
    about: 'off: the first start of `rekey up` applies no samples of `policies/`',
  },
  REKEY_LOG_LEVEL: {
    of: 'server',
    otherwise: 'info',
    about: 'debug, info, warn, error or silent',
  },
  REKEY_URL: {
    of: 'command',
    otherwise: 'http://127.0.0.1:7400, or where `REKEY_DATA_DIR` says that one runs',
    about: 'the server',
  },
  REKEY_TOKEN: {
    of: 'command',
    otherwise: 'that of `rekey login`, else the admin key of `REKEY_DATA_DIR` on loopback',
    secret: true,
    about: 'the token',
  },
} as const satisfies Readonly<Record<string, VariableRow>>

export type Variable = keyof typeof variables
export const variableNames = Object.keys(variables) as readonly Variable[]

/** What has a twin that ends in `_FILE`. */
export const isSecretVariable = (name: string): boolean => {
  const row: VariableRow | undefined = name in variables ? variables[name as Variable] : undefined
  return row?.secret === true
}
