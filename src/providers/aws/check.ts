import type { Call, Check, ObjectAddress } from '#domain/provider.ts'
import { clockCheck } from '../clock-check.ts'
import { failedCheck } from '../failed-check.ts'
import { checkRight, checkRights, type Right } from './rights.ts'
import type { Aws, ObjectType } from './session.ts'

interface At {
  readonly aws: Aws
  readonly now: () => Date
  readonly rightsOf: ObjectType['rights']
}

/** Reads only. Stops at the first row that makes the others impossible. */
export const check = async (
  at: At,
  objects: readonly ObjectAddress[],
  call: Call,
): Promise<readonly Check[]> => {
  const { aws } = at
  let login: Awaited<ReturnType<Aws['whoAmI']>>
  try {
    login = await aws.whoAmI(call)
  } catch (error) {
    return [failedCheck('login', error)]
  }
  const rights: Right[] = []
  const unknown: Check[] = []
  for (const object of objects) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- a few at a time is what AWS's limits ask for
      rights.push(...(await at.rightsOf(object, call)))
    } catch (error) {
      unknown.push(failedCheck('object', error))
    }
  }
  return [
    { name: 'login', outcome: 'ok', detail: login.caller.arn },
    ...clockCheck(clock, login.date, at.now()),
    ...(await checkRights(aws, [checkRight, ...rights], call)),
    ...unknown,
  ]
}

const clock = {
  system: 'AWS',
  hint: 'synchronise the clock of this host: AWS accepts five minutes',
}
