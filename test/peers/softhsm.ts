// Tokens of SoftHSM: each test file has a folder of its own for them, named by SOFTHSM2_CONF, which the process of a token
// inherits. What is asked of a token here goes through pkcs11js in this process, and not through Rekey.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type Pkcs11 from 'pkcs11js'
import { peers } from './peers.ts'

export interface TestToken {
  readonly label: string
  readonly pin: string
}

/** A key object, as the token has it. */
export interface Seen {
  readonly kind: 'private' | 'secret' | 'public'
  readonly label: string
  readonly id: string
}

/** A library is initialised once a process, for one folder: whoever comes next ends it. */
let finalise = (): void => undefined

export type SoftHsm = ReturnType<typeof startSoftHsm>

export const startSoftHsm = () => {
  const library = peers.softhsm.find()
  if (library === null) throw new Error('SoftHSM is not there')
  const folder = mkdtempSync(join(tmpdir(), 'rekey-softhsm-'))
  const conf = join(folder, 'softhsm2.conf')
  mkdirSync(join(folder, 'tokens'))
  writeFileSync(
    conf,
    `directories.tokendir = ${folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n`,
  )
  const before = process.env['SOFTHSM2_CONF']
  process.env['SOFTHSM2_CONF'] = conf

  const token = (label = `t-${randomBytes(4).toString('hex')}`, pin = '4711-user'): TestToken => {
    execFileSync(
      'softhsm2-util',
      ['--init-token', '--free', '--label', label, '--pin', pin, '--so-pin', 'officer-0815'],
      { stdio: 'ignore', env: { ...process.env, SOFTHSM2_CONF: conf } },
    )
    return { label, pin }
  }

  const p = createRequire(import.meta.url)('pkcs11js') as typeof Pkcs11
  const initialised = (): Pkcs11.PKCS11 => {
    finalise()
    const lib = new p.PKCS11()
    lib.load(library)
    lib.C_Initialize()
    finalise = () => {
      lib.C_Finalize()
      finalise = () => undefined
    }
    return lib
  }
  const slotOf = (lib: Pkcs11.PKCS11, label: string): Buffer => {
    const slot = lib.C_GetSlotList(true).find((at) => lib.C_GetTokenInfo(at).label.trim() === label)
    if (!slot) throw new Error(`no token ${label}`)
    return slot
  }

  /** Runs in this process, logged in, in a library of its own: what the token holds, whatever Rekey says. It stays open for
   *  the next time that the same token is asked. */
  let open: { lib: Pkcs11.PKCS11; label: string; session: Buffer; end: () => void } | null = null
  const within = <T>(
    { label, pin }: TestToken,
    work: (p: typeof Pkcs11, lib: Pkcs11.PKCS11, session: Buffer) => T,
  ): T => {
    if (open?.label !== label || open.end !== finalise) {
      const lib = initialised()
      const session = lib.C_OpenSession(slotOf(lib, label), p.CKF_SERIAL_SESSION | p.CKF_RW_SESSION)
      lib.C_Login(session, p.CKU_USER, pin)
      open = { lib, label, session, end: finalise }
    }
    try {
      return work(p, open.lib, open.session)
    } catch (error) {
      // Whatever it had begun is given up with the library.
      finalise()
      throw error
    }
  }

  const find = (
    lib: Pkcs11.PKCS11,
    session: Buffer,
    template: Pkcs11.Template,
  ): readonly Buffer[] => {
    lib.C_FindObjectsInit(session, template)
    const found = lib.C_FindObjects(session, 10_000)
    lib.C_FindObjectsFinal(session)
    return found
  }

  return {
    library,
    folder,
    token,
    within,
    find,
    /** Every key object of the token. */
    seen: (of: TestToken): readonly Seen[] =>
      within(of, (p, lib, session) =>
        (
          [
            ['private', p.CKO_PRIVATE_KEY],
            ['secret', p.CKO_SECRET_KEY],
            ['public', p.CKO_PUBLIC_KEY],
          ] as const
        ).flatMap(([kind, cls]) =>
          find(lib, session, [{ type: p.CKA_CLASS, value: cls }]).map((handle) => {
            const read = (type: number): Buffer => {
              const [attribute] = lib.C_GetAttributeValue(session, handle, [{ type }])
              return attribute?.value as Buffer
            }
            return {
              kind,
              label: read(p.CKA_LABEL).toString('utf8'),
              id: read(p.CKA_ID).toString('hex'),
            }
          }),
        ),
      ),
    /** Somebody else makes an AES key. */
    make: (
      of: TestToken,
      { label, id = randomBytes(8).toString('hex'), modifiable = true }: MadeKey,
    ): string => {
      within(of, (p, lib, session) => {
        lib.C_GenerateKey(session, { mechanism: p.CKM_AES_KEY_GEN }, [
          { type: p.CKA_TOKEN, value: true },
          { type: p.CKA_LABEL, value: Buffer.from(label) },
          { type: p.CKA_ID, value: Buffer.from(id, 'hex') },
          { type: p.CKA_VALUE_LEN, value: 32 },
          { type: p.CKA_ENCRYPT, value: true },
          { type: p.CKA_DECRYPT, value: true },
          { type: p.CKA_SENSITIVE, value: true },
          { type: p.CKA_MODIFIABLE, value: modifiable },
        ])
      })
      return id
    },
    /** A pair on P-256, as somebody else makes it; without its private half where a library died in the middle. */
    makePair: (
      of: TestToken,
      { label, id }: { readonly label: string; readonly id: string },
      { half = false } = {},
    ): void => {
      within(of, (p, lib, session) => {
        const common = [
          { type: p.CKA_TOKEN, value: true },
          { type: p.CKA_LABEL, value: Buffer.from(label) },
          { type: p.CKA_ID, value: Buffer.from(id, 'hex') },
        ]
        const { privateKey } = lib.C_GenerateKeyPair(
          session,
          { mechanism: p.CKM_EC_KEY_PAIR_GEN },
          [
            ...common,
            { type: p.CKA_VERIFY, value: true },
            { type: p.CKA_EC_PARAMS, value: Buffer.from('06082a8648ce3d030107', 'hex') },
          ],
          [
            ...common,
            { type: p.CKA_PRIVATE, value: true },
            { type: p.CKA_SENSITIVE, value: true },
            { type: p.CKA_SIGN, value: true },
          ],
        )
        if (half) lib.C_DestroyObject(session, privateKey)
      })
    },
    /** CKF_… of the token, without a login. */
    flags: ({ label }: TestToken): number => {
      const lib = initialised()
      return lib.C_GetTokenInfo(slotOf(lib, label)).flags
    },
    stop: () => {
      finalise()
      if (before === undefined) delete process.env['SOFTHSM2_CONF']
      else process.env['SOFTHSM2_CONF'] = before
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

interface MadeKey {
  readonly label: string
  readonly id?: string
  readonly modifiable?: boolean
}
