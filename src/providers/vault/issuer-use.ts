// An issuer, used for real: it issues a certificate for a name that is nobody's, good for a minute, by a role that is there for
// nothing else (with `no_store` Vault keeps nothing of it). What it issues must lead to the issuer's own certificate.

import { ProviderError, type Call, type Verdict, type VerifyOrder } from '#domain/provider.ts'
import type { Reply } from './client.ts'
import { certificateFrom, readIssuer } from './issuer-read.ts'
import { readIssuerRef, type IssuerRef } from './refs.ts'
import type { Ask } from './session.ts'
import { textOf } from '../untyped-json.ts'

/** RFC 2606: no host has it. */
const nobody = 'rekey-check.invalid'

const refusedToIssue =
  /requested usage issuing-certificates|unable to find PKI issuer|issuer has been revoked/

export const makeIssuerUse = (ask: Ask, now: () => Date) => {
  const issue = async (ref: IssuerRef, id: string, call: Call): Promise<Reply> => {
    const reply = await ask(
      {
        verb: 'write',
        path: ref.issuePath(id),
        body: { common_name: nobody, ttl: '60s', exclude_cn_from_sans: true },
        accept: [400],
        acceptSaying: refusedToIssue,
      },
      call,
    )
    if (reply.status !== 400) return reply
    throw new ProviderError('precondition', 'none', 'the issuer cannot be tried', {
      hint: `the mount needs the role: vault write ${ref.rolePath} allowed_domains=${nobody} allow_bare_domains=true no_store=true max_ttl=60s`,
    })
  }

  const works = async (ref: IssuerRef, id: string, call: Call): Promise<Verdict> => {
    const issuer = await readIssuer(ask, ref, id, call)
    const facts = { operation: 'issue', issuer: id }
    if (issuer === null) return { ok: false, detail: 'the mount has no such issuer', facts }
    const reply = await issue(ref, id, call)
    if (reply.status !== 200) return { ok: false, detail: 'Vault refuses to issue from it', facts }
    const leaf = certificateFrom(textOf(reply.data['certificate']))
    const authority = issuer.certificate
    const [from, to] = [authority.validFrom, authority.validTo].map((at) => new Date(at))
    const at = now()
    if (from === undefined || to === undefined || at < from || at > to)
      return { ok: false, detail: 'its certificate is not valid now', facts }
    return authority.ca && leaf.checkIssued(authority) && leaf.verify(authority.publicKey)
      ? { ok: true, facts: { ...facts, serial: leaf.serialNumber } }
      : { ok: false, detail: 'what it issued does not lead to its certificate', facts }
  }

  const isRefused = async (ref: IssuerRef, id: string, call: Call): Promise<Verdict> => {
    const { status } = await issue(ref, id, call)
    const facts = { operation: 'issue', issuer: id, status }
    return status === 200
      ? { ok: false, detail: 'Vault still issues from it', facts }
      : { ok: true, facts }
  }

  return {
    verify: async ({ object, providerVersion, how }: VerifyOrder, call: Call): Promise<Verdict> => {
      const ref = readIssuerRef(object.ref)
      if (how === 'roundTrip') return works(ref, providerVersion, call)
      if (how === 'refused') return isRefused(ref, providerVersion, call)
      throw new ProviderError('unsupported', 'none', 'an issuer is verified by issuing from it')
    },
  }
}
