// `verify: [{type: webhook, url}]`: an application is asked whether the new version works for it. It gets names and numbers,
// never a value, and answers 2xx for yes. That it cannot be asked, or not now, is no answer: it is asked again.

import { ProviderError } from '#domain/provider.ts'
import type { Rotation } from '#domain/rotation.ts'
import type { Run } from './rotation-engine.ts'

const timeoutMs = 10_000
/** What a proxy or a server says that is not ready. */
const notNow: ReadonlySet<number> = new Set([408, 425, 429, 502, 503, 504])

/** Null when all said yes; else one sentence on who did not. Throws ProviderError where one could not be asked. */
export const verifyWebhooks = async (
  run: Run,
  rotation: Rotation,
  version: number,
): Promise<string | null> => {
  for (const check of rotation.plan.policy.verify) {
    if (check.type !== 'webhook' || check.url === undefined) continue
    const host = new URL(check.url).host
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const status = await ask(run, rotation, version, check.url)
    if (status === null)
      throw new ProviderError(
        'transient',
        'none',
        `the verify webhook at ${host} could not be asked`,
      )
    const said = `the verify webhook at ${host} answered ${status}`
    if (notNow.has(status)) throw new ProviderError('transient', 'none', said)
    if (status < 200 || status > 299) return said
  }
  return null
}

const ask = async (
  run: Run,
  rotation: Rotation,
  version: number,
  url: string,
): Promise<number | null> => {
  try {
    const response = await run.world.fetch(url, {
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
    return response.status
  } catch {
    return null
  }
}
