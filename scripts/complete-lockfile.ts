// Adds to package-lock.json the entries of platform builds that the registry did not show (`scripts/lockfile.ts` says why).
// Run it after every `npm install` that changes the lock; `npm run check` fails when it is needed.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { completeLockfile, missingEntries, type Lockfile } from './lockfile.ts'

const file = join(import.meta.dirname, '..', 'package-lock.json')
const lock = JSON.parse(readFileSync(file, 'utf8')) as Lockfile
const missing = missingEntries(lock)
if (missing.length > 0) writeFileSync(file, `${JSON.stringify(completeLockfile(lock), null, 2)}\n`)
console.log(
  missing.length === 0
    ? 'package-lock.json is complete'
    : `package-lock.json: added ${missing.length} entries: ${missing.map((m) => m.name).join(', ')}`,
)
