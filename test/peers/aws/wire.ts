// AWS's two protocols, as far as the stand-in speaks them: JSON with the operation in a header (Secrets Manager, KMS), and
// forms answered with XML (IAM, STS).

import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export type Body = Readonly<Record<string, unknown>>
export type ServiceName = 'secretsmanager' | 'kms' | 'iam' | 'sts'

export interface Asked {
  readonly service: ServiceName
  readonly operation: string
  readonly body: Body
  readonly text: string
  readonly headers: IncomingHttpHeaders
}

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

/** Null: no request of these four services. */
export const readAsked = (
  service: string,
  headers: IncomingHttpHeaders,
  text: string,
): Asked | null => {
  if (service === 'iam' || service === 'sts') {
    const form = Object.fromEntries(new URLSearchParams(text))
    return { service, operation: form['Action'] ?? '', body: form, text, headers }
  }
  if (service !== 'secretsmanager' && service !== 'kms') return null
  const operation =
    String(headers['x-amz-target'] ?? '')
      .split('.')
      .at(-1) ?? ''
  return { service, operation, body: JSON.parse(text || '{}') as Body, text, headers }
}

export const isQuery = (service: ServiceName): boolean => service === 'iam' || service === 'sts'

export const json = (value: unknown, status = 200): Reply => ({
  status,
  headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-requestid': randomUUID() },
  text: JSON.stringify(value),
})

const namespaces = {
  iam: 'https://iam.amazonaws.com/doc/2010-05-08/',
  sts: 'https://sts.amazonaws.com/doc/2011-06-15/',
} as const

export const xml = (service: 'iam' | 'sts', operation: string, result: string): Reply => ({
  status: 200,
  headers: { 'content-type': 'text/xml' },
  text: `<${operation}Response xmlns="${namespaces[service]}"><${operation}Result>${result}</${operation}Result><ResponseMetadata><RequestId>${randomUUID()}</RequestId></ResponseMetadata></${operation}Response>`,
})

/** An error as the service writes it. `status` is of the query protocol; JSON services answer 400. */
export const refusal = (
  service: ServiceName,
  code: string,
  message: string,
  status = 400,
): Reply => {
  if (!isQuery(service)) return json({ __type: code, message, Message: message }, 400)
  const id = randomUUID()
  return {
    status,
    headers: { 'content-type': 'text/xml', 'x-amzn-requestid': id },
    text: `<ErrorResponse xmlns="${namespaces[service === 'sts' ? 'sts' : 'iam']}"><Error><Type>Sender</Type><Code>${code}</Code><Message>${escaped(message)}</Message></Error><RequestId>${id}</RequestId></ErrorResponse>`,
  }
}

export const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

export const textIn = (body: Body, name: string): string => {
  const value = body[name]
  return typeof value === 'string' ? value : ''
}

export const textsIn = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []

/** `ActionNames.member.1`, … of a form. */
export const membersOf = (body: Body, name: string): readonly string[] =>
  Object.keys(body)
    .filter((key) => key.startsWith(`${name}.member.`))
    .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .map((key) => textIn(body, key))
