import type { Playbook, PlaybookOutline } from '#domain/playbook.ts'
import type { Reads, Tx } from '#domain/ports.ts'
import type { Db } from '../database.ts'
import type { Playbook as Row } from '../generated/client.ts'
import { from, json, paged, take } from './translate.ts'

interface Applies {
  readonly appliesTo: NonNullable<PlaybookOutline['appliesTo']> | null
}

export const playbookReads = (db: Db): Reads['playbooks'] => ({
  get: async (name) => {
    const row = await db.playbook.findUnique({ where: { name } })
    return row && toPlaybook(row)
  },
  list: async (page) => {
    const rows = await db.playbook.findMany({
      ...(page.after === null ? {} : { where: { name: { gt: page.after } } }),
      orderBy: { name: 'asc' },
      take: take(page),
    })
    return paged(rows.map(toPlaybook), page, (playbook) => playbook.name)
  },
  outlines: async () => {
    const rows = await db.$queryRaw<(Omit<PlaybookOutline, 'appliesTo'> & Applies)[]>`
      SELECT name, labels, managed_by AS "managedBy", spec -> 'appliesTo' AS "appliesTo"
      FROM app.playbook ORDER BY name`
    return rows.map(({ appliesTo, ...row }) => (appliesTo === null ? row : { ...row, appliesTo }))
  },
  unreviewed: async (now, limit) =>
    (
      await db.playbook.findMany({
        where: { reviewDueAt: { lte: now }, overdueSince: null },
        orderBy: { reviewDueAt: 'asc' },
        take: limit,
      })
    ).map(toPlaybook),
  overdue: async (now, limit) =>
    (
      await db.playbook.findMany({
        where: { reviewDueAt: { lte: now } },
        orderBy: [{ reviewDueAt: 'asc' }, { name: 'asc' }],
        take: limit,
      })
    ).map(toPlaybook),
})

export const playbookWrites = (db: Db): Tx['writePlaybook'] => ({
  put: async (playbook, expectedRevision) => {
    const data = toRow(playbook)
    const { count } =
      expectedRevision === null
        ? await db.playbook.createMany({ data: [data], skipDuplicates: true })
        : await db.playbook.updateMany({
            where: { name: playbook.name, revision: expectedRevision },
            data,
          })
    return count === 1
  },
  delete: async (name, expectedRevision) => {
    const { count } = await db.playbook.deleteMany({ where: { name, revision: expectedRevision } })
    return count === 1
  },
})

const toPlaybook = (row: Row): Playbook => ({
  name: row.name,
  labels: from(row.labels),
  spec: from(row.spec),
  managedBy: row.managedBy,
  author: { id: row.authorId, name: row.authorName },
  review: row.reviewedAt && {
    at: row.reviewedAt,
    by: { id: row.reviewedById ?? '', name: row.reviewedByName ?? '' },
    revision: row.reviewedRevision ?? 0,
    text: row.review ?? '',
  },
  reviewDueAt: row.reviewDueAt,
  overdueSince: row.overdueSince,
  revision: row.revision,
  createdAt: row.createdAt,
  updatedAt: row.updatedAt,
})

const toRow = ({ author, review, ...playbook }: Playbook) => ({
  ...playbook,
  labels: json(playbook.labels),
  spec: json(playbook.spec),
  authorId: author.id,
  authorName: author.name,
  reviewedAt: review?.at ?? null,
  reviewedById: review?.by.id ?? null,
  reviewedByName: review?.by.name ?? null,
  reviewedRevision: review?.revision ?? null,
  review: review?.text ?? null,
})
