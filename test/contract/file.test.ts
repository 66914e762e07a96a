// The file system is the peer. It has no network in between, and counts nothing that is written over unseen: what a crash leaves,
// and which paths are taken, is seen in test/providers/file.

import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ObjectAddress } from '#domain/provider.ts'
import { files } from '#providers/file/provider.ts'
import { plainPorts, type ContractPeer } from './peer.ts'
import { providerContract } from './suite.ts'

const addressOf = (path: string): ObjectAddress => ({
  type: 'file',
  ref: { path },
  keyId: randomUUID(),
  keyName: 'contract',
})

const startFiles = async (): Promise<ContractPeer> => {
  const directory = await mkdtemp(join(tmpdir(), 'rekey-files-'))
  const pathOf = (object: ObjectAddress): string => {
    const { path } = object.ref
    return join(directory, typeof path === 'string' ? path : '')
  }
  /** What each was seen to hold, in order: one place, one value. */
  const seen = new Map<string, string[]>()
  const had = async (object: ObjectAddress): Promise<number> => {
    const path = pathOf(object)
    const all = seen.get(path) ?? []
    const now = await readFile(path, 'utf8').catch(() => null)
    if (now !== null && all.at(-1) !== now) all.push(now)
    seen.set(path, all)
    // A draft that is left behind is a second copy of the value.
    const drafts = (await readdir(directory)).filter((name) => name.startsWith('.'))
    return all.length + drafts.length
  }
  return {
    settings: {},
    credential: null,
    ports: { ...plainPorts(), publishDir: directory },
    newObject: async () => {
      const object = addressOf(randomUUID())
      await writeFile(pathOf(object), randomBytes(20).toString('hex'), { mode: 0o600 })
      await had(object)
      return object
    },
    unborn: () => addressOf(randomUUID()),
    versions: had,
    foreign: async (object) => writeFile(pathOf(object), 'by somebody else'),
    stop: () => rm(directory, { recursive: true, force: true }),
  }
}

providerContract({
  provider: files,
  type: 'file',
  start: startFiles,
  without: ['inventory', 'faults', 'rights', 'names'],
})
