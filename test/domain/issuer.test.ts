// Who a token of an issuer is here, and which lists of issuers are refused because they would let in too many.

import fc from 'fast-check'
import { Check } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { roles } from '#domain/actor.ts'
import {
  actorOfToken,
  type Issuer,
  issuerFaults,
  issuerSchema,
  rulesFor,
  type VerifiedToken,
} from '#domain/issuer.ts'
import type { Json, JsonObject } from '#domain/json.ts'
import { at } from './key-facts.ts'

type Rule = Issuer['claims'][number]

const url = 'https://id.example.com'
const issuerOf = (...claims: readonly Rule[]): Issuer => ({
  issuer: url,
  audience: 'rekey',
  claims,
})
const ruleOf = (match: Rule['match'], more: Partial<Rule> = {}): Rule => ({
  match,
  roles: ['viewer'],
  ...more,
})
const tokenOf = (claims: JsonObject, subject = 'ada'): VerifiedToken => ({
  subject,
  claims: { sub: subject, ...claims },
  expiresAt: at(600),
})
const actorBy = (rules: readonly Rule[], claims: JsonObject) =>
  actorOfToken(issuerOf(...rules), tokenOf(claims))

describe('a rule holds', () => {
  const holds: readonly (readonly [what: string, match: Rule['match'], claims: JsonObject])[] = [
    ['for the text that it names', { team: 'a' }, { team: 'a' }],
    ['for one of the texts', { team: ['a', 'b'] }, { team: 'b' }],
    ['for an item of a list', { groups: 'ops' }, { groups: ['dev', 'ops'] }],
    [
      'for one of the texts and an item of a list',
      { groups: ['x', 'ops'] },
      { groups: ['dev', 'ops'] },
    ],
    ['for a pattern', { repository: 'org/*' }, { repository: 'org/app' }],
    ['for a number as text', { uid: '1001' }, { uid: 1001 }],
    ['for a number in a list', { uid: '7' }, { uid: [6, 7] }],
    ['for true', { email_verified: true }, { email_verified: true }],
    ['for false', { admin: false }, { admin: false }],
    [
      'where all that it names is so',
      { team: 'a', email_verified: true },
      { team: 'a', email_verified: true },
    ],
    [
      'deep in a claim',
      { '/kubernetes.io/namespace': 'prod' },
      { 'kubernetes.io': { namespace: 'prod' } },
    ],
    ['by a name with a slash in it, written as a pointer', { '/a~1b': 'x' }, { 'a/b': 'x' }],
    [
      'by a name that is an address',
      { 'https://example.com/team': 'a' },
      { 'https://example.com/team': 'a' },
    ],
  ]
  test.each(holds)('%s', (_what, match, claims) => {
    expect(actorBy([ruleOf(match)], claims)?.roles).toEqual(['viewer'])
  })

  const fails: readonly (readonly [what: string, match: Rule['match'], claims: JsonObject])[] = [
    ['another text', { team: 'a' }, { team: 'b' }],
    ['a text that begins with it', { team: 'a' }, { team: 'ab' }],
    ['a text in capitals', { team: 'a' }, { team: 'A' }],
    ['none of the texts', { team: ['a', 'b'] }, { team: 'c' }],
    ['a claim that is not there', { team: '*' }, {}],
    ['a claim that is null', { team: '*' }, { team: null }],
    ['an empty list', { groups: '*' }, { groups: [] }],
    ['an object', { team: '*' }, { team: { name: 'a' } }],
    ['a list in a list', { groups: 'ops' }, { groups: [['ops']] }],
    ['an object in a list', { groups: '*' }, { groups: [{ name: 'ops' }] }],
    ['true as text', { email_verified: true }, { email_verified: 'true' }],
    ['a truth where a text is asked for', { email_verified: 'true' }, { email_verified: true }],
    ['the other truth', { email_verified: true }, { email_verified: false }],
    ['no word where false is asked for', { admin: false }, {}],
    ['a list of truths', { email_verified: true }, { email_verified: [true] }],
    ['one of two that must be so', { team: 'a', env: 'prod' }, { team: 'a', env: 'test' }],
    ['a claim of that name elsewhere', { '/a/b': 'x' }, { b: 'x', a: { c: 'x' } }],
    ['a pointer read as a name', { '/a/b': 'x' }, { '/a/b': 'x' }],
    ['a name read as a path', { 'a/b': 'x' }, { a: { b: 'x' } }],
    ['a place in a list', { '/groups/0': 'ops' }, { groups: ['ops'] }],
    ['a place in a text', { '/team/length': '1' }, { team: 'a' }],
    ['what every object has', { '/constructor/name': '*' }, {}],
    ['what every object in a claim has', { '/team/constructor/name': '*' }, { team: {} }],
  ]
  test.each(fails)('not for %s', (_what, match, claims) => {
    expect(actorBy([ruleOf(match)], claims)).toBeNull()
  })

  test('not where another one does: a token that no rule knows is nobody', () => {
    expect(actorOfToken(issuerOf(), tokenOf({ team: 'a' }))).toBeNull()
    expect(actorBy([ruleOf({ team: 'b' }), ruleOf({ team: 'a' })], { team: 'a' })).not.toBeNull()
  })
})

