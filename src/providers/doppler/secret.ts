// `doppler.secret`: one secret of one config. Doppler keeps one value in each (single-value.ts); a write names the value that it
// expects to find (`originalValue`) and is refused where another is there.
//
// Three things stand in a config that are not its own, and are not written over: a secret that its root config or an inherited
// config has (secret-origin.ts), and one that refers to others (`${…}`), whose value is theirs.

import {
  ProviderError,
  type Call,
  type ObjectAddress,
  type ProviderPorts,
} from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { singleValue, type ValuePlace } from '../single-value.ts'
import type { Ask } from './client.ts'
import { readSecretRef, type SecretRef } from './refs.ts'
import { rightOf } from './rights.ts'
import { lookAtOrigin, readConfig } from './secret-origin.ts'
import { fieldsOf } from '../untyped-json.ts'

interface At {
  readonly ask: Ask
  readonly ports: Pick<ProviderPorts, 'nameOf'>
}

export const makeSecret = ({ ask, ports }: At) =>
  singleValue({
    system: 'Doppler',
    nameOf: (object, value) => ports.nameOf(object, value),
    placeOf: ({ ref }: ObjectAddress): ValuePlace => {
      const at = readSecretRef(ref)
      return {
        id: `doppler.secret:${at.at}/${at.name}`,
        read: async (call) => (await readValue(ask, at, call))?.value ?? null,
        look: (held, call) => lookAtOrigin(ask, at, held, call),
        write: (value, before, call) => {
          if (isReference(value.reveal()))
            throw new ProviderError(
              'precondition',
              'none',
              'the value has ${…} in it, which Doppler would take for a reference',
              { hint: 'generate it from an alphabet without $, or publish it elsewhere' },
            )
          return change(ask, at, { value: value.reveal() }, before, call)
        },
        remove: (before, call) => change(ask, at, { shouldDelete: true }, before, call),
      }
    },
  })

const isReference = (value: string): boolean => /\$\{[^}]*\}/.test(value)

/** Null: the config shows no such secret. Throws where the value is not a plain one of its own. */
export const readValue = async (
  ask: Ask,
  { place, at, name }: SecretRef,
  call: Call,
): Promise<{ readonly value: Secret } | null> => {
  const { status, body } = await ask(
    {
      method: 'GET',
      path: '/v3/configs/config/secret',
      query: { ...place, name },
      needs: rightOf.describe,
      at,
      accept: [404],
    },
    call,
  )
  if (status === 404) {
    // A config that the token does not see is not there either: what stands in it is not known then. Throws.
    await readConfig(ask, { place, at }, call)
    return null
  }
  const { raw, computed } = fieldsOf(body['value'])
  if (raw === null || raw === undefined)
    throw new ProviderError('precondition', 'none', 'Doppler does not show the value', {
      hint: 'its visibility is restricted: Rekey must read it to compare and to undo',
    })
  if (typeof raw !== 'string')
    throw new ProviderError('transient', 'none', 'Doppler’s answer cannot be read')
  if (computed !== raw)
    throw new ProviderError('precondition', 'none', 'the secret refers to others', {
      hint: originsIn(raw),
    })
  return { value: new Secret(raw) }
}

/** Names only: what stands around them may be part of a value. */
const originsIn = (raw: string): string => {
  const names = [...raw.matchAll(/\$\{([A-Za-z0-9_.-]{1,200})\}/g)].map(([, name]) => name)
  return names.length === 0
    ? 'rotate what it refers to, or give it a value of its own'
    : `rotate what it refers to (${[...new Set(names)].join(', ')}), or give it a value of its own`
}

/** Once, and only where it holds what it held. Null: nothing was there. */
const change = async (
  ask: Ask,
  { place, at, name }: SecretRef,
  to: { readonly value: string } | { readonly shouldDelete: true },
  before: Secret | null,
  call: Call,
): Promise<void> => {
  const value = 'value' in to ? to.value : null
  const { body } = await ask(
    {
      method: 'POST',
      path: '/v3/configs/config/secrets',
      body: {
        ...place,
        change_requests: [
          {
            name,
            originalName: before === null ? null : name,
            value,
            ...(before === null ? {} : { originalValue: before.reveal() }),
            ...('shouldDelete' in to ? { shouldDelete: true } : {}),
          },
        ],
      },
      needs: rightOf.rotate,
      at,
    },
    call,
  )
  if (typeof body['secrets'] !== 'object' || body['secrets'] === null)
    throw new ProviderError('outcomeUnknown', 'unknown', 'Doppler’s answer cannot be read')
}
