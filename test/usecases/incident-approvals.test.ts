// What an execution asks before it does anything: whether enough others agree, as things stand then.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Actor } from '#domain/actor.ts'
import { isRekeyError } from '#domain/errors.ts'
import { approveIncident } from '#usecases/approve-incident.ts'
import { mustBeApproved } from '#usecases/incident-approvals.ts'
import { keepPreview } from '#usecases/keep-preview.ts'
import { openIncident } from '#usecases/open-incident.ts'
import { makeDrawPreview } from '#usecases/preview-incident.ts'
import { actorOf, openHouse, type House } from '../support/house.ts'

let house: House
beforeAll(async () => {
  house = await openHouse()
  await house.connection('vault')
  await house.register('orders', { connection: 'vault' })
})
afterAll(() => house.close())

const rosa = actorOf('rosa', ['responder'])
const anna = actorOf('anna', ['approver'])
const glass = actorOf('glass', ['responder'], { type: 'breakGlass' })

const previewedBy = async (actor: Actor) => {
  const { ledger, deps } = house
  const asked = { title: 'x', severity: 'low', mode: 'disable', reason: 'x' } as const
  const selector = { keys: ['orders'] }
  const { value } = await openIncident(deps)(rosa, { ...asked, selector })
  const draw = makeDrawPreview(deps)
  const { incident } = (await keepPreview({ ...deps, draw })(actor, value.id)).value
  const refusal = async (by: Actor): Promise<string | null> => {
    try {
      await ledger.read(async (db) => {
        const found = await db.incidents.get(incident.id)
        if (!found) throw new Error('there is no incident')
        await mustBeApproved(db, by, found)
      })
      return null
    } catch (error) {
      if (isRekeyError(error)) return error.code
      throw error
    }
  }
  return { incident, hash: incident.preview?.hash ?? '', refusal }
}

test('somebody else must have agreed to this very preview', async () => {
  const { incident, hash, refusal } = await previewedBy(rosa)
  expect(await refusal(rosa)).toBe('incident.approvalMissing')
  await approveIncident(house.deps)(anna, incident.id, hash)
  expect(await refusal(rosa)).toBeNull()
})

test('whoever breaks glass needs nobody, by the preview that they drew themselves', async () => {
  const theirs = await previewedBy(glass)
  expect(theirs.incident.preview?.approvalsNeeded).toBe(0)
  expect(await theirs.refusal(glass)).toBeNull()
  // It needed no approval, which says nothing for anybody else.
  expect(await theirs.refusal(rosa)).toBe('incident.previewStale')
  const ours = await previewedBy(rosa)
  expect(await ours.refusal(glass)).toBe('incident.previewStale')
})

test('whoever breaks glass approves nothing', async () => {
  const { incident, hash } = await previewedBy(rosa)
  await expect(approveIncident(house.deps)(glass, incident.id, hash)).rejects.toMatchObject({
    code: 'incident.selfApproval',
  })
})
