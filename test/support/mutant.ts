// An adapter with one of its guards taken out, to see that the stand-ins tell it from ours: the sources of the providers, copied
// with one edit. An edit whose text is not there exactly once fails: the code has moved on, and the edit must follow.

import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Provider } from '#domain/provider.ts'
import { mutated } from '#test/walks/mutants.ts'

const root = join(import.meta.dirname, '..', '..')

export interface Edit {
  /** Below src/providers/<id>. */
  readonly file: string
  readonly from: string
  readonly to: string
}

/** Within the package, so that `#domain` and the rest are the very modules that the tests have; ignored by Git. */
export const mutantOf = async (
  id: string,
  { file, from, to }: Edit,
): Promise<{ readonly provider: Provider; readonly away: () => Promise<void> }> => {
  const source = join('src', 'providers', id, file)
  const text = await mutated({ name: '', file: source, from, to })
  await mkdir(join(root, '.mutation'), { recursive: true })
  const copy = await mkdtemp(join(root, '.mutation', 'provider-'))
  await cp(join(root, 'src', 'providers'), copy, { recursive: true })
  await writeFile(join(copy, id, file), text)
  const { [id]: provider } = (await import(join(copy, id, 'provider.ts'))) as Record<
    string,
    Provider
  >
  if (provider === undefined) throw new Error(`${id}/provider.ts exports no ${id}`)
  return { provider, away: () => rm(copy, { recursive: true, force: true }) }
}
