// Keys in a token: AES, EC and RSA, made there, never readable.
//
//   mint       C_GenerateKey(Pair) under a CKA_ID chosen from the operation: it is looked for first, so that a repeat finds it
//   promote    the new one gets the label, then the old one loses it: in between both have it, and both are valid. A crash
//              there leaves two current versions; the probe says that it is not done, and doing it again does the rest
//   suspend    CKA_SIGN, CKA_ENCRYPT, CKA_WRAP to false; what was made can still be decrypted and verified
//   retire     C_DestroyObject, of both halves; there is no way back
//
// A process that was killed in the middle of a call leaves the call done or not done, and of a pair perhaps its public half;
// all of these are found by reading. A token refuses no second object with an id that is taken: what was sent and not answered
// is waited for before it is sent again (`exactlyOnce: probe`).

import { type KeyType, type Probe, ProviderError, type Session } from '#domain/provider.ts'
import type { Call, Minted, MintOrder, ObjectAddress } from '#domain/provider.ts'
import type { Ask } from './login.ts'
import { algorithms, extras, type KeyObject } from './protocol.ts'
import { leastPrivilege } from './rights.ts'
import { generateSchema, labelOf, readSettings, refSchema } from './settings.ts'
import { factsOf, makeTrial, sampleIn } from './trial.ts'
import {
  asideLabel,
  checked,
  earlierIds,
  extrasOf,
  idFor,
  isEnabled,
  kindMade,
  kindOf,
  likeIt,
  plainLabel,
  versionOf,
} from './versions.ts'

export const pkcs11Key: KeyType = {
  type: 'pkcs11.key',
  title: 'A key in a token (PKCS#11)',
  traits: {
    slot: 'multi',
    staging: 'native',
    undo: 'pointer',
    authority: 'self',
    revokes: 'version',
    suspend: true,
    exactlyOnce: 'probe',
    attribution: 'exact',
    usage: null,
    // A network HSM may still carry out what a library that was killed had sent.
    lateEffectMs: 30_000,
    consistency: { delayMs: 0, confirmations: 1 },
    limits: {},
    deliver: false,
    material: 'provider',
    publishTarget: false,
    publishable: false,
    verifies: ['roundTrip', 'oldDataReadable'],
    operations: [],
  },
  refSchema,
  generateSchema,
  suspends: (ref) => ref['suspend'] !== false,
  objectId: ({ settings, ref }) =>
    `pkcs11:token=${encodeURIComponent(readSettings(settings).tokenLabel)};object=${encodeURIComponent(labelOf(ref))}`,
  leastPrivilege,
  incident: { truth: ['While it is off, nobody decrypts or checks what it made either.'] },
}

type KeyPart = Omit<Session, 'check' | 'missingRights' | 'close'>

