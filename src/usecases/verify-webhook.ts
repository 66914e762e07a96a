// `verify: [{type: webhook, url}]`: an application is asked whether the new version works for it. It gets names and numbers,
// never a value, and answers 2xx for yes.

import type { Rotation } from '#domain/rotation.ts'
import type { Run } from './rotation-engine.ts'

const timeoutMs = 10_000

/** Null when all said yes; else one sentence on who did not. */
export const verifyWebhooks = async (
  run: Run,
  rotation: Rotation,
  version: number,
): Promise<string | null> => {
  for (const check of rotation.plan.policy.verify) {
    if (check.type !== 'webhook' || check.url === undefined) continue
    const host = new URL(check.url).host
    try {
      const response = await run.world.fetch(check.url, {
        method: 'POST',
        redirect: 'manual',
        signal: run.clock.deadline(timeoutMs),
        headers: { 'content-type': 'application/json', 'user-agent': 'rekey-verify' },
        body: JSON.stringify({
          type: 'rekey.verify',
          key: rotation.keyName,
          version,
          rotation: rotation.id,
        }),
      })
      await response.body?.cancel()
      if (!response.ok) return `the verify webhook at ${host} answered ${response.status}`
    } catch {
      return `the verify webhook at ${host} could not be asked`
    }
  }
  return null
}
