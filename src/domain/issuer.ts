// Issuers of JWTs that Rekey believes, and what their claims are worth here.
//
// A rule holds where all that it names is in the claims: `match` maps a claim (its name, or a JSON Pointer into it, such as
// `/kubernetes.io/namespace`) to texts of which one must be met, by the claim or by an item of it. The first rule that holds
// says scope, binding and name; later ones that say the same scope and binding add their roles.

import { Type, type Static } from 'typebox'
import { type Actor, roles } from './actor.ts'
import type { ErrorPlace } from './errors.ts'
import { globMatches } from './glob.ts'
import { pointerOf, segmentsOf } from './issue.ts'
import { type Json, type JsonObject, sameJson } from './json.ts'
import { type DeepReadonly, nameSchema, oneLinePattern } from './names.ts'
import { scopeSchema } from './scope-schema.ts'

const strict = { additionalProperties: false } as const
const optional = Type.Optional

const textSchema = Type.String({
  minLength: 1,
  maxLength: 300,
  pattern: oneLinePattern,
  description: 'a text, in which * stands for any text and ? for one character',
})
const textOf = (maxLength: number) => Type.String({ minLength: 1, maxLength })
const claimPattern = oneLinePattern.replace('*$', '{1,200}$')

export const ruleSchema = Type.Object(
  {
    match: Type.Record(
      Type.String({ pattern: claimPattern }),
      Type.Union([
        textSchema,
        Type.Boolean(),
        Type.Array(textSchema, { minItems: 1, maxItems: 50, uniqueItems: true }),
      ]),
      {
        ...strict,
        minProperties: 1,
        maxProperties: 20,
        description:
          'by claim, or by JSON Pointer into one: the text, or one of the texts, that it must meet; all of them must',
      },
    ),
    roles: Type.Array(Type.Enum([...roles]), { minItems: 1, uniqueItems: true }),
    scope: optional(scopeSchema),
    consumer: optional(nameSchema),
    keys: optional(Type.Array(nameSchema, { minItems: 1, maxItems: 1000, uniqueItems: true })),
    name: optional(
      Type.String({
        pattern: claimPattern,
        default: 'sub',
        description: 'the claim that names who acts in the audit log',
      }),
    ),
    type: optional(Type.Enum(['user', 'service'], { default: 'user' })),
    everybody: optional(
      Type.Literal(true, {
        description: 'asked for where `match` shuts out nobody, or gives `admin` by patterns alone',
      }),
    ),
  },
  strict,
)

const loginSchema = Type.Object(
  {
    name: Type.With(nameSchema, {
      description: 'of the login in its addresses: GET /v1/login/{name}, and its callback below it',
    }),
    clientId: Type.String({
      minLength: 1,
      maxLength: 300,
      pattern: oneLinePattern,
      description: 'the client that the issuer knows Rekey by',
    }),
    clientSecret: optional(
      Type.Union(
        [
          Type.Object({ from: Type.Literal('env'), name: textOf(100) }, strict),
          Type.Object({ from: Type.Literal('file'), path: textOf(1000) }, strict),
        ],
        { description: 'where it comes from, as for connections; without one, PKCE alone' },
      ),
    ),
    scopes: optional(
      Type.Array(Type.String({ pattern: '^[\\x21\\x23-\\x5b\\x5d-\\x7e]{1,200}$' }), {
        maxItems: 20,
        uniqueItems: true,
        description: 'asked for beside openid, such as profile, email, groups',
      }),
    ),
  },
  { ...strict, description: 'lets people log in with a browser; tokens do without it' },
)

export const issuerSchema = Type.Object(
  {
    issuer: Type.String({
      maxLength: 500,
      pattern: '^https?://[^\\s?#]+$',
      description: 'exactly as `iss` has it',
    }),
    audience: Type.String({
      minLength: 1,
      maxLength: 300,
      pattern: oneLinePattern,
      description: 'who the tokens must be for: a name of this installation, and of nothing else',
    }),
    claims: Type.Array(ruleSchema, { minItems: 1, maxItems: 100 }),
    login: optional(loginSchema),
  },
  strict,
)

export type Issuer = DeepReadonly<Static<typeof issuerSchema>>
type Rule = Issuer['claims'][number]

/** The list, as a whole. */
export interface Issuers {
  readonly items: readonly Issuer[]
  readonly revision: number
  readonly setBy: string | null
  readonly updatedAt: Date
}

/** A token whose signature, issuer, audience and times hold. */
export interface VerifiedToken {
  readonly subject: string
  readonly claims: JsonObject
  readonly expiresAt: Date
}

/** Null where no rule holds. No issuer has a # in it, so that no two principals have one id. */
export const actorOfToken = (issuer: Issuer, token: VerifiedToken): Actor | null => {
  const holding = issuer.claims.filter((rule) => holds(rule, token.claims))
  const [first] = holding
  if (first === undefined) return null
  const given = holding.filter((rule) => sameJson(boundsOf(rule), boundsOf(first)))
  const { scope = null, consumer = null, keys = null } = first
  return {
    type: first.type ?? 'user',
    id: `${issuer.issuer}#${token.subject}`,
    name: nameOf(first, token),
    roles: roles.filter((role) => given.some((rule) => rule.roles.includes(role))),
    scope,
    consumer,
    keys,
    expiresAt: token.expiresAt,
  }
}

