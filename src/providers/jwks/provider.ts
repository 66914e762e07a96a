// Signing keys of token issuers, published as a JSON Web Key Set at `/jwks/{connection}`. A version goes
//
//   published    minted: in the set, and it does not sign. Everybody who keeps a set gets to know it (promoteAfterMs)
//   signing      promoted: the pointer is at it
//   verify-only  in overlap: in the set until the last token that it signed is over (keepOldForMs)
//   removed      suspended: not in the set; a token of it is refused by whoever fetches the set anew
//   destroyed    the private key is gone
//
// Every version ends at its `notAfter` by itself: from then on it neither signs nor stands in the set, and no worker and no
// plan is needed for that. The material lies in the built-in vault.
//
// What verifiers were told holds, whatever the settings say later (docs/adr/0034). With a version stand its end, the latest
// end of a token that it signed, and the times from which no copy is left that does not show it, or still shows it; with a
// key, how long copies may be kept. Each is written before the promise leaves: the token, the set.

import { formatDuration } from '#domain/duration.ts'
import {
  type Call,
  type ConnectArgs,
  type Described,
  type ObjectAddress,
  type Provider,
  ProviderError,
  type Session,
  type VaultRow,
  type Verdict,
  type VerifyOrder,
} from '#domain/provider.ts'
import { handedOut, missingObject, storedVersions } from '../stored-versions.ts'
import { newSigningKey, publicJwk, type PublicJwk } from './keys.ts'
import { readPublicCopy } from './public-copy.ts'
import { type JwksSettings, readSettings, settingsSchema, skewMs } from './settings.ts'
import {
  canaryClaims,
  readClaims,
  refusalBy,
  type Signer,
  signToken,
  type TokenRules,
} from './tokens.ts'
import { audiencesOf, jwksSigning } from './types.ts'

export const jwks: Provider = {
  id: 'jwks',
  title: 'Token signing keys (JWKS)',
  settingsSchema,
  credentialSchema: null,
  types: [jwksSigning],
  sharesDatabase: true,
  publishesKeys: true,
  endpoints: (settings) => {
    const { publicUrl } = readSettings(settings)
    return publicUrl === null ? [] : [publicUrl]
  },
  connect: ({ settings, ports }: ConnectArgs) => jwksSession(readSettings(settings), ports),
}