describe('who a token is', () => {
  test('what its rule says, and no longer than it lives', () => {
    expect(actorBy([ruleOf({ team: 'a' })], { team: 'a' })).toEqual({
      type: 'user',
      id: `${url}#ada`,
      name: 'ada',
      roles: ['viewer'],
      scope: null,
      consumer: null,
      keys: null,
      expiresAt: at(600),
    })
    const bound = ruleOf(
      { team: 'a' },
      {
        type: 'service',
        roles: ['consumer'],
        scope: { connections: ['c1'] },
        consumer: 'checkout',
        keys: ['orders'],
        name: 'email',
      },
    )
    expect(actorBy([bound], { team: 'a', email: 'ada@example.com' })).toMatchObject({
      type: 'service',
      name: 'ada@example.com',
      roles: ['consumer'],
      scope: { connections: ['c1'] },
      consumer: 'checkout',
      keys: ['orders'],
    })
  })

  test('rules of the same scope and binding add their roles, in the order of all roles', () => {
    const scope = { matchLabels: { a: '1', b: '2' } }
    const sameScope = { matchLabels: { b: '2', a: '1' } }
    const given = actorBy(
      [
        ruleOf({ team: 'a' }, { roles: ['responder', 'viewer'], scope }),
        ruleOf({ team: '*' }, { roles: ['operator', 'viewer'], scope: sameScope }),
        ruleOf({ team: 'b' }, { roles: ['admin'], scope }),
      ],
      { team: 'a' },
    )
    expect(given).toMatchObject({ roles: ['viewer', 'operator', 'responder'], scope })
  })

  test.each<readonly [what: string, first: Partial<Rule>, second: Partial<Rule>]>([
    ['another scope', { scope: { connections: ['c1'] } }, { scope: { connections: ['c2'] } }],
    ['no scope', { scope: { connections: ['c1'] } }, {}],
    ['a scope where the first has none', {}, { scope: { connections: ['c1'] } }],
    ['another consumer', { consumer: 'a' }, { consumer: 'b' }],
    ['other keys', { keys: ['a'] }, { keys: ['a', 'b'] }],
  ])('a rule of %s adds nothing: the first one says the bounds', (_what, first, second) => {
    const given = actorBy(
      [
        ruleOf({ team: 'a' }, { ...first, roles: ['viewer'] }),
        ruleOf({ team: 'a' }, { ...second, roles: ['admin'] }),
      ],
      { team: 'a' },
    )
    expect(given).toMatchObject({
      roles: ['viewer'],
      scope: first.scope ?? null,
      consumer: first.consumer ?? null,
      keys: first.keys ?? null,
    })
  })

  test('a rule has no more than its own: what does not hold gives no role, for any rules and claims', () => {
    const claim = fc.constantFrom('a', 'b')
    const drawnRule = fc.record({
      match: fc.record({ team: claim }),
      roles: fc.subarray([...roles], { minLength: 1 }),
    })
    fc.assert(
      fc.property(fc.array(drawnRule, { maxLength: 4 }), claim, (rules, team) => {
        const given = actorBy(rules, { team })
        const holding = rules.filter(({ match }) => match.team === team)
        expect(given?.roles ?? []).toEqual(
          roles.filter((role) => holding.some((rule) => rule.roles.includes(role))),
        )
        expect(given === null).toBe(holding.length === 0)
      }),
    )
  })

  test('no two issuers and subjects have one id', () => {
    const here = (issuer: string, subject: string) =>
      actorOfToken({ ...issuerOf(ruleOf({ sub: '*' })), issuer }, tokenOf({}, subject))?.id
    expect(here('https://a', 'b#c')).toBe('https://a#b#c')
    expect(Check(issuerSchema, issuerOf(ruleOf({ sub: 'a' })))).toBe(true)
    expect(Check(issuerSchema, { ...issuerOf(ruleOf({ sub: 'a' })), issuer: 'https://a#b' })).toBe(
      false,
    )
  })

  describe('is named in the log', () => {
    const named = (name: string | undefined, claims: JsonObject) =>
      actorBy([ruleOf({ sub: 'ada' }, name === undefined ? {} : { name })], claims)?.name

    test.each<readonly [what: string, name: string | undefined, claims: JsonObject, named: string]>(
      [
        ['by the subject, unless told', undefined, { email: 'a@b.c' }, 'ada'],
        ['by the claim that is said', 'email', { email: 'a@b.c' }, 'a@b.c'],
        ['by a place in a claim', '/user/login', { user: { login: 'countess' } }, 'countess'],
        ['by a number', 'uid', { uid: 1001 }, '1001'],
        ['by the first of a list', 'emails', { emails: ['a@b.c', 'd@e.f'] }, 'a@b.c'],
        ['by as much as 200 characters', 'email', { email: 'x'.repeat(200) }, 'x'.repeat(200)],
        ['by the subject where the claim is longer', 'email', { email: 'x'.repeat(201) }, 'ada'],
        ['by the subject where the claim is not there', 'email', {}, 'ada'],
        ['by the subject where the claim is empty', 'email', { email: '' }, 'ada'],
        ['by the subject where the claim is no text', 'email', { email: true }, 'ada'],
        ['by the subject where the claim has two lines', 'email', { email: 'a\nb' }, 'ada'],
        ['by the subject where the claim reorders text', 'email', { email: 'a\u202eb' }, 'ada'],
        ['by the subject where the claim hides text', 'email', { email: 'a\u200bb' }, 'ada'],
        [
          'by the subject where the claim is half a character',
          'email',
          { email: 'a\ud800' },
          'ada',
        ],
      ],
    )('%s', (_what, name, claims, expected) => {
      expect(named(name, claims)).toBe(expected)
    })
  })
})

