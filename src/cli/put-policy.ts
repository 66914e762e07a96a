// One document of a file to the server: created, changed or unchanged.
//
// The live revision is read first and named in If-Match, so that nobody's change is overwritten unseen. A PUT whose reply
// was lost is not repeated blindly: the policy is read again, and what was sent is sent under the new revision; the same
// document twice makes no new revision, so that this ends in the same state either way.

import type { JsonObject } from '#domain/json.ts'
import type { Client, Reply } from './client.ts'
import { segment } from './segment.ts'
import { isFailure } from './failure.ts'
import { policyDocument } from './policy-document.ts'
import { objectAt, sameJson } from './read-json.ts'

export interface PolicyFile {
  readonly name: string
  /** The whole document: the server's pointers are then into the file. */
  readonly document: JsonObject
}

export interface Put {
  readonly result: 'created' | 'changed' | 'unchanged'
  readonly policy: JsonObject
}

export const putPolicy = async (
  client: Client,
  policy: PolicyFile,
  dryRun: boolean,
): Promise<Put> => {
  const path = `/v1/policies/${segment(policy.name)}`
  const before = await readLive(client, path)
  const put = (live: Reply | null): Promise<Reply> =>
    client.send({ method: 'PUT', path, body: policy.document, ...precondition(live), dryRun })
  try {
    return outcome(before, await put(before), dryRun)
  } catch (error) {
    const lost = isFailure(error, 'cli.unreachable') && error.info.changed !== 'nothing'
    if (!lost || dryRun) throw error
    return outcome(before, await put(await readLive(client, path)), dryRun)
  }
}

const readLive = async (client: Client, path: string): Promise<Reply | null> => {
  try {
    return await client.send({ method: 'GET', path })
  } catch (error) {
    if (isFailure(error, 'resource.notFound')) return null
    throw error
  }
}

const precondition = (live: Reply | null): { ifMatch: string } | { ifNoneMatch: '*' } =>
  live === null ? { ifNoneMatch: '*' } : { ifMatch: live.etag ?? '*' }

const outcome = (before: Reply | null, after: Reply, dryRun: boolean): Put => {
  const policy = objectAt(after.body)
  if (before === null) return { result: 'created', policy }
  // A dry run has no new revision to compare.
  const same = dryRun ? sameWritable(objectAt(before.body), policy) : before.etag === after.etag
  return { result: same ? 'unchanged' : 'changed', policy }
}

const sameWritable = (a: JsonObject, b: JsonObject): boolean =>
  sameJson(policyDocument(a), policyDocument(b))
