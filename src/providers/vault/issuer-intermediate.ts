// The next intermediate of a mount: asked for with a key that Vault makes and keeps there, signed by its parent, brought back
// with the chain that leads to it, and named. In this order, and what a crash leaves after each request:
//
//   the request, with a key of our name    a key that nothing uses
//   the signature of the parent            the same; a certificate that is nowhere but in the parent's own list
//   the certificate is brought in          the issuer, known by its key
//   it gets our name                       done
//
// Until the certificate is in, the next attempt begins anew with a key of its own; the one that was left goes with the next
// issuer that is destroyed (issuer-destroy.ts). From then on the probe finds the issuer by the key.

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call } from '#domain/provider.ts'
import { listIssuers, listKeys, type Listed } from './issuer-read.ts'
import type { IssuerRef, ParentRef } from './refs.ts'
import type { Ask } from './session.ts'
import { fieldsOf, textOf, textsOf } from '../untyped-json.ts'

/** Ours, whether it has got its name yet or not. */
export const findByKey = async (
  ask: Ask,
  ref: IssuerRef,
  name: string,
  call: Call,
): Promise<Listed | null> => {
  const key = (await listKeys(ask, ref, call)).find((one) => one.name === name)
  if (key === undefined) return null
  return (await listIssuers(ask, ref, call)).find(({ keyId }) => keyId === key.id) ?? null
}

export const makeIntermediate = async (
  ask: Ask,
  ref: IssuerRef & { readonly parent: ParentRef },
  { name, likeness }: { readonly name: string; readonly likeness: JsonObject },
  call: Call,
): Promise<string> => {
  const { parent } = ref
  const write = async (path: string, body: JsonObject) =>
    (await ask({ verb: 'write', path, body, changes: true }, call)).data
  const { key_type: type, key_bits: bits, ...subject } = likeness
  const there = (await listKeys(ask, ref, call)).find((one) => one.name === name)
  const request = there
    ? await write(parent.requestAgainPath, { ...subject, key_ref: there.id })
    : await write(parent.requestPath, {
        ...subject,
        ...(type === undefined ? {} : { key_type: type }),
        ...(bits === undefined ? {} : { key_bits: bits }),
        key_name: name,
      })
  const signed = await write(parent.signPath, { ...subject, csr: textOf(request['csr']) })
  const chain = [textOf(signed['certificate']), ...textsOf(signed['ca_chain'])]
  const brought = await write(parent.importPath, { pem_bundle: [...new Set(chain)].join('\n') })
  const key = there?.id ?? textOf(request['key_id'])
  const [id] = Object.entries(fieldsOf(brought['mapping'])).find(([, keyId]) => keyId === key) ?? []
  if (id === undefined)
    throw new ProviderError('outcomeUnknown', 'unknown', 'the new intermediate was not told')
  await ask(
    { verb: 'patch', path: ref.issuerPath(id), body: { issuer_name: name }, changes: true },
    call,
  )
  return id
}
