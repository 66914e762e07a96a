// A policy as the document that `apply` takes: what the server says about it (`status`, receipts) is left out.

import type { JsonObject } from '#domain/json.ts'
import { isObject, objectAt, textAt } from './read-json.ts'

/** What is not a field of the spec in the API's form of a policy, where the spec lies flat. */
const beside = new Set(['name', 'labels', 'annotations', 'status', 'audit', 'dryRun'])

export const specOf = (policy: JsonObject): JsonObject =>
  isObject(policy['spec'])
    ? policy['spec']
    : Object.fromEntries(Object.entries(policy).filter(([member]) => !beside.has(member)))

export const policyDocument = (policy: JsonObject): JsonObject => {
  const labels = objectAt(policy, 'labels')
  const annotations = objectAt(policy, 'annotations')
  return {
    apiVersion: 'rekey.dev/v1',
    kind: 'RotationPolicy',
    metadata: {
      name: textAt(policy, 'name'),
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    },
    spec: specOf(policy),
  }
}
