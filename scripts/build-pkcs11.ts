// `npm run pkcs11`: builds the native half of `pkcs11js`, which few installations need and `npm ci` therefore leaves alone.
// A C++ compiler, make and Python must be there; the headers of Node are those of the package that Node came with.

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runCommand } from '../test/peers/run-command.ts'

const root = join(import.meta.dirname, '..')
const folder = join(root, 'node_modules', 'pkcs11js')
const built = join(folder, 'build', 'Release', 'pkcs11.node')

export const builtPkcs11 = (): string | null => (existsSync(built) ? built : null)

/** npm brings its own node-gyp, and says where to whatever it runs. */
const nodeGyp = (): string | null => process.env['npm_config_node_gyp'] ?? null

/** Where `include/node` is; null: node-gyp fetches the headers itself. */
const headers = (): string | null =>
  [
    join(root, 'node_modules', `node-${process.platform}-${process.arch}`),
    dirname(dirname(process.execPath)),
  ].find((at) => existsSync(join(at, 'include', 'node', 'node_api.h'))) ?? null

/** Throws with a sentence. */
export const buildPkcs11 = async (say: (line: string) => void): Promise<void> => {
  const gyp = nodeGyp()
  if (gyp === null) throw new Error('run it by npm (`npm run pkcs11`), which brings node-gyp')
  if (!existsSync(folder)) {
    throw new Error('pkcs11js is not installed: `npm ci` with optional packages')
  }
  const from = headers()
  const ran = await runCommand(
    process.execPath,
    [gyp, 'rebuild', ...(from === null ? [] : [`--nodedir=${from}`])],
    { cwd: folder, say, what: 'pkcs11: node-gyp' },
  )
  if (ran.code !== 0) throw new Error(`node-gyp ended with ${ran.code}:\n${ran.tail}`)
}

if (import.meta.main) {
  try {
    await buildPkcs11((line) => process.stderr.write(`${line}\n`))
    process.stdout.write(`${built}\n`)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
