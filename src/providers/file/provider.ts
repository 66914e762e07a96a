// Files of the host that Rekey runs on: where applications read a credential from a path. A target of `publish` above all; a
// file may be a key of its own as well. One place, one value (single-value.ts).

import { Type } from 'typebox'
import { generateSecret, generateSecretSchema } from '#domain/generate-secret.ts'
import {
  ProviderError,
  type Call,
  type Check,
  type ConnectArgs,
  type KeyType,
  type Provider,
  type Session,
  type TypeTraits,
} from '#domain/provider.ts'
import { failedCheck } from '../failed-check.ts'
import { singleValue, singleValueTraits, type ValuePlace } from '../single-value.ts'
import { findPlace, pathIn, pathPattern, readFileAt } from './place.ts'
import { removeFileAt, writeFileAt } from './write.ts'

const traits: TypeTraits = {
  ...singleValueTraits,
  // Nothing in a file system refuses a rename: what is there is compared just before.
  exactlyOnce: 'probe',
  // A write that was given up on may still come to its end.
  lateEffectMs: 10_000,
  consistency: { delayMs: 0, confirmations: 1 },
  limits: {},
}

const file: KeyType = {
  type: 'file',
  title: 'File of the host',
  traits,
  refSchema: Type.Object(
    {
      path: Type.String({
        description:
          'Below REKEY_PUBLISH_DIR, in folders that are there. The file is mode 0600 and holds the value and nothing else.',
        pattern: pathPattern,
        maxLength: 1024,
        examples: ['orders/db-password'],
      }),
    },
    { additionalProperties: false },
  ),
  generateSchema: generateSecretSchema,
  objectId: ({ ref }) => `file:${pathIn(ref)}`,
  leastPrivilege: () => ({}),
  generate: generateSecret,
}

const connect = ({ ports }: ConnectArgs): Session => {
  const { publishDir } = ports
  const started = (call: Call): void => {
    if (call.signal.aborted)
      throw new ProviderError('timeout', 'none', 'the time was over before anything was done')
  }
  const placeOf: Parameters<typeof singleValue>[0]['placeOf'] = ({ ref }): ValuePlace => {
    const path = pathIn(ref)
    const find = () => findPlace(publishDir, path)
    return {
      id: `file:${path}`,
      read: async (call) => {
        started(call)
        return readFileAt(await find())
      },
      look: async () => ({ facts: {}, risks: [] }),
      write: async (value, before, call) => {
        started(call)
        const unique = Buffer.from(ports.random(8)).toString('hex')
        await writeFileAt(await find(), { value, before, unique })
      },
      remove: async (before, call) => {
        started(call)
        await removeFileAt(await find(), before)
      },
    }
  }
  const check = async (paths: readonly string[]): Promise<readonly Check[]> => {
    const rows: Check[] = []
    for (const path of paths) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- few
        await readFileAt(await findPlace(publishDir, path))
        rows.push({ name: 'folder', outcome: 'ok', detail: 'it is safe' })
      } catch (error) {
        rows.push(failedCheck('folder', error))
      }
    }
    return rows
  }
  return {
    ...singleValue({
      system: 'the file system',
      placeOf,
      nameOf: (object, value) => ports.nameOf(object, value),
    }),
    check: (_call, objects = []) => check(['file', ...objects.map(({ ref }) => pathIn(ref))]),
    missingRights: async () => [],
    // Files are what policies name: there is nothing to be found.
    inventory: async () => ({ items: [], next: null }),
    close: async () => undefined,
  }
}

export const files: Provider = {
  id: 'file',
  title: 'Files of the host',
  settingsSchema: Type.Object({}, { additionalProperties: false }),
  credentialSchema: null,
  types: [file],
  endpoints: () => [],
  connect,
}
