// A real HTTP server that plays the customer's side: it keeps what came in, and answers as a test tells it.

import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'

export interface Received {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface WebhookReceiver {
  readonly url: string
  /** `whsec_…` */
  readonly secret: string
  readonly received: readonly Received[]
  /** For all requests to come. */
  answer(how: Answer): void
  /** The reference implementation's own check: signature, timestamp. Throws when one is wrong. */
  verify(request: Received): unknown
  close(): Promise<void>
}

export type Answer = (response: ServerResponse, request: Received) => void

export const answerWith =
  (status: number, headers: Record<string, string> = {}, text = ''): Answer =>
  (response) =>
    response.writeHead(status, headers).end(text)

export const startWebhookReceiver = async (
  secret = `whsec_${Buffer.alloc(24, 7).toString('base64')}`,
): Promise<WebhookReceiver> => {
  const received: Received[] = []
  let how: Answer = answerWith(204)
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => (body += chunk))
    request.on('end', () => {
      const one = { headers: request.headers, body }
      received.push(one)
      how(response, one)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/hook`,
    secret,
    received,
    answer: (next) => void (how = next),
    verify: ({ headers, body }) =>
      new Webhook(secret).verify(body, headers as Record<string, string>),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
