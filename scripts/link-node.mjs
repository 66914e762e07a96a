// Part of `npm install`, run by whatever Node is there. npm 10 takes `node_modules/.bin/node` away again: it clears away the
// platform packages that are not for this machine together with their commands, and all of them are called `node`
// (docs/adr/0004-node-from-npm-platform-packages.md). Here it is put back. npm 11 leaves it, and this does nothing.

import { existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

const commands = join(import.meta.dirname, '..', 'node_modules', '.bin')
const link = join(commands, 'node')
const target = join('..', `node-${process.platform}-${process.arch}`, 'bin', 'node')

if (process.platform !== 'win32' && !existsSync(link) && existsSync(join(commands, target))) {
  mkdirSync(commands, { recursive: true })
  symlinkSync(target, link)
}
