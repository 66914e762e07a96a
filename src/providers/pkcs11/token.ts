// A token, as the process that owns it sees it: PKCS#11 calls, one after the other. It runs in that process only: the library
// is somebody else's native code, and its calls block.
//
// Each request has a session of its own, which is closed with it, so that nothing half begun (a C_SignInit) outlives it; the
// login belongs to the process and lasts while the first session is open. Handles are never kept: every request looks its
// object up by CKA_ID, and two objects with one id are refused, since using the wrong one is worse than using none.

import { createRequire } from 'node:module'
import type Pkcs11 from 'pkcs11js'
import { Fail, type Module, readKey, usageAttributes } from './objects.ts'
import {
  type Calls,
  type CallName,
  ckk,
  ckr,
  type Extra,
  type KeyObject,
  type Order,
  type TokenFacts,
} from './protocol.ts'
import { publicKeyOf } from './public-key.ts'

type Handlers = { readonly [N in CallName]: (args: Calls[N]['in']) => Calls[N]['out'] }

export const makeToken = (): Handlers => {
  const pkcs11 = loadModule()
  const { p } = pkcs11
  const lib = new p.PKCS11()
  let slot: Buffer | null = null
  /** Keeps the login. */
  let base: Buffer | null = null

  const slotNow = (): Buffer => slot ?? Fail.throw({ kind: 'notOpen' })
  const within = <T>(work: (session: Buffer) => T): T => {
    const session = lib.C_OpenSession(slotNow(), p.CKF_SERIAL_SESSION | p.CKF_RW_SESSION)
    try {
      return work(session)
    } finally {
      lib.C_CloseSession(session)
    }
  }
  const search = (session: Buffer, template: Pkcs11.Template): readonly Buffer[] => {
    lib.C_FindObjectsInit(session, template)
    try {
      const found: Buffer[] = []
      for (;;) {
        const some = lib.C_FindObjects(session, 100)
        found.push(...some)
        if (some.length < 100) return found
      }
    } finally {
      lib.C_FindObjectsFinal(session)
    }
  }
  /** What is no id names nothing: not what has none. */
  const ofId = (session: Buffer, cls: number, id: string): readonly Buffer[] =>
    /^(?:[0-9a-f]{2})+$/.test(id)
      ? search(session, [
          { type: p.CKA_CLASS, value: cls },
          { type: p.CKA_ID, value: Buffer.from(id, 'hex') },
        ])
      : []
  const mains = (session: Buffer, id: string): readonly Buffer[] => [
    ...ofId(session, p.CKO_PRIVATE_KEY, id),
    ...ofId(session, p.CKO_SECRET_KEY, id),
  ]
  const one = (session: Buffer, id: string): Buffer | null => {
    const [handle = null, ...others] = mains(session, id)
    return others.length > 0 ? Fail.throw({ kind: 'twoObjects', id }) : handle
  }
  const removePublic = (session: Buffer, id: string): void => {
    for (const half of ofId(session, p.CKO_PUBLIC_KEY, id)) lib.C_DestroyObject(session, half)
  }
  const must = (session: Buffer, id: string): Buffer =>
    one(session, id) ?? Fail.throw({ kind: 'noObject', id })
  const read = (session: Buffer, handle: Buffer): KeyObject => readKey(pkcs11, lib, session, handle)
  const set = (session: Buffer, handle: Buffer, template: Pkcs11.Template): void =>
    lib.C_SetAttributeValue(session, handle, template)

  const facts = (): TokenFacts => {
    const info = lib.C_GetTokenInfo(slotNow())
    return {
      serial: info.serialNumber.trim(),
      manufacturer: info.manufacturerID.trim(),
      model: info.model.trim(),
      flags: info.flags,
      mechanisms: lib.C_GetMechanismList(slotNow()),
    }
  }

  return {
    open: ({ library, tokenLabel }) => {
      try {
        lib.load(library)
      } catch {
        Fail.throw({ kind: 'noLibrary' })
      }
      try {
        lib.C_Initialize()
      } catch (error) {
        if (Fail.codeOf(error) !== ckr.cryptokiAlreadyInitialized) throw error
      }
      const found = lib
        .C_GetSlotList(true)
        .filter((at) => lib.C_GetTokenInfo(at).label.trim() === tokenLabel)
      if (found.length > 1) Fail.throw({ kind: 'twoTokens' })
      slot = found[0] ?? Fail.throw({ kind: 'noToken' })
      base = lib.C_OpenSession(slot, p.CKF_SERIAL_SESSION)
      return facts()
    },
    login: ({ pin }) => {
      try {
        lib.C_Login(base ?? Fail.throw({ kind: 'notOpen' }), p.CKU_USER, pin)
      } catch (error) {
        if (Fail.codeOf(error) !== ckr.userAlreadyLoggedIn) throw error
      }
      return null
    },
    facts,
    objects: ({ label }) =>
      within((session) => {
        const all = [p.CKO_PRIVATE_KEY, p.CKO_SECRET_KEY].flatMap((cls) =>
          search(session, [
            { type: p.CKA_CLASS, value: cls },
            { type: p.CKA_TOKEN, value: true },
          ]),
        )
        return all
          .map((handle) => read(session, handle))
          .filter((of) => label === null || of.label === label || of.label.startsWith(`${label}#`))
      }),
    find: ({ id }) =>
      within((session) => {
        const handle = one(session, id)
        return handle && read(session, handle)
      }),
    generate: (order) =>
      within((session) => {
        if (one(session, order.id)) return { made: false }
        // Halves of pairs that a library which died has left. They are ours: the ids say so.
        for (const id of [order.id, ...order.earlier])
          if (!one(session, id)) removePublic(session, id)
        generate(pkcs11, lib, session, order)
        return { made: true }
      }),
    half: ({ id }) =>
      within((session) => !one(session, id) && ofId(session, p.CKO_PUBLIC_KEY, id).length > 0),
    relabel: ({ id, label }) =>
      within((session) => {
        const value = Buffer.from(label, 'utf8')
        // The one that counts last: a crash between the two is repeated.
        for (const half of ofId(session, p.CKO_PUBLIC_KEY, id))
          set(session, half, [{ type: p.CKA_LABEL, value }])
        set(session, must(session, id), [{ type: p.CKA_LABEL, value }])
        return null
      }),
    use: ({ id, on, all }) =>
      within((session) => {
        const handle = must(session, id)
        const key = read(session, handle)
        const [half] = ofId(session, p.CKO_PUBLIC_KEY, id)
        const pair = half === undefined ? null : readKey(pkcs11, lib, session, half).usage
        const changed = usageAttributes(pkcs11, key, pair, { on, all })
        if (changed.length > 0) set(session, handle, changed)
        return null
      }),
    destroy: ({ id }) =>
      within((session) => {
        const handle = one(session, id)
        // The one that can be used first.
        if (handle) lib.C_DestroyObject(session, handle)
        removePublic(session, id)
        return null
      }),
    sign: ({ id, data }) =>
      within((session) => {
        const handle = must(session, id)
        const { keyType } = read(session, handle)
        if (keyType !== ckk.ec && keyType !== ckk.rsa) Fail.throw({ kind: 'unsupported', id })
        // EC gets the digest, RSA the text: both are SHA-256.
        const mechanism = keyType === ckk.ec ? p.CKM_ECDSA : p.CKM_SHA256_RSA_PKCS
        lib.C_SignInit(session, { mechanism }, handle)
        return lib.C_Sign(session, Buffer.from(data), Buffer.alloc(1024))
      }),
    encrypt: ({ id, iv, data }) =>
      within((session) => {
        const handle = must(session, id)
        if (read(session, handle).keyType !== ckk.aes) Fail.throw({ kind: 'unsupported', id })
        lib.C_EncryptInit(
          session,
          { mechanism: p.CKM_AES_CBC_PAD, parameter: Buffer.from(iv) },
          handle,
        )
        return lib.C_Encrypt(session, Buffer.from(data), Buffer.alloc(data.length + 64))
      }),
    decrypt: ({ id, iv, data }) =>
      within((session) => {
        const handle = must(session, id)
        lib.C_DecryptInit(
          session,
          { mechanism: p.CKM_AES_CBC_PAD, parameter: Buffer.from(iv) },
          handle,
        )
        return lib.C_Decrypt(session, Buffer.from(data), Buffer.alloc(data.length + 64))
      }),
    publicKey: ({ id }) =>
      within((session) => {
        const handle = must(session, id)
        const [half] = ofId(session, p.CKO_PUBLIC_KEY, id)
        return publicKeyOf(pkcs11, lib, session, { handle, half })
      }),
  }
}