export const keySession = (ask: Ask, random: (bytes: number) => Uint8Array): KeyPart => {
  const trial = makeTrial(ask, random)
  const objectsOf = async ({ ref }: ObjectAddress, call: Call): Promise<readonly KeyObject[]> =>
    checked(await ask('objects', { label: labelOf(ref) }, call))
  const find = async (object: ObjectAddress, id: string, call: Call): Promise<KeyObject | null> =>
    (await objectsOf(object, call)).find((of) => of.id === id) ?? null
  const must = async (object: ObjectAddress, id: string, call: Call): Promise<KeyObject> =>
    (await find(object, id, call)) ??
    failed(new ProviderError('notFound', 'none', `the token has no version ${id} of the key`))
  const existing = async (object: ObjectAddress, call: Call): Promise<readonly KeyObject[]> => {
    const found = await objectsOf(object, call)
    if (found.length > 0) return found
    throw new ProviderError('notFound', 'none', 'the token has no key of this label', {
      hint: 'register the key with create: true',
    })
  }

  const make = async (order: MintOrder, label: string, call: Call): Promise<Minted> => {
    const id = idFor(order.operationId)
    const { generate, preImage } = order
    const wanted = generate['algorithm'] ?? preImage['algorithm'] ?? (isCreation(order) && 'aes256')
    const algorithm = algorithms.find((name) => name === wanted)
    if (!algorithm) throw unlike()
    const kept = preImage['alsoFor']
    const alsoFor = extras.filter((extra) => Array.isArray(kept) && kept.includes(extra))
    const earlier = earlierIds(order.operationId)
    await ask('generate', { id, label, algorithm, alsoFor, earlier }, call)
    return { providerVersion: id, facts: { algorithm } }
  }
  const half = (id: string, call: Call): Promise<boolean> => ask('half', { id }, call)

  /** What appeared since the order's pre-image was read, and is not what it asks for. */
  const foreignTo = (order: MintOrder, found: readonly KeyObject[]): string | null => {
    const known = order.preImage['versions']
    const before: readonly unknown[] = Array.isArray(known) ? known : []
    const ours = idFor(order.operationId)
    return found.find(({ id }) => id !== ours && !before.includes(id))?.id ?? null
  }

  const probeMint: Session['probeMint'] = async (order, call) => {
    const id = idFor(order.operationId)
    if (await ask('find', { id }, call))
      return { answer: 'ours', value: { providerVersion: id, facts: {} } }
    // Ours, and of no use: taken away before the next attempt. Of a creation that is done by the next attempt itself.
    if (!isCreation(order) && (await half(id, call)))
      return { answer: 'ours', secretLost: true, value: { providerVersion: id, facts: {} } }
    const foreign = foreignTo(order, await objectsOf(order.object, call))
    return foreign === null
      ? { answer: 'absent' }
      : { answer: 'foreign', detail: `somebody else has made version ${foreign}` }
  }

  /** Where the pointer is, of the two that it may be at. */
  const pointers = async (
    { object, from, to }: Parameters<Session['promote']>[0],
    call: Call,
  ): Promise<'from' | 'both' | 'to' | { readonly elsewhere: string }> => {
    const label = labelOf(object.ref)
    const current = (await objectsOf(object, call)).filter((of) => of.label === label)
    const other = current.find(({ id }) => id !== from && id !== to)
    if (other) return { elsewhere: other.id }
    const at = (id: string | null): boolean => current.some((of) => of.id === id)
    return at(to) ? (at(from) && from !== to ? 'both' : 'to') : 'from'
  }

  const switchTo = async (
    object: ObjectAddress,
    id: string,
    on: boolean,
    call: Call,
  ): Promise<{ state: string }> => {
    if (object.ref['suspend'] === false) {
      throw new ProviderError('unsupported', 'none', 'the token does not switch this key off')
    }
    await must(object, id, call)
    await ask('use', { id, on, all: call.incident === true }, call)
    return { state: on ? 'enabled' : 'disabled' }
  }

  return {
    async inventory(_type, cursor, call) {
      const after = cursor === null ? '' : readCursor(cursor)
      const all = await ask('objects', { label: null }, call)
      const labels = [...new Set(all.map(({ label }) => plainLabel(label)))]
        .filter((label) => label !== '' && label > after)
        .toSorted()
      const page = labels.slice(0, pageSize)
      return {
        items: page.map((label) => ({
          type: pkcs11Key.type,
          ref: { label },
          objectId: '',
          facts: { versions: all.filter((of) => plainLabel(of.label) === label).length },
        })),
        next: labels.length > pageSize ? cursorFor(page.at(-1) ?? '') : null,
      }
    },
    async describe(object, call) {
      const found = await existing(object, call)
      const label = labelOf(object.ref)
      const current = found.find((of) => of.label === label)
      return {
        versions: found.map((of) => versionOf(of, label)),
        facts: current ? await factsOf(ask, current, call) : {},
      }
    },
    async create(order, call) {
      const id = idFor(order.operationId)
      const [other] = (await objectsOf(order.object, call)).filter((of) => of.id !== id)
      if (other) {
        throw new ProviderError('conflict', 'none', 'the token has a key of this label already')
      }
      return make(order, labelOf(order.object.ref), call)
    },
    async prepare(object, current, call) {
      const found = await existing(object, call)
      const of = current === null ? null : (found.find(({ id }) => id === current) ?? null)
      if (of && !of.modifiable) {
        throw new ProviderError('unsupported', 'none', 'the token does not let this key change', {
          hint: 'its label is the pointer that moves with a rotation: CKA_MODIFIABLE must be true',
        })
      }
      if (of && kindOf(of) === 'other') {
        throw new ProviderError('unsupported', 'none', 'Rekey makes no keys of this kind', {
          hint: 'it makes AES, EC and RSA keys',
        })
      }
      const algorithm = of && likeIt(of, await ask('publicKey', { id: of.id }, call))
      const wanted = algorithms.find((name) => name === call.generate?.['algorithm'])
      if (of && call.generate && !algorithm && !wanted) throw unlike()
      return {
        preImage: {
          versions: found.map(({ id }) => id),
          ...(algorithm ? { algorithm } : {}),
          ...(of ? { alsoFor: [...extrasOf(of)] } : {}),
          ...(of && isEnabled(of) ? { sample: { ...(await trial.make(of, call)) } } : {}),
        },
        risks: [
          'While the label moves, for a moment, two keys have it: applications must take either.',
          ...(object.ref['suspend'] === false
            ? ['The token cannot switch a key off: the old one is only destroyed.']
            : []),
          ...(of && wanted && kindMade[wanted] !== kindOf(of)
            ? [`The new key is of another kind (${kindMade[wanted]}) than the present one.`]
            : []),
        ],
      }
    },
    async mint(order, call) {
      const foreign = foreignTo(order, await existing(order.object, call))
      if (foreign !== null) {
        const detail = `somebody else has made version ${foreign} meanwhile`
        throw new ProviderError('conflict', 'none', detail)
      }
      return make(order, asideLabel(labelOf(order.object.ref), idFor(order.operationId)), call)
    },
    probeMint,
    async verify({ object, providerVersion, how, preImage }, call) {
      if (how === 'login')
        throw new ProviderError('unsupported', 'none', `a key has no check ${how}`)
      const of = await find(object, providerVersion, call)
      if (!of) {
        const facts = { operation: 'C_FindObjects', code: 'absent' }
        return how === 'refused'
          ? { ok: true, facts }
          : { ok: false, detail: `the token has no version ${providerVersion}`, facts }
      }
      if (how === 'refused') return trial.refused(of, call)
      if (how === 'roundTrip') return trial.roundTrip(of, call)
      const sample = sampleIn(preImage)
      return sample?.id === providerVersion
        ? trial.oldDataReadable(of, sample, call)
        : { ok: true, facts: { operation: 'none', why: 'nothing of this version was kept' } }
    },
    async promote(order, call) {
      const { object, from, to } = order
      const label = labelOf(object.ref)
      await must(object, to, call)
      const at = await pointers(order, call)
      if (typeof at === 'object') {
        throw new ProviderError('conflict', 'none', `the label is at version ${at.elsewhere}`)
      }
      if (at === 'from') await ask('relabel', { id: to, label }, call)
      if (at !== 'to' && from !== null) {
        await ask('relabel', { id: from, label: asideLabel(label, from) }, call)
      }
      return { current: to }
    },
    async probePromote(order, call): Promise<Probe<null>> {
      const at = await pointers(order, call)
      if (typeof at === 'object') {
        return { answer: 'foreign', detail: `the label is at version ${at.elsewhere}` }
      }
      return at === 'to' ? { answer: 'ours', value: null } : { answer: 'absent' }
    },
    suspend: (object, id, call) => switchTo(object, id, false, call),
    reinstate: (object, id, call) => switchTo(object, id, true, call),
    async retire(object, id, how, call) {
      const of = await find(object, id, call)
      if (how === 'disable') return switchTo(object, id, false, call)
      if (!of && !(await half(id, call))) return { state: 'absent' }
      if (of?.label === labelOf(object.ref) && !call.incident) {
        throw new ProviderError('precondition', 'none', `applications use version ${id} now`)
      }
      await ask('destroy', { id }, call)
      return { state: 'destroyed' }
    },
    async stateOf(object, id, call) {
      const of = await find(object, id, call)
      if (of) return isEnabled(of) ? 'enabled' : 'disabled'
      // A death between destroying the two halves left the public one: it is still to be destroyed.
      return (await half(id, call)) ? 'disabled' : 'absent'
    },
    async lastUsed() {
      return null
    },
    async readMaterial() {
      throw new ProviderError('unsupported', 'none', 'a key does not leave its token')
    },
    async operate() {
      throw new ProviderError('unsupported', 'none', 'applications use the token themselves')
    },
  }
}

/** An order of a rotation has what was there before it. */
const isCreation = ({ preImage }: MintOrder): boolean => preImage['versions'] === undefined

const unlike = (): ProviderError =>
  new ProviderError('unsupported', 'none', 'what the present key is made as is not known', {
    hint: 'say what the new one is to be: generate.algorithm',
  })

const failed = (error: ProviderError): never => {
  throw error
}

const pageSize = 50
const cursorFor = (label: string): string =>
  Buffer.from(JSON.stringify({ after: label }), 'utf8').toString('base64url')
const readCursor = (cursor: string): string => {
  try {
    const said: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    const after: unknown = typeof said === 'object' && said !== null && Reflect.get(said, 'after')
    if (typeof after === 'string') return after
  } catch {
    // Told below.
  }
  throw new ProviderError('permanent', 'none', 'the cursor is not one of this inventory')
}
