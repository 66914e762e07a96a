// A policy as the document that `apply` takes: what the server says about it (`status`, receipts) is left out.

import type { JsonObject } from '#domain/json.ts'
import { objectAt, textAt } from './read-json.ts'

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
    spec: objectAt(policy, 'spec'),
  }
}