const loadModule = (): Module => {
  try {
    return { p: createRequire(import.meta.url)('pkcs11js') as typeof Pkcs11 }
  } catch {
    return Fail.throw({ kind: 'noModule' })
  }
}

const curves = { ecP256: '06082a8648ce3d030107', ecP384: '06052b81040022' } as const

const generate = (
  { p }: Module,
  lib: Pkcs11.PKCS11,
  session: Buffer,
  { id, label, algorithm, alsoFor }: Order,
): void => {
  const also = (extra: Extra, ...types: readonly number[]) =>
    alsoFor.includes(extra) ? types.map((type) => ({ type, value: true })) : []
  const common = [
    { type: p.CKA_TOKEN, value: true },
    { type: p.CKA_ID, value: Buffer.from(id, 'hex') },
    { type: p.CKA_LABEL, value: Buffer.from(label, 'utf8') },
    { type: p.CKA_MODIFIABLE, value: true },
  ]
  // Never leaves the token.
  const kept = [
    { type: p.CKA_PRIVATE, value: true },
    { type: p.CKA_SENSITIVE, value: true },
    { type: p.CKA_EXTRACTABLE, value: false },
  ]
  if (algorithm === 'aes256') {
    lib.C_GenerateKey(session, { mechanism: p.CKM_AES_KEY_GEN }, [
      ...common,
      ...kept,
      { type: p.CKA_VALUE_LEN, value: 32 },
      { type: p.CKA_ENCRYPT, value: true },
      { type: p.CKA_DECRYPT, value: true },
      ...also('sign', p.CKA_SIGN, p.CKA_VERIFY),
      ...also('wrap', p.CKA_WRAP, p.CKA_UNWRAP),
    ])
    return
  }
  const isEc = algorithm === 'ecP256' || algorithm === 'ecP384'
  lib.C_GenerateKeyPair(
    session,
    { mechanism: isEc ? p.CKM_EC_KEY_PAIR_GEN : p.CKM_RSA_PKCS_KEY_PAIR_GEN },
    [
      ...common,
      { type: p.CKA_VERIFY, value: true },
      ...also('encrypt', p.CKA_ENCRYPT),
      ...also('wrap', p.CKA_WRAP),
      ...(isEc
        ? [{ type: p.CKA_EC_PARAMS, value: Buffer.from(curves[algorithm], 'hex') }]
        : [
            { type: p.CKA_MODULUS_BITS, value: Number(algorithm.slice('rsa'.length)) },
            { type: p.CKA_PUBLIC_EXPONENT, value: Buffer.from([1, 0, 1]) },
          ]),
    ],
    [
      ...common,
      ...kept,
      { type: p.CKA_SIGN, value: true },
      ...also('encrypt', p.CKA_DECRYPT),
      ...also('wrap', p.CKA_UNWRAP),
    ],
  )
}
