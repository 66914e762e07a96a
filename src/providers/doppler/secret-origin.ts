// Whose value a config shows. A branch config shows what its root config has unless it has a value of its own, and a config may
// inherit others; Doppler's API does not say which of it is the case for a secret. So the places that it could come from are
// read: where none has the name, or another value, it is the config's own. Where one has the very same value, nobody can tell,
// and it is refused with that place: to write here would cut it off from there.

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call } from '#domain/provider.ts'
import type { Secret } from '#domain/secret.ts'
import type { Ask } from './client.ts'
import type { ConfigRef, SecretRef } from './refs.ts'
import { rightOf } from './rights.ts'
import { fieldsOf, rowsOf, textOf, type Fields } from '../untyped-json.ts'

export const lookAtOrigin = async (
  ask: Ask,
  ref: SecretRef,
  held: Secret | null,
  call: Call,
): Promise<{ readonly facts: JsonObject; readonly risks: readonly string[] }> => {
  const config = await readConfig(ask, ref, call)
  const root = config['root'] === true
  const environment = textOf(config['environment'])
  const inherited = rowsOf(config['inherits']).map((row) =>
    configRef(textOf(row['project']), textOf(row['config'])),
  )
  // The root config of an environment has the environment's name.
  const origins = [...(root ? [] : [configRef(ref.project, environment)]), ...inherited]
  for (const origin of held === null ? [] : origins) {
    // oxlint-disable-next-line no-await-in-loop -- a few at most, and the first that has it ends it
    const there = await rawValue(ask, origin, ref.name, call)
    if (there !== null && there === held?.reveal())
      throw new ProviderError('precondition', 'none', `the value is that of ${origin.at}`, {
        hint: `rotate it there, or give it a value of its own in ${ref.at}`,
      })
  }
  const branches = root ? await branchesOf(ask, ref, environment, call) : []
  const heirs = rowsOf(config['inheritedBy']).map(
    (row) => `${textOf(row['project'])}/${textOf(row['config'])}`,
  )
  return {
    facts: { environment, root },
    risks: [
      ...(branches.length === 0
        ? []
        : [
            `The branch configs ${branches.join(', ')} get the new value too, unless they have one of their own.`,
          ]),
      ...(heirs.length === 0 ? [] : [`${heirs.join(', ')} inherit this config and get it too.`]),
    ],
  }
}

const configRef = (project: string, config: string): ConfigRef => ({
  project,
  config,
  at: `${project}/${config}`,
  place: { project, config },
})

/** Throws where there is none that the token sees, and where the ref is another spelling of its name: one object must have one. */
export const readConfig = async (
  ask: Ask,
  ref: Pick<ConfigRef, 'place' | 'at'>,
  call: Call,
): Promise<Fields> => {
  const { body } = await ask(
    {
      method: 'GET',
      path: '/v3/configs/config',
      query: ref.place,
      needs: 'access to the config',
      at: ref.at,
    },
    call,
  )
  const config = fieldsOf(body['config'])
  const named = `${textOf(config['project'])}/${textOf(config['name'])}`
  if (named === ref.at) return config
  throw new ProviderError('precondition', 'none', 'Doppler calls the config by another name', {
    hint: `write it as ${named} in the ref`,
  })
}

const rawValue = async (
  ask: Ask,
  { place, at }: ConfigRef,
  name: string,
  call: Call,
): Promise<string | null> => {
  const { status, body } = await ask(
    {
      method: 'GET',
      path: '/v3/configs/config/secret',
      query: { ...place, name },
      needs: `${rightOf.describe} (to tell whose value it is)`,
      at,
      accept: [404],
    },
    call,
  )
  const { raw } = fieldsOf(body['value'])
  return status === 404 || typeof raw !== 'string' ? null : raw
}

const branchesOf = async (
  ask: Ask,
  ref: ConfigRef,
  environment: string,
  call: Call,
): Promise<readonly string[]> => {
  const { body } = await ask(
    {
      method: 'GET',
      path: '/v3/configs',
      query: { project: ref.project, environment, per_page: '100' },
      needs: 'access to the environment',
      at: ref.project,
    },
    call,
  )
  return rowsOf(body['configs'])
    .filter((config) => config['root'] === false)
    .map((config) => textOf(config['name']))
}
