// A process that writes a file and is killed (SIGKILL) at the nth step in the file system, before or after it. Ends with the
// number of steps on its standard output where it was not.

import { createRequire, syncBuiltinESMExports } from 'node:module'
import type { FileHandle } from 'node:fs/promises'

const [directory = '', path = '', before = '', value = '', at = '0'] = process.argv.slice(2)
const fs = createRequire(import.meta.url)('node:fs/promises') as Record<
  string,
  (...args: unknown[]) => Promise<unknown>
>

let steps = 0
let armed = false
const step = (): void => {
  if (armed && ++steps === Number(at)) process.kill(process.pid, 'SIGKILL')
}
const watched =
  <T>(work: (...args: unknown[]) => Promise<T>) =>
  async (...args: unknown[]): Promise<T> => {
    step()
    const done = await work(...args)
    step()
    return done
  }
for (const name of ['link', 'rename', 'unlink', 'readdir']) {
  const real = fs[name]
  if (real !== undefined) fs[name] = watched(real)
}
const { open } = fs
fs['open'] = watched(async (...args) => {
  const handle = (await open?.(...args)) as FileHandle
  for (const name of ['writeFile', 'sync', 'close'] as const) {
    const real = handle[name].bind(handle) as (...of: unknown[]) => Promise<unknown>
    Object.defineProperty(handle, name, { value: watched(real) })
  }
  return handle
})
syncBuiltinESMExports()

const { writeFileAt } = await import('#providers/file/write.ts')
const { findPlace } = await import('#providers/file/place.ts')
const { Secret } = await import('#domain/secret.ts')
const place = await findPlace(directory, path)
armed = true
await writeFileAt(place, {
  value: new Secret(value),
  before: before === '' ? null : new Secret(before),
  unique: 'dead',
})
armed = false
process.stdout.write(String(steps))