/** The rules that may hold for a principal of whose claims no more is known than the subject: none once the issuer, or what gave
 *  them their roles, is taken out of the list. Null: it is no principal of an issuer. */
export const rulesFor = (issuers: readonly Issuer[], principal: string): readonly Rule[] | null => {
  const at = principal.indexOf('#')
  if (at === -1) return null
  const [issuer, subject] = [principal.slice(0, at), principal.slice(at + 1)]
  const rules = issuers.find((one) => one.issuer === issuer)?.claims ?? []
  return rules.filter(({ match }) => {
    const wanted = match['sub'] ?? match['/sub']
    return wanted === undefined || holds({ match: { sub: wanted } }, { sub: subject })
  })
}

const boundsOf = ({ scope, consumer, keys }: Rule) => ({ scope, consumer, keys })

const holds = ({ match }: Pick<Rule, 'match'>, claims: JsonObject): boolean =>
  Object.entries(match).every(([claim, wanted]) => {
    const found = claimOf(claims, claim)
    if (typeof wanted === 'boolean') return found === wanted
    const texts = textsOf(found)
    return textsWanted(wanted).some((glob) => texts.some((text) => globMatches(glob, text)))
  })

const textsWanted = (wanted: Exclude<Rule['match'][string], boolean>): readonly string[] =>
  typeof wanted === 'string' ? [wanted] : wanted

const claimOf = (claims: JsonObject, claim: string): Json => {
  const path = claim.startsWith('/') ? segmentsOf(claim) : [claim]
  return path.reduce<Json>(
    (at, name) => (isObject(at) && Object.hasOwn(at, name) ? (at[name] ?? null) : null),
    claims,
  )
}

const isObject = (value: Json): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const textsOf = (value: Json): readonly string[] =>
  (Array.isArray(value) ? (value as readonly Json[]) : [value]).flatMap((item) =>
    typeof item === 'string' || typeof item === 'number' ? [String(item)] : [],
  )

const longestName = 200
const oneLine = new RegExp(oneLinePattern)

/** What an issuer lets people write into a claim must not hide or reorder what the log says. */
const nameOf = (rule: Rule, { claims, subject }: VerifiedToken): string => {
  const [told] = textsOf(claimOf(claims, rule.name ?? 'sub'))
  return told !== undefined &&
    told !== '' &&
    told.length <= longestName &&
    told.isWellFormed() &&
    oneLine.test(told)
    ? told
    : subject
}

/** Claims that every token of the issuer has alike, or no two: they are looked at before any rule is. */
const judged: ReadonlySet<string> = new Set(['iss', 'aud', 'exp', 'nbf', 'iat', 'jti'])

/** What is wrong with a list beyond its shape. */
export const issuerFaults = (items: readonly Issuer[]): readonly ErrorPlace[] =>
  items.flatMap(({ issuer, claims, login }, i) => [
    ...(items.findIndex((other) => other.issuer === issuer) < i
      ? [{ pointer: pointerOf(['items', i, 'issuer']), detail: 'the issuer is named twice' }]
      : []),
    ...(login && items.findIndex((other) => other.login?.name === login.name) < i
      ? [{ pointer: pointerOf(['items', i, 'login', 'name']), detail: 'the name is taken' }]
      : []),
    ...claims.flatMap((rule, n) => ruleFaults(rule, ['items', i, 'claims', n])),
  ])

const ruleFaults = (rule: Rule, at: readonly (string | number)[]): readonly ErrorPlace[] => {
  const fault = (where: readonly string[], detail: string): ErrorPlace => ({
    pointer: pointerOf([...at, ...where]),
    detail,
  })
  const isConsumer = rule.roles.includes('consumer')
  const bound = rule.consumer !== undefined || rule.keys !== undefined
  return [
    ...Object.keys(rule.match)
      .filter((claim) => judged.has(claim))
      .map((claim) => fault(['match', claim], 'tells nobody apart: it is checked of every token')),
    ...(isConsumer && !bound
      ? [fault(['consumer'], 'the role consumer is bound to a consumer or to keys')]
      : []),
    ...(!isConsumer && bound
      ? [fault(['roles'], 'consumer and keys bind the role consumer, which is not among the roles')]
      : []),
    ...openFaults(rule).map((detail) => fault(['match'], detail)),
  ]
}

const openFaults = (rule: Rule): readonly string[] => {
  if (rule.everybody) return []
  const wanted = Object.values(rule.match).flatMap((texts) =>
    typeof texts === 'boolean' ? [] : [textsWanted(texts)],
  )
  if (!wanted.some((texts) => texts.every((text) => /[\p{L}\p{N}]/u.test(text))))
    return ['lets in whoever the issuer knows: name somebody, or say everybody: true']
  if (rule.roles.includes('admin') && !wanted.some((texts) => texts.every(isExact)))
    return ['gives admin by patterns: name a claim without * and ?, or say everybody: true']
  return []
}

const isExact = (text: string): boolean => !/[*?]/.test(text)
