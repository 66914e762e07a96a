// Files of documents: found, read and checked with the server's own code before anything is sent.

import { readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Issue } from '#domain/issue.ts'
import type { ValidDocument } from '#domain/validate-document.ts'
import { Failure, usage } from './failure.ts'
import type { CliIo } from './io.ts'

export interface SourceFile {
  /** As it was said on the command line: what messages call it. */
  readonly name: string
  readonly text: string
}

export interface LocatedDocument extends ValidDocument {
  readonly file: SourceFile
}

export interface Checked {
  readonly files: readonly SourceFile[]
  readonly documents: readonly LocatedDocument[]
  readonly warnings: readonly string[]
}

const extensions = /\.(?:ya?ml|json)$/

/** Reads what `-f` names: files, directories (all .yaml, .yml and .json below, sorted), `-` for standard input. */
export const readSources = async (
  io: CliIo,
  names: readonly string[],
): Promise<readonly SourceFile[]> => {
  const found = new Map<string, string>()
  const files: SourceFile[] = []
  for (const name of names) {
    if (name === '-') {
      files.push({ name: '<stdin>', text: await io.readInput() })
      continue
    }
    for (const file of await filesOf(io.cwd, name)) found.set(resolve(io.cwd, file), file)
  }
  for (const [path, name] of found) files.push({ name, text: await readText(path, name) })
  return files
}

/** All documents, or a Failure with every issue of every file and its place. */
export const checkSources = async (io: CliIo, files: readonly SourceFile[]): Promise<Checked> => {
  const { validateSources } = await import('#domain/validate-document.ts')
  const sources = files.map(({ name, text }) => ({ file: name, text }))
  const { documents: valid, issues } = validateSources(sources, io.clock.now())
  if (issues.length > 0) throw invalid(issues, await excerpts(files, issues))
  const documents = valid.flatMap((document): readonly LocatedDocument[] => {
    const file = files[document.source]
    return file === undefined ? [] : [{ ...document, file }]
  })
  const warnings = documents.flatMap(({ file, name, warnings: own }) =>
    own.map((text) => `${file.name}: ${name}: ${text}`),
  )
  return { files, documents, warnings }
}

/** Issues with the lines of their files, and carets. */
export const excerpts = async (
  files: readonly SourceFile[],
  issues: readonly Issue[],
): Promise<string> => {
  const { renderIssues } = await import('#domain/render-issues.ts')
  const texts = new Map(files.map(({ name, text }) => [name, text]))
  return issues
    .map((issue) => renderIssues(texts.get(issue.file ?? '') ?? '', [issue]))
    .join('\n\n')
}

const invalid = (issues: readonly Issue[], shown: string): Failure =>
  new Failure({
    code: 'request.invalid',
    exit: 'usage',
    title: issues.length === 1 ? 'One thing is wrong' : `${issues.length} things are wrong`,
    errors: issues.map(({ pointer, detail, file, line, column }) => ({
      pointer,
      detail,
      ...(file === undefined ? {} : { file }),
      ...(line === undefined ? {} : { line }),
      ...(column === undefined ? {} : { column }),
    })),
    shown,
    changed: 'nothing',
  })

const filesOf = async (cwd: string, name: string): Promise<readonly string[]> => {
  const path = resolve(cwd, name)
  let isDirectory: boolean
  try {
    isDirectory = (await stat(path)).isDirectory()
  } catch {
    throw usage(`${name} cannot be read`, { hint: 'name a file or a directory' })
  }
  if (!isDirectory) return [name]
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile() && extensions.test(entry.name))
    .map((entry) => join(name, entry.parentPath.slice(path.length), entry.name))
    .filter(
      (file) =>
        !file.split('/').some((part) => part.startsWith('.') && part !== '.' && part !== '..'),
    )
    .toSorted()
  if (files.length === 0) throw usage(`${name} holds no .yaml, .yml or .json file`)
  return files
}

const readText = async (path: string, name: string): Promise<string> => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path))
  } catch (error) {
    throw usage(`${name} ${error instanceof TypeError ? 'is not UTF-8' : 'cannot be read'}`)
  }
}
