// A library that lies between Rekey's PKCS#11 calls and SoftHSM's (pkcs11-between.c): it counts each call where it is carried
// out, and ends the process before or after one, as a library that crashes does.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Fault, FaultProxy, Match, Rule } from '#test/support/fault-proxy.ts'

const source = join(import.meta.dirname, 'pkcs11-between.c')

/** All that is counted and can be met. */
const names = [...readFileSync(source, 'utf8').matchAll(/_\(\d+, (C_\w+)\)/g)].map(
  ([, name = '']) => name,
)
const effects = ['C_GenerateKey', 'C_GenerateKeyPair', 'C_SetAttributeValue', 'C_DestroyObject']

export interface Between extends FaultProxy {
  readonly library: string
  /** How often each was carried out since the last time that it was asked. */
  readonly counted: () => Readonly<Record<string, number>>
}

/** `late`: makes the key that a call would have made which is held, and which dies with its process. So may a network HSM. */
export const startBetween = (at: {
  readonly library: string
  readonly folder: string
  readonly late?: (held: { readonly id: string; readonly label: string }) => void
}): Between => {
  const library = join(at.folder, 'between.so')
  const define = (name: string, value: string): string => `-D${name}=${JSON.stringify(value)}`
  execFileSync(
    'cc',
    [
      ...['-shared', '-fPIC', '-O1', define('REAL', at.library), define('AT', at.folder)],
      ...[source, '-o', library, '-ldl'],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  const file = (name: string): string => join(at.folder, name)
  const lines = (name: string): readonly string[] =>
    existsSync(file(name)) ? readFileSync(file(name), 'utf8').split('\n').filter(Boolean) : []
  const forget = (): void => rmSync(file('rule'), { force: true })

  const inject = ({ path, after = 0 }: Match, fault: Fault, times = 1): Rule => {
    const met = names.filter((name) => path.test(`/${name}`))
    if (met.length === 0) throw new Error(`no call is like ${path}`)
    for (const name of ['hits', 'held']) rmSync(file(name), { force: true })
    const ms = fault.kind === 'delay' ? fault.ms : 0
    writeFileSync(file('rule'), `${fault.kind} ${ms} ${after} ${times} ${met.join(' ')}`)
    const hits = (): number => lines('hits').length
    return {
      hits,
      hit: async (n = 1) => {
        // oxlint-disable-next-line no-await-in-loop -- a file tells nobody that it has grown
        while (hits() < n) await pause(5)
      },
      release: async () => {
        forget()
        const [id = '', label = ''] = lines('held')
        if (id !== '') at.late?.({ id, label })
      },
      remove: forget,
    }
  }

  return {
    library,
    address: library,
    inject,
    seen: () => lines('calls').map((path) => ({ method: 'C', path })),
    counted: () => {
      const counts: Record<string, number> = {}
      for (const name of lines('calls')) counts[name] = (counts[name] ?? 0) + 1
      rmSync(file('calls'), { force: true })
      return counts
    },
    reset: forget,
    stop: async () => forget(),
  }
}

/** As a rule matches them. */
export const anyEffect = new RegExp(`^/(?:${effects.join('|')})$`)
