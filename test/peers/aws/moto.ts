// moto's server: state and behaviour of AWS, without authentication. Nobody but the strict layer speaks to it.

import { peers } from '../peers.ts'
import { freePort, startProcess, untilReady } from '../start-process.ts'
import { isQuery, type Body, type Reply, type ServiceName } from './wire.ts'

export interface Moto {
  readonly address: string
  /** One request, as somebody in the region. */
  readonly send: (service: ServiceName, operation: string, text: string) => Promise<Reply>
  /** The same of a JSON service, and its answer; throws on any status but 200. */
  readonly ask: (service: 'secretsmanager' | 'kms', operation: string, body: Body) => Promise<Body>
  readonly stop: () => Promise<void>
}

const targets = { secretsmanager: 'secretsmanager', kms: 'TrentService' } as const

export const startMoto = async (region: string): Promise<Moto> => {
  const binary = peers.moto.find()
  if (binary === null) throw new Error('moto is not here: run `npm run peers`')
  const port = await freePort()
  const address = `http://127.0.0.1:${port}`
  const server = startProcess(binary, ['-H', '127.0.0.1', '-p', String(port)])
  await untilReady('moto', server, async () => (await fetch(`${address}/moto-api/`)).ok)

  const send: Moto['send'] = async (service, operation, text) => {
    const scope = `AKIAIOSFODNN7EXAMPLE/20260101/${region}/${service}/aws4_request`
    const reply = await fetch(`${address}/`, {
      method: 'POST',
      headers: {
        Authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`,
        ...(isQuery(service)
          ? { 'content-type': 'application/x-www-form-urlencoded' }
          : {
              'content-type': 'application/x-amz-json-1.1',
              'x-amz-target': `${targets[service === 'kms' ? 'kms' : 'secretsmanager']}.${operation}`,
            }),
      },
      body: text,
    })
    return {
      status: reply.status,
      headers: {
        'content-type': reply.headers.get('content-type') ?? 'application/octet-stream',
        'x-amzn-requestid': reply.headers.get('x-amzn-requestid') ?? 'none',
      },
      text: await reply.text(),
    }
  }
  return {
    address,
    send,
    ask: async (service, operation, body) => {
      const reply = await send(service, operation, JSON.stringify(body))
      if (reply.status !== 200) throw new Error(`${operation}: ${reply.status} ${reply.text}`)
      return JSON.parse(reply.text || '{}') as Body
    },
    stop: () => server.stop(),
  }
}