describe('the rules that may hold for a principal of whom no more is known', () => {
  const byName = ruleOf({ sub: 'ada' })
  const byPointer = ruleOf({ '/sub': ['ada', 'b*'] })
  const byTeam = ruleOf({ team: 'a' })
  const both = ruleOf({ sub: 'ada', team: 'a' })
  const list = [issuerOf(byName, byPointer, byTeam, both)]

  test.each<readonly [principal: string, rules: readonly Rule[] | null]>([
    [`${url}#ada`, [byName, byPointer, byTeam, both]],
    [`${url}#bob`, [byPointer, byTeam]],
    [`${url}#eve`, [byTeam]],
    [`${url}#ada#2`, [byTeam]],
    ['https://gone.example.com#ada', []],
    [`${url}/#ada`, []],
    ['0199a1b2', null],
  ])('%s', (principal, rules) => {
    expect(rulesFor(list, principal)).toEqual(rules)
  })

  test('a subject may have a # in it, an issuer has none', () => {
    const odd = ruleOf({ sub: 'a#b' })
    expect(rulesFor([issuerOf(odd)], `${url}#a#b`)).toEqual([odd])
  })

  test('a rule that says a truth of the subject holds for nobody', () => {
    expect(rulesFor([issuerOf(ruleOf({ sub: true }))], `${url}#ada`)).toEqual([])
  })

  test('whoever a token makes by its subject is among them, for any subject and texts', () => {
    const text = fc.constantFrom('ada', 'bob', 'a*', '?da', '*', 'a#b')
    fc.assert(
      fc.property(
        fc.array(fc.uniqueArray(text, { minLength: 1 }), { minLength: 1, maxLength: 4 }),
        fc.constantFrom('ada', 'bob', 'a#b', ''),
        (wanted, subject) => {
          const rules = wanted.map((sub) => ruleOf({ sub }))
          const actor = actorOfToken(issuerOf(...rules), tokenOf({}, subject))
          const may = rulesFor([issuerOf(...rules)], `${url}#${subject}`)
          expect(actor !== null).toBe((may ?? []).length > 0)
        },
      ),
    )
  })
})

