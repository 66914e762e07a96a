import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { pages, root, withBlock } from '../../scripts/reference.ts'

test.each(Object.entries(pages))('%s says what the code says (`npm run docs`)', (path, render) => {
  expect(readFileSync(join(root, path), 'utf8')).toBe(render())
})

test('a page whose markers are missing is refused, not overwritten', () => {
  expect(() => withBlock('no markers', 'phases', 'x')).toThrow(/markers/)
})

test('each dependency has its line in the ADR, and the ADR names no other', () => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as Record<string, Record<string, string>>
  const used = Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })
  const text = readFileSync(join(root, 'docs/adr/0005-dependencies.md'), 'utf8')
  const said = [...text.matchAll(/^- `([^`]+)`: ./gm)].map((match) => match[1] ?? '')
  expect(said.toSorted()).toEqual(used.toSorted())
})

test('every relative link in README and docs leads to a file', () => {
  const files = globSync(['*.md', 'docs/**/*.md'], { cwd: root }).toSorted()
  expect(files).toContain('SECURITY.md')
  const broken = files.flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map((match) => match[1] ?? '')
    return links
      .filter((link) => !existsSync(join(root, file, '..', link)))
      .map((link) => `${file}: ${link}`)
  })
  expect(broken).toEqual([])
})
