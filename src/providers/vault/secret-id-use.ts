// A secret_id, used for real: by logging in with it, and giving the token back at once. Only one that Vault takes is used so. A
// login that fails counts towards Vault's lockout of the role (five in a quarter of an hour lock out all of its applications):
// that a secret_id is refused is therefore asked, not tried.

import {
  ProviderError,
  type Call,
  type ProviderPorts,
  type Verdict,
  type VerifyOrder,
} from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import type { Client } from './client.ts'
import { readSecretIdRef, type SecretIdRef } from './refs.ts'
import { lookUp, lookUpAccessor } from './secret-id-read.ts'
import type { Ask } from './session.ts'
import { materialText } from '../material-text.ts'
import { textOf } from '../untyped-json.ts'

export interface SecretIdUseAt {
  readonly ask: Ask
  readonly client: Client
  readonly ports: Pick<ProviderPorts, 'now'>
}

export const makeSecretIdUse = ({ ask, client, ports }: SecretIdUseAt) => {
  const logIn = async (ref: SecretIdRef, secretId: string, call: Call): Promise<Verdict> => {
    const role = await ask({ verb: 'read', path: ref.roleIdPath }, call)
    const login = await client.send(
      {
        verb: 'write',
        path: ref.loginPath,
        body: { role_id: textOf(role.data['role_id']), secret_id: secretId },
        accept: [400, 403],
      },
      null,
      call,
    )
    const facts = { operation: 'login', status: login.status }
    if (login.status !== 200)
      return {
        ok: false,
        detail:
          login.status === 403
            ? 'the login was refused: the role is locked out, or not to be used from here'
            : 'the login was refused',
        facts,
      }
    const given = await giveBack(new Secret(textOf(login.auth['client_token'])), call)
    return { ok: true, facts: { ...facts, token: given ? 'revoked' : 'left to its end' } }
  }

  /** Whether it is revoked: a token without the default policy may not do it, a batch token cannot be. */
  const giveBack = async (token: Secret, call: Call): Promise<boolean> => {
    try {
      const path = 'auth/token/revoke-self'
      await client.send({ verb: 'write', path, body: {}, changes: true }, token, call)
      return true
    } catch (error) {
      if (error instanceof ProviderError) return false
      throw error
    }
  }

  const works = async (order: VerifyOrder, call: Call): Promise<Verdict> => {
    const ref = readSecretIdRef(order.object.ref)
    const { material, providerVersion } = order
    const gone = { ok: false, detail: 'Vault has no such secret_id', facts: {} } as const
    if (material === null) {
      // Somebody else made it: what Vault says of it must do.
      const told = await lookUpAccessor(ask, ref, providerVersion, ports.now(), call)
      return told === null ? gone : { ok: true, facts: { operation: 'lookup' } }
    }
    const secretId = materialText(material)
    const told = await lookUp(ask, ref, secretId, ports.now(), call)
    if (told === null) return gone
    return told.accessor === providerVersion
      ? logIn(ref, secretId, call)
      : { ok: false, detail: 'the secret_id is that of another accessor', facts: {} }
  }

  const isRefused = async (order: VerifyOrder, call: Call): Promise<Verdict> => {
    const ref = readSecretIdRef(order.object.ref)
    const { material, providerVersion } = order
    const told =
      (await lookUpAccessor(ask, ref, providerVersion, ports.now(), call)) ??
      (material === null ? null : await lookUp(ask, ref, materialText(material), ports.now(), call))
    const facts = { operation: 'lookup' }
    return told === null
      ? { ok: true, facts }
      : { ok: false, detail: 'Vault still takes it', facts }
  }

  return {
    verify: async (order: VerifyOrder, call: Call): Promise<Verdict> => {
      if (order.how === 'roundTrip' || order.how === 'login') return works(order, call)
      if (order.how === 'refused') return isRefused(order, call)
      throw new ProviderError('unsupported', 'none', 'a secret_id is verified by logging in')
    },
  }
}