describe('a list of issuers', () => {
  const faults = (...items: readonly Issuer[]) => issuerFaults(items)
  const ruleFaults = (rule: Rule) => faults(issuerOf(rule))
  const login = (name: string) => ({ login: { name, clientId: 'rekey' } })
  const good = issuerOf(ruleOf({ sub: 'ada' }))

  test('that names somebody in each rule is right', () => {
    expect(faults(good, { ...good, issuer: 'https://other.example.com' })).toEqual([])
    expect(faults()).toEqual([])
  })

  test('names no issuer twice: the second is told', () => {
    expect(faults(good, good)).toEqual([
      { pointer: '/items/1/issuer', detail: 'the issuer is named twice' },
    ])
  })

  test('has no two logins of one name', () => {
    const other = (name: string) => ({
      ...good,
      issuer: 'https://other.example.com',
      ...login(name),
    })
    expect(faults({ ...good, ...login('a') }, other('b'))).toEqual([])
    expect(faults(good, other('a'))).toEqual([])
    expect(faults({ ...good, ...login('a') }, other('a'))).toEqual([
      { pointer: '/items/1/login/name', detail: 'the name is taken' },
    ])
  })

  test.each(['iss', 'aud', 'exp', 'nbf', 'iat', 'jti'])(
    'tells nobody apart by %s, which every token has',
    (claim) => {
      expect(ruleFaults(ruleOf({ [claim]: 'x', team: 'a' }))).toEqual([
        {
          pointer: `/items/0/claims/0/match/${claim}`,
          detail: 'tells nobody apart: it is checked of every token',
        },
      ])
    },
  )

  test('says where a fault is, also by a name with a slash in it', () => {
    const second = issuerOf(ruleOf({ sub: 'ada' }), ruleOf({ 'a/b': '*' }))
    expect(faults(good, { ...second, issuer: 'https://b.example.com' })).toMatchObject([
      { pointer: '/items/1/claims/1/match' },
    ])
  })

  describe('binds the role consumer, and no other', () => {
    const bindings: readonly (readonly [
      what: string,
      rule: Partial<Rule>,
      pointers: readonly string[],
    ])[] = [
      ['a consumer', { roles: ['consumer'], consumer: 'checkout' }, []],
      ['keys', { roles: ['consumer'], keys: ['orders'] }, []],
      [
        'both, beside other roles',
        { roles: ['viewer', 'consumer'], consumer: 'a', keys: ['b'] },
        [],
      ],
      ['no binding at all', { roles: ['viewer'] }, []],
      ['the role without a binding', { roles: ['consumer'] }, ['consumer']],
      ['a consumer without the role', { consumer: 'checkout' }, ['roles']],
      ['keys without the role', { keys: ['orders'] }, ['roles']],
    ]
    test.each(bindings)('%s', (_what, more, pointers) => {
      expect(ruleFaults(ruleOf({ sub: 'ada' }, more)).map(({ pointer }) => pointer)).toEqual(
        pointers.map((name) => `/items/0/claims/0/${name}`),
      )
    })
  })

  describe('lets in nobody by accident', () => {
    const everybody = /whoever the issuer knows/
    const patterns = /admin by patterns/
    const admin: Partial<Rule> = { roles: ['admin'] }
    const table: readonly (readonly [
      what: string,
      match: Rule['match'],
      more: Partial<Rule>,
      fault: RegExp | null,
    ])[] = [
      ['a name', { sub: 'ada' }, {}, null],
      ['a name of other letters', { team: '班' }, {}, null],
      ['a digit', { uid: '7' }, {}, null],
      ['a pattern with a letter in it', { repository: 'org/*' }, {}, null],
      ['a star', { sub: '*' }, {}, everybody],
      ['stars and marks', { sub: '?*-' }, {}, everybody],
      ['a name beside a star, of which one is enough', { sub: ['ada', '*'] }, {}, everybody],
      ['a truth alone', { email_verified: true }, {}, everybody],
      ['a truth beside a name', { email_verified: true, team: 'a' }, {}, null],
      ['a star beside a claim that names somebody', { sub: '*', team: 'a' }, {}, null],
      ['a star, and everybody is meant', { sub: '*' }, { everybody: true }, null],
      ['admin for a name', { sub: 'ada' }, admin, null],
      ['admin for one of some names', { sub: ['ada', 'bob'] }, admin, null],
      ['admin for a pattern', { repository: 'org/*' }, admin, patterns],
      ['admin for a mark in a name', { sub: 'ad?' }, admin, patterns],
      ['admin for a name or a pattern', { sub: ['ada', 'b*'] }, admin, patterns],
      ['admin for a pattern and a name', { repository: 'org/*', sub: 'ada' }, admin, null],
      ['admin for a star', { sub: '*' }, admin, everybody],
      [
        'admin for a pattern, and everybody is meant',
        { repository: 'org/*' },
        { ...admin, everybody: true },
        null,
      ],
      [
        'admin among other roles',
        { repository: 'org/*' },
        { roles: ['viewer', 'admin'] },
        patterns,
      ],
    ]
    test.each(table)('%s', (_what, match, more, fault) => {
      expect(ruleFaults(ruleOf(match, more))).toEqual(
        fault === null
          ? []
          : [{ pointer: '/items/0/claims/0/match', detail: expect.stringMatching(fault) }],
      )
    })
  })
})

