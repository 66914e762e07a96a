// What every route of Key Vault's REST API (2025-07-01) has in common: errors, identifiers, attributes, pages.

import type { Json, JsonObject } from '#domain/json.ts'

export const apiVersion = '2025-07-01'

export interface Reply {
  readonly status: number
  readonly body?: JsonObject
  readonly headers?: Readonly<Record<string, string>>
}

export class Refused extends Error {
  readonly status: number
  readonly code: string
  readonly inner: string | null
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    code: string,
    message: string,
    more: { readonly inner?: string; readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message)
    this.status = status
    this.code = code
    this.inner = more.inner ?? null
    this.headers = more.headers ?? {}
  }

  get reply(): Reply {
    const { status, code, message, inner, headers } = this
    const innererror = inner === null ? {} : { innererror: { code: inner } }
    return { status, headers, body: { error: { code, message, ...innererror } } }
  }
}

export const badParameter = (message: string): Refused => new Refused(400, 'BadParameter', message)

export interface Asked {
  readonly method: string
  /** Without the first slash, decoded. */
  readonly path: readonly string[]
  readonly query: URLSearchParams
  readonly body: JsonObject
  /** `http://127.0.0.1:port`, as the client named it. */
  readonly base: string
}

export interface Attributes {
  enabled: boolean
  nbf?: number
  exp?: number
  created: number
  updated: number
}

export const seconds = (): number => Math.floor(Date.now() / 1000)

export const attributesOf = (at: Attributes): JsonObject => ({
  ...at,
  recoveryLevel: 'Recoverable+Purgeable',
  recoverableDays: 90,
})

/** Fields beyond these are refused: a client that sends what the API does not know means something that does not happen. */
export const only = (body: JsonObject, ...names: readonly string[]): void => {
  const unknown = Object.keys(body).find((name) => !names.includes(name))
  if (unknown !== undefined) throw badParameter(`Property ${unknown} is not known`)
}

export const setAttributes = (at: Attributes, given: Json | undefined): void => {
  const attributes = objectIn(given)
  only(attributes, 'enabled', 'nbf', 'exp', 'exportable')
  if (typeof attributes['enabled'] === 'boolean') at.enabled = attributes['enabled']
  if (typeof attributes['nbf'] === 'number') at.nbf = attributes['nbf']
  if (typeof attributes['exp'] === 'number') at.exp = attributes['exp']
  at.updated = seconds()
}

export const newAttributes = (given: Json | undefined): Attributes => {
  const at: Attributes = { enabled: true, created: seconds(), updated: seconds() }
  setAttributes(at, given)
  return at
}

export const tagsIn = (given: Json | undefined): Readonly<Record<string, string>> => {
  const tags = objectIn(given) as Readonly<Record<string, string>>
  const entries = Object.entries(tags)
  if (entries.length > 15) throw badParameter('at most 15 tags')
  if (entries.some(([name, value]) => name.length > 256 || value.length > 256))
    throw badParameter('a tag has at most 256 characters')
  return tags
}

export const objectIn = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {}

/** At most 25 a page; the link leads on from an item, so that what comes and goes meanwhile moves nothing. */
export const pageOf = (
  { path, query, base }: Asked,
  items: readonly { readonly key: string; readonly item: JsonObject }[],
): Reply => {
  const most = Number(query.get('maxresults') ?? 25)
  if (!Number.isInteger(most) || most < 1 || most > 25)
    throw badParameter('maxresults must be between 1 and 25')
  const after = query.get('$skiptoken') ?? ''
  const rest = items.toSorted((a, b) => (a.key < b.key ? -1 : 1)).filter(({ key }) => key > after)
  const page = rest.slice(0, most)
  const last = page.at(-1)
  const nextLink =
    last === undefined || rest.length <= page.length
      ? null
      : `${base}/${path.join('/')}?api-version=${apiVersion}&$skiptoken=${last.key}&maxresults=${most}`
  return { status: 200, body: { value: page.map(({ item }) => item), nextLink } }
}

export const isName = (name: string): boolean => /^[0-9A-Za-z-]{1,127}$/.test(name)
