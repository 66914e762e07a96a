// Somebody who uses every version that Rekey says is served, at the Vault itself, all the while. What Vault does is judged by
// Rekey's records, read before it was asked and, where that does not fit, once more after: what changed between the two
// excuses, anything else is written down as a failure.

import pg from 'pg'
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { bytesOfFingerprint } from '#domain/fingerprint.ts'
import { Secret } from '#domain/secret.ts'
import type { OpenKeyring } from '#runtime/keyring.ts'
import type { VaultPeer } from '#test/peers/vault.ts'

export interface ServedProber {
  /** Uses of versions that went well, by key. */
  readonly uses: () => ReadonlyMap<string, number>
  readonly failures: () => readonly string[]
  /** Values that readers got while it was not yet known what became of their mint: each must turn out to be a version's. */
  readonly early: () => ReadonlyMap<string, ReadonlySet<string>>
  readonly stop: () => Promise<void>
}

export interface Probed {
  readonly vault: VaultPeer
  /** Of a role that reads every table. */
  readonly databaseUrl: string
  readonly keyring: Pick<OpenKeyring, 'fingerprint'>
  /** Names of keys; each is at `secret/<name>`, or is the transit key of that name. */
  readonly kv: readonly string[]
  readonly transit: readonly string[]
}

interface Served {
  readonly versions: readonly {
    readonly version: number
    readonly state: string
    readonly primary: boolean
    readonly at: readonly string[]
    readonly fingerprint: string
  }[]
  /** Effects of the key whose outcome is not recorded yet. */
  readonly open: readonly string[]
}

/** Keys that are asked for at once, and then the next. */
const together = 5
/** A round over all of them takes so long or longer: what remains of the machine is for the rotations. */
const roundMs = 1_000

export const startServedProber = async (probed: Probed): Promise<ServedProber> => {
  const { vault, keyring } = probed
  const db = new pg.Pool({ connectionString: probed.databaseUrl, max: 3 })
  const uses = new Map<string, number>()
  const failures: string[] = []
  const early = new Map<string, Set<string>>()
  let running = true

  const served = async (names: readonly string[]): Promise<ReadonlyMap<string, Served>> => {
    const { rows } = await db.query<{ name: string } & Served>(
      // One statement, so that it all was so at one moment.
      `WITH under_way AS (SELECT key_id, json_agg(effect) AS effects FROM app.intent WHERE NOT closed GROUP BY key_id)
       SELECT k.name, coalesce(u.effects, '[]') AS open,
         (SELECT json_agg(json_build_object('version', v.version, 'state', v.state, 'primary', v.is_primary,
            'at', v.provider_versions, 'fingerprint', encode(v.fingerprint, 'hex')))
          FROM app.version v WHERE v.key_id = k.id) AS versions
       FROM app.key k LEFT JOIN under_way u ON u.key_id = k.id WHERE k.name = ANY ($1)`,
      [names],
    )
    return new Map(rows.map(({ name, ...rest }) => [name, rest]))
  }
  const again = async (name: string): Promise<Served> =>
    (await served([name])).get(name) ?? { versions: [], open: [] }
  const used = (name: string): void => void uses.set(name, (uses.get(name) ?? 0) + 1)
  const fail = (name: string, text: string): void => {
    failures.push(`${new Date().toISOString()} ${name}: ${text}`)
  }

  /** The fingerprint of what a reader gets (of a version, or the current one); null where that is nothing. */
  const read = async (name: string, at = '0'): Promise<string | null> => {
    const { status, data } = await vault.api('GET', `secret/data/${name}?version=${at}`)
    if (status !== 200) return null
    const { password, username } = Object(data['data'])
    if (username !== 'app') fail(name, 'a field that is not Rekey’s was lost')
    return hex(bytesOfFingerprint(keyring.fingerprint(new Secret(String(password)))))
  }

  const useKv = async (name: string, before: Served): Promise<void> => {
    for (const version of before.versions.filter(({ state }) => state === 'active')) {
      if ((await read(name, version.at.at(-1))) === version.fingerprint) {
        used(name)
        continue
      }
      const after = await again(name)
      const now = after.versions.find((one) => one.version === version.version)
      const ending = [...before.open, ...after.open].some((effect) => endings.has(effect))
      if (now?.state === 'active' && (now.primary || !ending))
        fail(name, `version ${version.version} is ${shown(now)}, and Vault does not give it`)
    }
    const current = await read(name)
    if (current === null) fail(name, 'readers get nothing')
    else if (!handedOut(before, current)) {
      const after = await again(name)
      if (handedOut(after, current)) return
      if ([...before.open, ...after.open].includes('mint')) {
        early.set(name, (early.get(name) ?? new Set()).add(current))
        return
      }
      const whose = after.versions.find(({ fingerprint }) => fingerprint === current)
      fail(name, `readers get ${whose ? shown(whose) : 'what is no version of it'}`)
    }
  }

  /** What was encrypted, by the version that did it. */
  const made = new Map<string, Map<string, { readonly plain: string; readonly sealed: string }>>()
  const useTransit = async (name: string): Promise<void> => {
    const of = made.get(name) ?? new Map()
    made.set(name, of)
    const plain = randomBytes(24).toString('base64')
    const encrypted = await vault.api('POST', `transit/encrypt/${name}`, { plaintext: plain })
    const sealed = String(encrypted.data['ciphertext'])
    of.set(sealed.split(':')[1] ?? '', { plain, sealed })
    for (const each of of.values()) {
      const { data } = await vault.api('POST', `transit/decrypt/${name}`, {
        ciphertext: each.sealed,
      })
      if (data['plaintext'] !== each.plain) fail(name, `${each.sealed} opened to something else`)
      used(name)
    }
  }

  const round = async (
    names: readonly string[],
    use: (name: string, before: Served) => Promise<void>,
  ): Promise<void> => {
    for (let began = 0; running; await pause(Math.max(100, began + roundMs - performance.now()))) {
      began = performance.now()
      for (let n = 0; running && n < names.length; n += together) {
        const some = names.slice(n, n + together)
        const before = await served(some)
        await Promise.all(
          some.map((name) =>
            use(name, before.get(name) ?? { versions: [], open: [] }).catch((error: unknown) =>
              fail(name, error instanceof Error ? error.message : String(error)),
            ),
          ),
        )
      }
    }
  }

  const rounds = [round(probed.kv, useKv), round(probed.transit, useTransit)]
  return {
    uses: () => uses,
    failures: () => failures,
    early: () => early,
    stop: async () => {
      if (!running) return
      running = false
      await Promise.all(rounds)
      await db.end()
    },
  }
}

/** Sent, and its outcome not recorded: the old version may be off already. */
const endings: ReadonlySet<string> = new Set(['suspend', 'retire'])

/** A store hands out what was written to it, before that is proven: a version that is not active yet counts. */
const handedOut = ({ versions }: Served, fingerprint: string): boolean =>
  versions.some(
    (version) =>
      version.fingerprint === fingerprint &&
      (version.state === 'active' || version.state === 'preActivation'),
  )

const shown = ({ version, state, primary }: Served['versions'][number]): string =>
  `${version} ${state}${primary ? ' primary' : ''}`

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
