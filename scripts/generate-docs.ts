// `npm run docs`: writes the reference pages that are drawn from the code.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pages, root } from './reference.ts'

for (const [path, render] of Object.entries(pages)) {
  writeFileSync(join(root, path), render())
  console.log(path)
}
