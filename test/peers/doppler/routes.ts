// The routes, by the document's operationId. What they are given was judged by the document already.

import type { Principal } from './principals.ts'
import type { ConfigRow, TokenRow, Workplace } from './workplace.ts'

export interface Reply {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** What it was about, for the log. */
  readonly subject?: string
}

interface Asked {
  readonly workplace: Workplace
  readonly principal: Principal
  readonly reviewed: ReadonlySet<string>
  readonly query: URLSearchParams
  readonly body: unknown
}

export const refusal = (status: number, ...messages: readonly string[]): Reply => ({
  status,
  body: { messages, success: false },
})

const read = 'enclave_project_config_secrets_read'
const write = 'enclave_project_config_secrets_write'
const tokens = 'enclave_project_config_service_tokens'

type Fields = Readonly<Record<string, unknown>>
const text = (of: unknown): string => (typeof of === 'string' ? of : '')

/** The config that a request is about; what its token does not see is not there. */
const within = (
  { workplace, principal }: Asked,
  { project, config }: { readonly project: unknown; readonly config: unknown },
  permission: string | null,
  go: (at: ConfigRow) => Reply,
): Reply => {
  const at = workplace.find(text(project), text(config))
  if (at === null || !principal.sees(at))
    return refusal(404, `Could not find requested config '${text(config)}'`)
  if (permission !== null && !principal.may(permission, at))
    return refusal(403, 'You do not have permission to perform this action')
  return go(at)
}
const queried = ({ query }: Asked) => ({
  project: query.get('project'),
  config: query.get('config'),
})
const posted = ({ body }: Asked) => body as Fields

const pageOf = <T>({ query }: Asked, rows: readonly T[]): { page: number; rows: readonly T[] } => {
  const page = Number(query.get('page') ?? 1)
  // Twenty is what its document has; how many it gives at most, it does not say: here no more, whoever asks.
  const size = Math.min(Number(query.get('per_page') ?? 20), 20)
  return { page, rows: rows.slice((page - 1) * size, page * size) }
}

const toldConfig = (workplace: Workplace, at: ConfigRow) => ({
  name: at.name,
  root: at.root,
  inheritable: workplace.inheritedBy(at).length > 0,
  inheriting: at.inherits.length > 0,
  inherits: [...at.inherits],
  inheritedBy: workplace.inheritedBy(at),
  locked: at.locked,
  initial_fetch_at: null,
  last_fetch_at: null,
  created_at: at.createdAt,
  environment: at.environment,
  project: at.project,
})

/** Null where nobody fetched yet, by the examples; by the schema a string or nothing. */
const dates = <T extends { initial_fetch_at: null; last_fetch_at: null }>({
  initial_fetch_at: _i,
  last_fetch_at: _l,
  ...rest
}: T) => rest

const toldToken = (at: ConfigRow, row: TokenRow) => ({
  name: row.name,
  slug: row.slug,
  created_at: row.createdAt,
  config: at.name,
  environment: at.environment,
  project: at.project,
  expires_at: row.expiresAt,
  access: row.access,
})

const toldSecret = (workplace: Workplace, at: ConfigRow, name: string) => {
  const row = workplace.shown(at, name)
  if (row === null) return null
  const { raw, visibility } = row
  return {
    raw,
    computed: workplace.computed(at, raw),
    note: '',
    rawVisibility: visibility,
    computedVisibility: visibility,
  }
}

const hidden = { note: '', rawVisibility: 'restricted', computedVisibility: 'restricted' }

interface Change {
  readonly name: string
  readonly originalName?: string | null
  readonly value?: string | null
  readonly originalValue?: string
  readonly shouldDelete?: boolean
}

/** What a change would be refused for. All of a request's changes are made, or none. */
const faultOf = (at: ConfigRow, workplace: Workplace, change: Change): Reply | null => {
  const { name, originalName = null, originalValue } = change
  if (!/^[A-Z_][A-Z0-9_]*$/.test(name)) return refusal(400, 'Secret names must be upper case')
  const held = workplace.shown(at, originalName ?? name)
  if (originalName === null && held !== null && change.shouldDelete !== true)
    return refusal(409, `The secret ${name} exists already`)
  if (originalName !== null && held === null)
    return refusal(409, `There is no secret ${originalName}`)
  if (originalValue !== undefined && originalValue !== held?.raw)
    return refusal(409, 'The originalValue is not what was found')
  return null
}