const jwksSession = (
  settings: JwksSettings,
  { vault, now, fetch }: ConnectArgs['ports'],
): Session => {
  const { session, row } = storedVersions(vault, (order) => ({
    ...newSigningKey(order.generate),
    notAfter: new Date(now().getTime() + settings.notAfterMs),
  }))
  // A version of a release that did not write it down.
  const notAfterOf = ({ createdAt, notAfter }: VaultRow): Date =>
    notAfter ?? new Date(createdAt.getTime() + settings.notAfterMs)
  const isOver = (of: VaultRow): boolean => notAfterOf(of) <= now()
  const toldOtherwise = ({ copies }: VaultRow): boolean =>
    copies?.keptForMs !== settings.cachedForMs
  /** How long a copy that was fetched a moment ago may be kept. */
  const keptMs = ({ copies }: VaultRow): number =>
    Math.max(
      copies?.keptForMs ?? 0,
      copies?.othersUntil ? copies.othersUntil.getTime() - now().getTime() : 0,
    )
  const isPublished = (of: VaultRow): boolean => of.state === 'enabled' && !isOver(of)
  const rulesOf = (object: ObjectAddress, of: VaultRow): TokenRules => ({
    issuer: settings.issuer,
    audiences: audiencesOf(object.ref),
    tokenLifetimeMs: settings.tokenLifetimeMs,
    notAfter: notAfterOf(of),
    now: now(),
  })
  const publishedOf = async (object: ObjectAddress): Promise<readonly PublicJwk[]> =>
    Promise.all((await vault.list(object.keyId)).filter(isPublished).map(publicJwk))
  const publicCopy = (call: Call) =>
    settings.publicUrl === null ? null : readPublicCopy(fetch, settings.publicUrl, call.signal)

  const describe = async (object: ObjectAddress): Promise<Described> => {
    const [rows, current] = await Promise.all([
      vault.list(object.keyId),
      vault.current(object.keyId),
    ])
    if (rows.length === 0) throw missingObject()
    const signer = rows.find(({ version }) => version === current)
    return {
      versions: rows.map((of) => ({
        id: String(of.version),
        state: of.state === 'enabled' && isOver(of) ? 'disabled' : of.state,
        current: of.version === current,
        createdAt: of.createdAt,
        expiresAt: notAfterOf(of),
      })),
      facts: signer
        ? {
            kid: (await publicJwk(signer)).kid,
            algorithm: signer.algorithm,
            publicKey: signer.publicKey,
            notAfter: notAfterOf(signer).toISOString(),
          }
        : {},
    }
  }

  const found = async (object: ObjectAddress, version: string): Promise<VaultRow> => {
    const of = await row(object.keyId, Number(version))
    if (of) return of
    throw new ProviderError('notFound', 'none', `there is no version ${version}`)
  }

  /** Whoever verifies must know a key before it signs. */
  const mustBeKnown = async (object: ObjectAddress, version: string, call: Call): Promise<void> => {
    const of = await found(object, version)
    if (isOver(of)) {
      throw new ProviderError('precondition', 'none', `version ${version} is past its notAfter`)
    }
    const copy = await publicCopy(call)
    if (copy && !copy.kids.has((await publicJwk(of)).kid)) {
      throw new ProviderError('transient', 'none', 'the public set does not show the new key yet', {
        hint: 'bring publicUrl up to date with /jwks/{connection}, then resume',
      })
    }
  }

  return {
    ...session,
    async check(call, objects = []) {
      const copy = await publicCopy(call)
      const known = copy && {
        name: 'publicUrl',
        outcome: 'ok' as const,
        detail: `the public set is read; caches may keep it for ${formatDuration(copy.cacheAgeMs)}`,
      }
      const ends = await Promise.all(objects.map((object) => checkEnd(object)))
      return [...(await session.check()), ...(known ? [known] : []), ...ends]
    },
    describe: (object) => describe(object),
    async prepare(object, _current, call) {
      const rows = await vault.list(object.keyId)
      if (rows.length === 0) throw missingObject()
      const seenMs = (await publicCopy(call))?.cacheAgeMs ?? 0
      const promoteAfterMs = Math.max(settings.cachedForMs, seenMs, ...rows.map(keptMs))
      const keepOldForMs = settings.tokenLifetimeMs + skewMs + promoteAfterMs
      return {
        preImage: {
          versions: rows.map(({ version }) => String(version)),
          promoteAfterMs,
          keepOldForMs,
        },
        risks: [
          `The new key is published for ${formatDuration(promoteAfterMs)} before it signs, so that every cache knows it.`,
          `The old key stays published for at least ${formatDuration(keepOldForMs)} after it signed last, so that its tokens are honoured to their end.`,
        ],
      }
    },
    async verify(order) {
      if (order.how === 'login')
        throw new ProviderError('unsupported', 'none', `a signing key has no check ${order.how}`)
      const of = await row(order.object.keyId, Number(order.providerVersion))
      if (!of) return { ok: order.how === 'refused', detail: 'there is no such version', facts: {} }
      return tryOut(order, of)
    },
    async mint(order, call) {
      await vault.tellKept([order.object.keyId], settings.cachedForMs)
      return session.mint(order, call)
    },
    async promised(object, version) {
      const { knownAt, honouredUntil } = await found(object, version)
      const skewed = honouredUntil && new Date(honouredUntil.getTime() + skewMs)
      return { knownAt, honouredUntil: skewed }
    },
    async promote(order, call) {
      await mustBeKnown(order.object, order.to, call)
      return session.promote(order)
    },
    async reinstate(object, version) {
      if (isOver(await found(object, version)))
        throw new ProviderError('precondition', 'none', `version ${version} is past its notAfter`)
      return session.reinstate(object, version)
    },
    async stateOf(object, version) {
      const of = await row(object.keyId, Number(version))
      if (!of) return 'absent'
      return of.state === 'enabled' && isOver(of) ? 'disabled' : of.state
    },
    async readMaterial() {
      throw new ProviderError('unsupported', 'none', 'a private key does not leave the vault')
    },
    async operate(object, version, operation, input) {
      if (operation !== 'sign')
        throw new ProviderError('unsupported', 'none', `a signing key does not ${operation}`)
      const [of, current] = await Promise.all([found(object, version), vault.current(object.keyId)])
      if (of.version !== current) {
        throw new ProviderError(
          'disabled',
          'none',
          `version ${version} does not sign: its tokens are only verified`,
          {
            hint: 'leave `version` out: the version that signs now is taken',
          },
        )
      }
      const rules = rulesOf(object, of)
      if (isOver(of)) {
        throw new ProviderError(
          'disabled',
          'none',
          `version ${version} is past its notAfter, ${rules.notAfter.toISOString()}`,
          {
            hint: 'rotate the key: the new version signs once caches know it',
          },
        )
      }
      const claims = readClaims(input, rules)
      const material = handedOut(await vault.open(object.keyId, of.version))
      const token = await signToken({ jwk: await publicJwk(of), material }, claims)
      await vault.used(object.keyId, of.version, now(), new Date(claims.exp * 1_000))
      return new TextEncoder().encode(token)
    },
    async publicKeys(objects) {
      const of = await Promise.all(
        objects.map(async ({ keyId }) => ({ keyId, rows: await vault.list(keyId) })),
      )
      const untold = of.filter(({ rows }) => rows.some(toldOtherwise)).map(({ keyId }) => keyId)
      if (untold.length > 0) await vault.tellKept(untold, settings.cachedForMs)
      const published = of.flatMap(({ rows }) => rows).filter(isPublished)
      const ends = published.map((of) => notAfterOf(of).getTime() - now().getTime())
      return {
        keys: await Promise.all(published.map(publicJwk)),
        // Nobody keeps a set in which a key is past its end.
        maxAgeMs: Math.max(0, Math.min(settings.cacheMaxAgeMs, ...ends)),
      }
    },
  }

  async function checkEnd(object: ObjectAddress) {
    const current = await vault.current(object.keyId)
    const of = current === null ? null : await row(object.keyId, current)
    const end = of && notAfterOf(of).toISOString()
    return of && !isOver(of)
      ? { name: 'notAfter', outcome: 'ok' as const, detail: `${object.keyName} signs until ${end}` }
      : {
          name: 'notAfter',
          outcome: 'missing' as const,
          detail: `${object.keyName} has no version that may sign${end ? ` since ${end}` : ''}`,
          hint: 'rotate it',
        }
  }

  /** A token of the version, and what somebody says to it who has just fetched the set. */
  async function tryOut(order: VerifyOrder, of: VaultRow): Promise<Verdict> {
    const { object, how } = order
    const jwk = await publicJwk(of)
    const facts = {
      ...{ operation: 'verify', kid: jwk.kid, algorithm: jwk.alg },
      ...(of.forgottenAt && { acceptedUntil: of.forgottenAt.toISOString() }),
    }
    const material = await vault.open(object.keyId, of.version, true)
    if (!material) {
      const detail = `the private key of version ${of.version} is destroyed`
      return { ok: how === 'refused', detail, facts }
    }
    const rules = rulesOf(object, of)
    const signer: Signer = { jwk, material }
    const token = await signToken(signer, canaryClaims(rules))
    const refusal = await refusalBy(await publishedOf(object), token, rules)
    if (how === 'refused') {
      return refusal === null
        ? { ok: false, detail: `tokens of version ${of.version} are still verified`, facts }
        : { ok: true, facts: { ...facts, code: refusal } }
    }
    return refusal === null
      ? { ok: true, facts }
      : { ok: false, detail: `a token was not verified: ${refusal}`, facts }
  }
}
