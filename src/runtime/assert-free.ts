// Whether an address can be listened on, asked before anything is started for it: a database that was made and migrated only
// to find the port taken is a long way to a short answer. The listener itself may still be refused, and says the same.

import { createServer } from 'node:net'

/** Throws what listening would: EADDRINUSE, EACCES, EADDRNOTAVAIL. Port 0 is always free. */
export const assertFree = async (host: string, port: number): Promise<void> => {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen({ host, port, exclusive: true }, resolve)
  })
  await new Promise((resolve) => server.close(resolve))
}