const update = (asked: Asked): Reply => {
  const { workplace, reviewed } = asked
  const body = posted(asked)
  return within(asked, { project: body['project'], config: body['config'] }, write, (at) => {
    const plain = body['secrets'] as Readonly<Record<string, string | null>> | undefined
    const listed = body['change_requests'] as readonly Change[] | undefined
    if ((plain === undefined) === (listed === undefined))
      return refusal(400, 'Either secrets or change_requests is required')
    if (reviewed.has(`${at.project}/${at.name}`))
      return refusal(400, 'This config is protected by a change request policy')
    const changes: readonly Change[] =
      listed ??
      Object.entries(plain ?? {}).map(([name, value]) => ({
        name,
        originalName: workplace.shown(at, name) === null ? null : name,
        value,
        shouldDelete: value === null,
      }))
    for (const change of changes) {
      const fault = faultOf(at, workplace, change)
      if (fault !== null) return fault
    }
    for (const { name, originalName, value, shouldDelete } of changes) {
      if (shouldDelete === true) at.secrets.delete(name)
      else {
        const was = at.secrets.get(originalName ?? name)
        if (originalName !== null && originalName !== undefined && originalName !== name)
          at.secrets.delete(originalName)
        at.secrets.set(name, {
          raw: value ?? was?.raw ?? '',
          visibility: was?.visibility ?? 'masked',
        })
      }
    }
    const secrets = Object.fromEntries(
      workplace.names(at).map((name) => [name, toldSecret(workplace, at, name)]),
    )
    const subject = `${at.project}/${at.name}/${changes[0]?.name ?? ''}`
    return { status: 200, body: { secrets }, subject }
  })
}

export const routes: Readonly<Record<string, (asked: Asked) => Reply>> = {
  'auth-me': ({ principal }) => ({
    status: 200,
    body: {
      slug: principal.slug,
      name: principal.name,
      created_at: principal.createdAt,
      last_seen_at: new Date().toISOString(),
      type: principal.type,
      token_preview: principal.preview,
      workplace: { slug: '2faa85f6610102d983522', name: 'Rekey' },
    },
  }),
  'projects-list': (asked) => {
    const { workplace, principal } = asked
    const seen = workplace.projects.filter(
      ({ slug }) =>
        !workplace.configs.some((one) => one.project === slug) ||
        workplace.configs.some((one) => one.project === slug && principal.sees(one)),
    )
    const { page, rows } = pageOf(asked, seen)
    const projects = rows.map(({ id, slug, name, createdAt }) => ({
      id,
      slug,
      name,
      description: '',
      created_at: createdAt,
    }))
    return { status: 200, body: { page, projects } }
  },
  'configs-list': (asked) => {
    const { workplace, principal, query } = asked
    const environment = query.get('environment')
    const found = workplace.configs.filter(
      (one) =>
        one.project === query.get('project') &&
        (environment === null || one.environment === environment) &&
        principal.sees(one),
    )
    const { page, rows } = pageOf(asked, found)
    return {
      status: 200,
      body: { page, configs: rows.map((one) => dates(toldConfig(workplace, one))) },
    }
  },
  'configs-get': (asked) =>
    within(asked, queried(asked), null, (at) => ({
      status: 200,
      body: { config: dates(toldConfig(asked.workplace, at)) },
    })),
  'secrets-get': (asked) =>
    within(asked, queried(asked), read, (at) => {
      const name = asked.query.get('name') ?? ''
      const value = toldSecret(asked.workplace, at, name)
      if (value === null) return refusal(404, `Could not find requested secret: ${name}`)
      const isHidden = value.rawVisibility === 'restricted' && asked.principal.bound === null
      return { status: 200, body: { name, value: isHidden ? hidden : value } }
    }),
  'secrets-names': (asked) =>
    within(asked, queried(asked), read, (at) => ({
      status: 200,
      body: { names: asked.workplace.names(at) },
    })),
  'secrets-update': update,
  'service_tokens-list': (asked) =>
    within(asked, queried(asked), tokens, (at) => ({
      status: 200,
      body: { tokens: at.tokens.map((row) => toldToken(at, row)) },
    })),
  'service_tokens-create': (asked) => {
    const body = posted(asked)
    return within(asked, { project: body['project'], config: body['config'] }, tokens, (at) => {
      const expires = body['expire_at']
      const row = asked.workplace.token(
        at,
        text(body['name']),
        text(body['access']) || 'read',
        typeof expires === 'string' ? expires : null,
      )
      return {
        status: 200,
        body: { token: { ...toldToken(at, row), key: row.key } },
        subject: `${at.project}/${at.name}`,
      }
    })
  },
  'service_tokens-delete': (asked) => {
    const body = posted(asked)
    return within(asked, { project: body['project'], config: body['config'] }, tokens, (at) => {
      const found = at.tokens.findIndex(
        ({ slug, key }) => slug === body['slug'] || key === body['token'],
      )
      if (found < 0) return refusal(404, 'Could not find requested service token')
      at.tokens.splice(found, 1)
      return { status: 200, body: { success: true }, subject: `${at.project}/${at.name}` }
    })
  },
}
