// A process of its own, as on a virtual machine: MSAL looks for the platform that it is on once in the life of a process. Reads
// the secret `known` with the identity of the host, and tells what came of it.
//
//   VAULT_SETTINGS   settings of the connection, as JSON

import { azure } from '#providers/azure/provider.ts'
import { makeEgress } from '#runtime/egress.ts'
import { makeSafeFetch } from '#runtime/safe-fetch.ts'
import { requestUrl } from '#test/contract/azure-peer.ts'
import { plainPorts } from '#test/contract/peer.ts'

const { VAULT_SETTINGS: settings = '{}' } = process.env
const asked: string[] = []
const http = makeSafeFetch({ egress: makeEgress({ allow: [] }), kind: 'provider', insecure: false })
const session = azure.connect({
  connection: 'azure',
  externalId: 'x',
  settings: JSON.parse(settings),
  credential: null,
  fromHost: true,
  ports: {
    ...plainPorts(),
    fetch: async (url, init) => {
      asked.push(requestUrl(url))
      return http.fetch(url, init)
    },
  },
})
const object = {
  type: 'azure.keyvault.secret',
  ref: { name: 'known' },
  keyId: 'x',
  keyName: 'x',
}
const told = await session
  .describe(object, { signal: AbortSignal.timeout(20_000) })
  .then(({ versions }) => ({ versions: versions.length }))
  .catch((error: unknown) => ({ error: String(error) }))
process.stdout.write(JSON.stringify({ ...told, asked }))
await http.close()
