// Sealed material: a row of its own for each piece, opened only under the id and purpose that it was sealed for, so that
// rows exchanged in the database do not open.

import type { Ids, Keyring, Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import { bytes, isUuid } from './translate.ts'

export const sealedReads = (db: Db, keyring: Keyring): Reads['sealed'] => ({
  open: async (id) => {
    const row = isUuid(id) ? await db.sealed.findUnique({ where: { id } }) : null
    if (!row?.wrappedKey || !row.ciphertext) return null
    const box = { kekId: row.kekId, wrappedKey: row.wrappedKey, ciphertext: row.ciphertext }
    return keyring.open(box, contextOfSealed(id, row.purpose))
  },
})

export const sealedWrites = (db: Db, keyring: Keyring, ids: Ids): Tx['writeSealed'] => ({
  insert: async (material, purpose) => {
    const id = ids.next()
    const box = keyring.seal(material, contextOfSealed(id, purpose))
    await db.sealed.create({
      data: {
        id,
        purpose,
        kekId: box.kekId,
        wrappedKey: bytes(box.wrappedKey),
        ciphertext: bytes(box.ciphertext),
      },
      select: { id: true },
    })
    return id
  },
  // The row stays and says when; the data key and the material are gone.
  erase: async (id) => {
    if (!isUuid(id)) return
    await db.$executeRaw`UPDATE app.sealed SET wrapped_key = NULL, ciphertext = NULL, erased_at = app.now()
      WHERE id = ${id}::uuid AND erased_at IS NULL`
  },
})

export const contextOfSealed = (id: string, purpose: string): string =>
  `app.sealed\n${id}\n${purpose}`
