// `vault.pki.issuer`: the authority of a PKI mount, a root or an intermediate that another mount signs. A mount has any number of issuers, and one of them is the default:
// whoever asks for a certificate without naming an issuer gets it from that. So a new issuer is made, proven by issuing from
// it, and only then made the default; moving the default back undoes it.
//
// A new issuer is named by the operation, and Vault takes a name once: the same order sent twice makes one, and the name finds
// it. An issuer is switched off by taking `issuing-certificates` from its usage; it still signs its revocation lists, so that
// what it issued can be checked and revoked. Destroying it takes that away: not before the last of it is over.
//
// The default is moved by a plain write. It is read right before; whoever moves it in that moment is written over.

import type { JsonObject } from '#domain/json.ts'
import {
  ProviderError,
  type Call,
  type Described,
  type Minted,
  type MintOrder,
  type ObjectAddress,
  type Prepared,
  type Probe,
  type PromoteOrder,
} from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { destroyIssuer } from './issuer-destroy.ts'
import { findByKey, makeIntermediate } from './issuer-intermediate.ts'
import { likenessOf } from './issuer-likeness.ts'
import {
  issuing,
  listIssuers,
  longestLeafMs,
  readConfig,
  readIssuer,
  stateOf,
  versionOf,
  type Issuer,
} from './issuer-read.ts'
import { issuerRights } from './issuer-rights.ts'
import { makeIssuerUse } from './issuer-use.ts'
import { issuerName, readIssuerRef, type IssuerRef, type ParentRef } from './refs.ts'
import { requireRights } from './rights.ts'
import type { Ask, ObjectType } from './session.ts'
import { fieldsOf, textOf, textsOf } from '../untyped-json.ts'

