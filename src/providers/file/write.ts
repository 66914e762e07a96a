// A file is replaced whole or not at all. In this order, and what a crash leaves after each line:
//
//   drafts of before are removed    the file as it was
//   a draft beside it, 0600, new    the file as it was, and a draft that nobody reads (hidden, same rights)
//   the draft is filled and synced  the same
//   the file is compared once more  the same
//   the draft takes the file's name the new value; a power cut may bring the old one back until the folder is synced
//   the folder is synced            done
//
// Who repairs it: the probe reads the file, and finds the new value or the one before; in the second case the write is done
// again, which removes the draft. Where nothing was there the draft is linked and not renamed: `link` refuses where somebody
// else has made the file meanwhile. Between the comparison and the rename another writer is not seen: nothing in a file system
// would refuse it. Writers of Rekey do not meet there but through two policies that publish to one file.

import { link, open, readdir, rename, unlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { ProviderError } from '#domain/provider.ts'
import type { Secret } from '#domain/secret.ts'
import { codeOf, maxBytes, readFileAt, type FilePlace } from './place.ts'

const draftsOf = (file: string): string => `.${basename(file)}.rekey-`

export const writeFileAt = async (
  place: FilePlace,
  {
    value,
    before,
    unique,
  }: { readonly value: Secret; readonly before: Secret | null; readonly unique: string },
): Promise<void> => {
  const bytes = Buffer.from(value.reveal())
  if (bytes.byteLength > maxBytes)
    throw new ProviderError('permanent', 'none', 'the value is larger than 64 kB')
  const draft = join(place.folder, draftsOf(place.file) + unique)
  await undone('written', async () => {
    await removeDrafts(place)
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
  })
  await mustHold(place, before, draft)
  await undone('put in place', () =>
    before === null ? link(draft, place.file) : rename(draft, place.file),
  ).catch(async (error: unknown) => {
    await unlink(draft).catch(() => undefined)
    throw error
  })
  await settled(place, async () => {
    if (before === null) await unlink(draft)
  })
}

export const removeFileAt = async (place: FilePlace, before: Secret): Promise<void> => {
  await mustHold(place, before, null)
  // A crash between `link` and the end of its draft has left the value under a second name.
  await undone('removed', async () => {
    await removeDrafts(place)
    await unlink(place.file)
  })
  await settled(place, async () => undefined)
}

const mustHold = async (
  place: FilePlace,
  before: Secret | null,
  draft: string | null,
): Promise<void> => {
  const held = await readFileAt(place)
  if (held?.reveal() === before?.reveal()) return
  if (draft !== null) await unlink(draft).catch(() => undefined)
  throw new ProviderError('conflict', 'none', 'somebody else wrote the file since it was read')
}

/** Left by a process that was killed. */
const removeDrafts = async ({ folder, file }: FilePlace): Promise<void> => {
  const prefix = draftsOf(file)
  const left = (await readdir(folder)).filter((name) => name.startsWith(prefix))
  await Promise.all(left.map((name) => unlink(join(folder, name)).catch(() => undefined)))
}

/** What fails here has changed nothing. */
const undone = async (what: string, work: () => Promise<void>): Promise<void> => {
  try {
    await work()
  } catch (error) {
    const code = codeOf(error)
    if (code === 'EEXIST')
      throw new ProviderError('conflict', 'none', 'somebody else made the file meanwhile')
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new ProviderError('quota', 'none', `there is no space for the file (${code})`)
    // A draft that another writer of this file took for a dead one's.
    if (code === 'ENOENT')
      throw new ProviderError('transient', 'none', 'somebody else writes the file at this moment')
    throw new ProviderError('precondition', 'none', `the file cannot be ${what} (${code})`, {
      hint: 'the user that Rekey runs as needs to write in the folder',
    })
  }
}

/** The change is there; what fails from here on leaves it to a power cut. */
const settled = async (place: FilePlace, work: () => Promise<void>): Promise<void> => {
  try {
    await work()
    const folder = await open(place.folder)
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  } catch (error) {
    throw new ProviderError(
      'outcomeUnknown',
      'unknown',
      `the folder cannot be synced (${codeOf(error)})`,
    )
  }
}
