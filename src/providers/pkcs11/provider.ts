// Tokens that speak PKCS#11: hardware security modules, smart cards, SoftHSM. The library is native code of somebody else's
// and runs in a process of its own for each connection (token-main.ts); Rekey outlives whatever it does.

import { Type } from 'typebox'
import { failedCheck } from '../failed-check.ts'
import type { Check, ConnectArgs, Provider, Session } from '#domain/provider.ts'
import { keySession, pkcs11Key } from './key.ts'
import { makeAsk } from './login.ts'
import { ckm, tokenFlags, type TokenFacts } from './protocol.ts'
import { labelOf, readSettings, settingsSchema } from './settings.ts'

export const pkcs11: Provider = {
  id: 'pkcs11',
  title: 'Tokens and HSMs (PKCS#11)',
  settingsSchema,
  credentialSchema: Type.String({ minLength: 1, maxLength: 256, description: 'The PIN.' }),
  types: [pkcs11Key],
  // The library dials, if anything does.
  endpoints: () => [],
  connect: (at) => tokenSession(at),
}

const tokenSession = ({ settings, credential, ports }: ConnectArgs): Session => {
  const { tokenLabel, library } = readSettings(settings)
  const token = ports.nativeProcess(new URL('token-main.ts', import.meta.url))
  const ask = makeAsk(token, { tokenLabel, library }, { credential, ports })
  const key = keySession(ask, ports.random)
  return {
    ...key,
    async check(call, objects = []) {
      let facts: TokenFacts
      try {
        facts = await ask('facts', {}, call)
      } catch (error) {
        return [failedCheck('reachable', error)]
      }
      const checks: Check[] = [
        {
          name: 'reachable',
          outcome: 'ok',
          detail: `${facts.manufacturer} ${facts.model}, serial ${facts.serial}`,
        },
        ...mechanismChecks(facts),
        ...((facts.flags & tokenFlags.userPinCountLow) === 0
          ? []
          : [
              {
                name: 'pin.count',
                outcome: 'missing' as const,
                detail: 'somebody has sent the token a wrong PIN since its last good login',
                hint: 'find out who: after a few more it locks itself',
              },
            ]),
      ]
      for (const object of objects) {
        // oxlint-disable-next-line no-await-in-loop -- a token answers one at a time
        checks.push(await checkObject(object))
      }
      return checks

      async function checkObject(object: (typeof objects)[number]): Promise<Check> {
        const name = `object ${labelOf(object.ref)}`
        try {
          await key.prepare(object, null, call)
          return { name, outcome: 'ok', detail: 'it is there' }
        } catch (error) {
          return failedCheck(name, error)
        }
      }
    },
    async missingRights() {
      return []
    },
    inventory: async (type, cursor, call) => {
      const { items, next } = await key.inventory(type, cursor, call)
      const named = items.map((item) => ({
        ...item,
        objectId: pkcs11Key.objectId({ settings, ref: item.ref, keyName: '' }),
      }))
      return { items: named, next }
    },
    close: async () => token.close(),
  }
}

const mechanismChecks = ({ mechanisms }: TokenFacts): readonly Check[] =>
  Object.entries({ AES: ckm.aesKeyGen, EC: ckm.ecKeyGen, RSA: ckm.rsaKeyGen }).map(
    ([name, mechanism]): Check =>
      mechanisms.includes(mechanism)
        ? { name: `mechanism ${name}`, outcome: 'ok', detail: `the token makes ${name} keys` }
        : {
            name: `mechanism ${name}`,
            outcome: 'unknown',
            detail: `the token makes no ${name} keys`,
          },
  )
