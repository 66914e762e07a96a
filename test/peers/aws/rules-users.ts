// IAM users and their access keys, where moto is lax. From the API reference of IAM and the IAM User Guide:
//
//   CreateAccessKey       the key works from now on, with the rights of its user
//   UpdateAccessKey       an inactive key is refused by every service, as one that never was
//   DeleteAccessKey       so is a deleted one
//   GetAccessKeyLastUsed  when a request was last signed with the key, and of which service; N/A: never
//   ListUsers             in pages
//   PutUserPolicy         counts from now on
//
// `stale(n)`: the next n answers of ListAccessKeys are from before the last write.
// Not there: boundaries, groups, the credential report.

import type { Json } from '#domain/json.ts'
import type { Principals } from './principals.ts'
import type { RuleAt, Rules } from './rules.ts'
import { refusal, textIn, xml, type Reply } from './wire.ts'

const service = 'iam'

export const makeUserRules = (
  principals: Principals,
  policiesOf: Map<string, readonly Json[]>,
): Rules & { readonly stale: (answers: number) => void } => {
  const before = new Map<string, string>()
  let stale = 0

  const arnOf = async ({ moto }: RuleAt, user: string): Promise<string> => {
    const form = String(new URLSearchParams({ Action: 'GetUser', UserName: user }))
    const { text } = await moto.send(service, 'GetUser', form)
    return tag(text, 'Arn') ?? `arn:aws:iam::123456789012:user/${user}`
  }
  const listed = async ({ moto }: RuleAt, user: string): Promise<string> => {
    const form = String(new URLSearchParams({ Action: 'ListAccessKeys', UserName: user }))
    return (await moto.send(service, 'ListAccessKeys', form)).text
  }
  const lastUsed = (id: string): Reply => {
    const key = principals.get(id)
    const user = key?.of().arn.split('/').at(-1)
    if (key === undefined || user === undefined)
      return refusal(service, 'NoSuchEntity', `The Access Key with id ${id} cannot be found.`, 404)
    const use = key.lastUsed
    return xml(
      service,
      'GetAccessKeyLastUsed',
      `<UserName>${user}</UserName><AccessKeyLastUsed>${
        use === null
          ? '<Region>N/A</Region><ServiceName>N/A</ServiceName>'
          : `<LastUsedDate>${use.at.toISOString().replace(/\.\d+/, '')}</LastUsedDate><Region>eu-west-1</Region><ServiceName>${use.service}</ServiceName>`
      }</AccessKeyLastUsed>`,
    )
  }

  return {
    writes: new Set([
      'CreateUser',
      'CreateAccessKey',
      'UpdateAccessKey',
      'DeleteAccessKey',
      'PutUserPolicy',
    ]),
    stale: (answers) => {
      stale = answers
    },
    subject: (body) => textIn(body, 'UserName'),
    resource: async (at) => {
      const { body } = at.asked
      const id = textIn(body, 'AccessKeyId')
      const user = textIn(body, 'UserName')
      if (user !== '') return arnOf(at, user)
      return id === '' ? '*' : (principals.get(id)?.of().arn ?? '*')
    },
    before: async (at) => {
      const { operation, body } = at.asked
      const user = textIn(body, 'UserName')
      if (operation === 'GetAccessKeyLastUsed') return lastUsed(textIn(body, 'AccessKeyId'))
      if (/^(Create|Update|Delete)AccessKey$/.test(operation))
        before.set(user, await listed(at, user))
      const old = before.get(user)
      if (operation === 'ListAccessKeys' && stale > 0 && old !== undefined) {
        stale -= 1
        return complete({ status: 200, headers: { 'content-type': 'text/xml' }, text: old })
      }
      return null
    },
    after: async (at, reply) => {
      if (reply.status !== 200) return reply
      const { operation, body } = at.asked
      const id = textIn(body, 'AccessKeyId')
      switch (operation) {
        case 'CreateAccessKey': {
          const arn = await arnOf(at, tag(reply.text, 'UserName') ?? '')
          principals.add({
            id: tag(reply.text, 'AccessKeyId') ?? '',
            secret: tag(reply.text, 'SecretAccessKey') ?? '',
            sessionToken: null,
            expiresAt: null,
            of: () => ({ arn, documents: policiesOf.get(arn) ?? [], tokenIssuedAt: null }),
          })
          return reply
        }
        case 'UpdateAccessKey':
          principals.setActive(id, body['Status'] === 'Active')
          return reply
        case 'DeleteAccessKey':
          principals.remove(id)
          return reply
        case 'PutUserPolicy': {
          const arn = await arnOf(at, textIn(body, 'UserName'))
          const document = JSON.parse(textIn(body, 'PolicyDocument')) as Json
          policiesOf.set(arn, [...(policiesOf.get(arn) ?? []), document])
          return reply
        }
        case 'ListAccessKeys':
          return complete(reply)
        case 'ListUsers':
          return paged(reply, Number(body['MaxItems'] ?? 100), Number(body['Marker'] ?? 0))
        default:
          return reply
      }
    },
  }
}

const tag = (text: string, name: string): string | undefined =>
  new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1]

/** moto leaves it out. */
const complete = (reply: Reply): Reply => ({
  ...reply,
  text: reply.text.replace('<ListAccessKeysResult>', '$&<IsTruncated>false</IsTruncated>'),
})

/** moto gives all of them at once. */
const paged = (reply: Reply, size: number, from: number): Reply => {
  const [, inside = ''] = /<Users>([^]*)<\/Users>/.exec(reply.text) ?? []
  const all = inside.match(/<member>[^]*?<\/member>/g) ?? []
  const page = all.slice(from, from + size)
  const more = from + size < all.length
  return xml(
    service,
    'ListUsers',
    `<IsTruncated>${more}</IsTruncated>${more ? `<Marker>${from + size}</Marker>` : ''}<Users>${page.join('')}</Users>`,
  )
}
