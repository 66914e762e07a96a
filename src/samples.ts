// What the first `npm start` finds there: a connection to the built-in vault, a few keys, a consumer, and the policies and the
// playbook of `policies/`. Every step looks before it makes, so that a start that was killed in the middle is finished by the next
// one;
// a file in the data directory says that it is done, and nothing of it comes back after somebody deleted it.

import { access, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Check } from 'typebox/value'
import type { Actor } from '#domain/actor.ts'
import { noPrecondition } from '#domain/precondition.ts'
import { playbookDocumentSchema } from '#domain/playbook-schema.ts'
import { readYaml } from '#domain/yaml-document.ts'
import { putConnection } from '#usecases/put-connection.ts'
import { putConsumer } from '#usecases/put-consumer.ts'
import { putPlaybook } from '#usecases/put-playbook.ts'
import { putPolicy } from '#usecases/put-policy.ts'
import { registerKey } from '#usecases/register-key.ts'
import type { House } from './app.ts'

/** The owner of what is made here. */
const samples: Actor = {
  type: 'system',
  id: 'system:samples',
  name: 'samples',
  roles: ['admin'],
  scope: null,
  consumer: null,
  keys: null,
}

const owner = 'samples'
const connection = 'built-in'
const keys = [
  {
    name: 'sample-api-token',
    type: 'local.secret',
    purpose: 'a secret that rotates every minute, to watch',
    labels: { sample: 'fast' },
  },
  {
    name: 'sample-data-key',
    type: 'local.key',
    purpose: 'encryption of the sample application',
    labels: { app: 'sample' },
    generate: { algorithm: 'aes256' },
  },
  {
    name: 'sample-signing-key',
    type: 'local.key',
    purpose: 'signatures of the sample application',
    labels: { app: 'sample' },
    generate: { algorithm: 'ed25519' },
  },
] as const

/** Nothing of it is made in this data directory, from now on. */
export const skipSamples = (dataDir: string, at: Date): Promise<void> =>
  writeFile(doneFile(dataDir), `${at.toISOString()}\n`, { mode: 0o600 })

const doneFile = (dataDir: string): string => join(dataDir, 'samples-applied')

export const applySamples = async (
  house: House,
  dataDir: string,
  folder: URL,
): Promise<boolean> => {
  if (await exists(doneFile(dataDir))) return false
  const { ledger } = house
  const there = await ledger.read(async (db) => ({
    connection: await db.connections.get(connection),
    consumer: await db.consumers.get('sample-app'),
  }))
  if (!there.connection) {
    await putConnection(house)(samples, {
      name: connection,
      body: { provider: 'local' },
      precondition: noPrecondition,
      managedBy: owner,
    })
  }
  if (!there.consumer) {
    const body = { owner: 'samples', labels: { uses: 'sample-keys' } }
    await putConsumer(house)(samples, {
      name: 'sample-app',
      body,
      precondition: noPrecondition,
      managedBy: owner,
    })
  }
  for (const key of keys) {
    // oxlint-disable-next-line no-await-in-loop -- few, and one after the other is easier to follow
    const found = await ledger.read((db) => db.keys.byName(key.name))
    // oxlint-disable-next-line no-await-in-loop -- see above
    const primary = found && (await ledger.read((db) => db.versions.primary(found.id)))
    if (primary) continue
    const registration = {
      ...key,
      connection,
      owner: 'samples',
      environment: 'sample',
      create: true,
    }
    // oxlint-disable-next-line no-await-in-loop -- see above
    await registerKey(house)(samples, { registration, dryRun: false, managedBy: owner })
  }
  const files = (await readdir(folder)).filter((file) => /\.ya?ml$/.test(file)).toSorted()
  for (const file of files) {
    // oxlint-disable-next-line no-await-in-loop -- see above
    const text = await readFile(new URL(file, folder), 'utf8')
    for (const { value } of readYaml(text).documents) {
      await putDocument(house, value) // oxlint-disable-line no-await-in-loop -- see above
    }
  }
  await skipSamples(dataDir, house.clock.now())
  return true
}

const putDocument = async (house: House, document: unknown): Promise<void> => {
  const put = { precondition: noPrecondition, managedBy: owner }
  if (!Check(playbookDocumentSchema, document)) {
    await putPolicy(house)(samples, { ...put, name: null, body: document }).catch(unlessThere)
    return
  }
  const { metadata, spec } = document
  const { name, labels = {} } = metadata
  if (await house.ledger.read((db) => db.playbooks.get(name))) return
  await putPlaybook(house)(samples, { ...put, name, body: { ...spec, labels } })
}

const unlessThere = (error: unknown): void => {
  if (!(error instanceof Error && 'code' in error && error.code === 'resource.exists')) throw error
}

const exists = async (path: string): Promise<boolean> => {
  try {
    await access(path)
    return true
  } catch {
    return false
  }
}