export const makeIssuer = (ask: Ask, now: () => Date): ObjectType => {
  const use = makeIssuerUse(ask, now)

  const issuerOf = async (ref: IssuerRef, id: string, call: Call): Promise<Issuer> => {
    const issuer = await readIssuer(ask, ref, id, call)
    if (issuer !== null) return issuer
    throw new ProviderError('notFound', 'none', 'the mount has no such issuer (any more)', {
      hint: `nothing is at ${ref.issuerPath(id)}`,
    })
  }

  const parentOf = async (
    { issuerPath }: ParentRef,
    call: Call,
  ): Promise<Issuer['certificate']> => {
    const issuer = await readIssuer(ask, { issuerPath: () => issuerPath }, 'parent', call)
    if (issuer !== null) return issuer.certificate
    throw new ProviderError('precondition', 'none', 'there is no such parent to sign with', {
      hint: `nothing is at ${issuerPath}`,
    })
  }

  const listOf = async (ref: IssuerRef, call: Call) => {
    const listed = await listIssuers(ask, ref, call)
    if (listed.length > 0) return listed
    throw new ProviderError('notFound', 'none', 'the mount has no issuer with a key of its own', {
      hint: `make the first one: vault write ${ref.generatePath} common_name=…`,
    })
  }

  const describe = async (object: ObjectAddress, call: Call): Promise<Described> => {
    const ref = readIssuerRef(object.ref)
    const listed = await listOf(ref, call)
    const issuers = await Promise.all(
      listed.map(async ({ id, isDefault }) => ({
        isDefault,
        issuer: await readIssuer(ask, ref, id, call),
      })),
    )
    const versions = issuers.flatMap(({ issuer, isDefault }) =>
      issuer === null ? [] : [versionOf(issuer, isDefault)],
    )
    const [serving] = issuers.filter(({ isDefault }) => isDefault)
    const subject = serving?.issuer?.certificate.subject.replaceAll('\n', ', ')
    return { versions, facts: subject === undefined ? {} : { subject } }
  }

  const prepare = async (
    object: ObjectAddress,
    current: string | null,
    call: Call,
  ): Promise<Prepared> => {
    const ref = readIssuerRef(object.ref)
    const listed = await listOf(ref, call)
    const config = await readConfig(ask, ref, call)
    if (config.followsLatest)
      throw new ProviderError('precondition', 'none', 'a new issuer would be the default at once', {
        hint: `set default_follows_latest_issuer=false at ${ref.configPath}`,
      })
    const template = await issuerOf(ref, current ?? config.default, call)
    if (config.default !== template.id)
      throw new ProviderError('conflict', 'none', `the default issuer is ${config.default}`, {
        hint: `Rekey holds ${template.id}: make that the default again, or delete the key here and register it anew`,
      })
    await requireRights(
      ask,
      issuerRights(ref).filter(({ name }) => name === 'rotate' || name === 'verify'),
      call,
    )
    const parent = ref.parent === null ? null : await parentOf(ref.parent, call)
    const leaf = await longestLeafMs(ask, ref, call)
    const left = new Date(template.certificate.validTo).getTime() - now().getTime()
    return {
      preImage: {
        issuers: listed.map(({ id }) => id),
        likeness: likenessOf(template, parent, now()),
        destroyOldAfterMs: Math.max(0, Math.min(leaf, left)),
      },
      risks: [
        'Whoever trusts the present issuer must get the certificate of the new one before it is the default: publish it, and ask for acknowledgements.',
        ...(parent === null || issuedBy(template.certificate, parent)
          ? []
          : ['The present intermediate was signed by another authority than ref.parent.']),
        'Roles and callers that name an issuer stay with it: the default moves, and nothing else.',
      ],
    }
  }

  /** Ours, by its name; and those that somebody else made since the pre-image. */
  const look = async (order: MintOrder, call: Call) => {
    const ref = readIssuerRef(order.object.ref)
    const before = new Set(textsOf(order.preImage['issuers']))
    const listed = await listIssuers(ask, ref, call)
    const name = issuerName(order.operationId)
    const ours =
      listed.find((one) => one.name === name) ??
      (ref.parent === null ? undefined : ((await findByKey(ask, ref, name, call)) ?? undefined))
    return { ours, foreign: listed.find(({ id }) => id !== ours?.id && !before.has(id)) }
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    const ref = readIssuerRef(order.object.ref)
    const before = await look(order, call)
    if (before.ours !== undefined) return minted(before.ours.id)
    if (before.foreign !== undefined)
      throw new ProviderError('conflict', 'none', `somebody else made issuer ${before.foreign.id}`)
    const name = issuerName(order.operationId)
    const likeness = jsonIn(order.preImage['likeness'])
    if (ref.parent !== null)
      return minted(
        await makeIntermediate(ask, { ...ref, parent: ref.parent }, { name, likeness }, call),
      )
    const reply = await ask(
      {
        verb: 'write',
        path: ref.generatePath,
        body: { ...likeness, issuer_name: name, key_name: name },
        changes: true,
        // Of an earlier request for the same order that arrived late.
        acceptSaying: /(issuer|key) name already in use/,
      },
      call,
    )
    const id = textOf(reply.data['issuer_id'])
    if (id !== '') return minted(id)
    const made = (await look(order, call)).ours
    if (made !== undefined) return minted(made.id)
    throw new ProviderError('conflict', 'none', 'the name of the new issuer is taken by a key')
  }

  const probeMint = async (order: MintOrder, call: Call): Promise<Probe<Minted>> => {
    const { ours, foreign } = await look(order, call)
    if (ours !== undefined) return { answer: 'ours', value: minted(ours.id) }
    return foreign === undefined
      ? { answer: 'absent' }
      : { answer: 'foreign', detail: `somebody else made issuer ${foreign.id}` }
  }

  const promote = async ({ object, from, to }: PromoteOrder, call: Call): Promise<JsonObject> => {
    const ref = readIssuerRef(object.ref)
    const { default: before } = await readConfig(ask, ref, call)
    if (before === to) return { default: to, already: true }
    if (before !== (from ?? ''))
      throw new ProviderError(
        'conflict',
        'none',
        `the default issuer is ${before}, and not ${from}`,
      )
    await ask(
      {
        verb: 'write',
        path: ref.configPath,
        body: { default: to, default_follows_latest_issuer: false },
        changes: true,
      },
      call,
    )
    return { default: to }
  }

  const mustNotServe = async (ref: IssuerRef, id: string, call: Call): Promise<void> => {
    if (call.incident === true || (await readConfig(ask, ref, call)).default !== id) return
    throw new ProviderError('precondition', 'none', 'it is the default issuer', {
      hint: 'make another one the default first; only an incident switches off the default',
    })
  }

  const switchTo = async (
    object: ObjectAddress,
    id: string,
    to: 'enabled' | 'disabled',
    call: Call,
  ): Promise<JsonObject> => {
    const ref = readIssuerRef(object.ref)
    const issuer = await issuerOf(ref, id, call)
    if (stateOf(issuer) === to) return { issuer: id, already: true }
    if (to === 'enabled' && issuer.revoked)
      throw new ProviderError('precondition', 'none', 'the issuer was revoked: it issues no more')
    if (to === 'disabled') await mustNotServe(ref, id, call)
    const others = issuer.usage.filter((one) => one !== issuing)
    const usage = to === 'enabled' ? [...others, issuing] : others
    await ask(
      { verb: 'patch', path: ref.issuerPath(id), body: { usage: usage.join(',') }, changes: true },
      call,
    )
    return { issuer: id, usage }
  }

  return {
    rights: async (object) => issuerRights(readIssuerRef(object.ref)),
    describe,
    prepare,
    mint,
    create: async () => {
      throw unsupported('making the first issuer of a mount, whose subject nobody has said,')
    },
    probeMint,
    verify: (order, call) => use.verify(order, call),
    promote,
    probePromote: async ({ object, from, to }, call) => {
      const { default: at } = await readConfig(ask, readIssuerRef(object.ref), call)
      if (at === to) return { answer: 'ours', value: null }
      return at === (from ?? '')
        ? { answer: 'absent' }
        : { answer: 'foreign', detail: `the default issuer is ${at}` }
    },
    suspend: (object, id, call) => switchTo(object, id, 'disabled', call),
    reinstate: (object, id, call) => switchTo(object, id, 'enabled', call),
    retire: async (object, id, how, call) => {
      if (how === 'disable') return switchTo(object, id, 'disabled', call)
      const ref = readIssuerRef(object.ref)
      await mustNotServe(ref, id, call)
      return destroyIssuer(ask, ref, id, call)
    },
    stateOf: async (object, id, call) =>
      stateOf(await readIssuer(ask, readIssuerRef(object.ref), id, call)),
    lastUsed: async () => null,
    // A certificate is no secret; it is what publishing an issuer means.
    readMaterial: async (object, id, call) =>
      new Secret((await issuerOf(readIssuerRef(object.ref), id, call)).certificate.toString()),
    operate: async () => {
      throw unsupported('signing with an issuer through Rekey')
    },
  }
}

const issuedBy = (certificate: Issuer['certificate'], parent: Issuer['certificate']): boolean =>
  certificate.checkIssued(parent) && certificate.verify(parent.publicKey)

const jsonIn = (value: unknown): JsonObject => fieldsOf(value) as JsonObject

const minted = (id: string): Minted => ({ providerVersion: id, facts: { issuer: id } })

const unsupported = (what: string): ProviderError =>
  new ProviderError('unsupported', 'none', `${what} is not possible in Vault`)