describe('an issuer as it is written', () => {
  const whole = {
    issuer: url,
    audience: 'rekey',
    claims: [{ match: { sub: 'ada', groups: ['a', 'b'], ok: true }, roles: ['viewer'] }],
    login: {
      name: 'sso',
      clientId: 'rekey',
      clientSecret: { from: 'env', name: 'SSO_SECRET' },
      scopes: ['profile', 'groups'],
    },
  }
  type Change = Readonly<Record<string, Json | undefined>>
  const withRule = (more: Change) => ({ claims: [{ ...whole.claims[0], ...more }] })
  const withLogin = (more: Change) => ({ login: { ...whole.login, ...more } })
  const defined = (change: object): unknown => JSON.parse(JSON.stringify({ ...whole, ...change }))

  test.each<readonly [what: string, change: object]>([
    ['whole', {}],
    ['over plain HTTP, which egress rules decide', { issuer: 'http://localhost:8080/realms/x' }],
    ['without a login', { login: undefined }],
    [
      'with all of a rule',
      withRule({
        scope: { connections: ['c1'] },
        consumer: 'a',
        keys: ['b'],
        name: 'email',
        type: 'service',
        everybody: true,
      }),
    ],
    ['with a secret in a file', withLogin({ clientSecret: { from: 'file', path: '/run/secret' } })],
    ['with PKCE alone', withLogin({ clientSecret: undefined, scopes: undefined })],
  ])('may be %s', (_what, change) => {
    expect(Check(issuerSchema, defined(change))).toBe(true)
  })

  test.each<readonly [what: string, change: object]>([
    ['of no scheme', { issuer: 'id.example.com' }],
    ['of another scheme', { issuer: 'ftp://id.example.com' }],
    ['with a query', { issuer: `${url}?a` }],
    ['with a space', { issuer: `${url}/ a` }],
    ['of endless length', { issuer: `https://${'a'.repeat(500)}` }],
    ['for nobody', { audience: '' }],
    ['for an audience of two lines', { audience: 'a\nb' }],
    ['without rules', { claims: [] }],
    [
      'with more rules than anybody reads',
      { claims: Array.from({ length: 101 }, () => whole.claims[0]) },
    ],
    ['with a member that is not known', { audiences: ['rekey'] }],
    ['with a rule that matches nothing', withRule({ match: {} })],
    ['with a rule by an empty text', withRule({ match: { sub: '' } })],
    ['with a rule by none of some texts', withRule({ match: { sub: [] } })],
    ['with a rule by a text twice', withRule({ match: { sub: ['a', 'a'] } })],
    ['with a rule by a number', withRule({ match: { uid: 7 } })],
    ['with a rule by a claim without a name', withRule({ match: { '': 'a' } })],
    ['with a rule by a claim of two lines', withRule({ match: { 'a\nb': 'a' } })],
    ['with a rule without a role', withRule({ roles: [] })],
    ['with a role twice', withRule({ roles: ['viewer', 'viewer'] })],
    ['with a role that there is not', withRule({ roles: ['root'] })],
    ['with an empty scope', withRule({ scope: {} })],
    ['with no keys', withRule({ keys: [] })],
    ['with a rule for another kind of actor', withRule({ type: 'breakGlass' })],
    ['with everybody: false', withRule({ everybody: false })],
    ['with more of a rule', withRule({ role: 'viewer' })],
    ['with a login without a client', withLogin({ clientId: undefined })],
    ['with a secret written into it', withLogin({ clientSecret: 'x' })],
    ['with a secret from elsewhere', withLogin({ clientSecret: { from: 'vault', path: 'a' } })],
    ['with a scope that is two', withLogin({ scopes: ['profile groups'] })],
    ['with a scope with quotes', withLogin({ scopes: ['a"b'] })],
    ['with a scope twice', withLogin({ scopes: ['a', 'a'] })],
    ['with more of a login', withLogin({ redirect: 'https://a' })],
  ])('may not be %s', (_what, change) => {
    expect(Check(issuerSchema, defined(change))).toBe(false)
  })
})
