import { ProviderError, type Call, type Check, type ObjectAddress } from '#domain/provider.ts'
import { failedCheck } from '../failed-check.ts'
import { checkRight, checkRights, type Right } from './rights.ts'
import { readSecret } from './secret-read.ts'
import { readSecretRef } from './secret-ref.ts'
import { secretRights } from './secret-rights.ts'
import type { Aws } from './session.ts'

interface At {
  readonly aws: Aws
  readonly now: () => Date
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
      rights.push(...(await rightsOf(aws, object, call)))
    } catch (error) {
      unknown.push(failedCheck('object', error))
    }
  }
  return [
    { name: 'login', outcome: 'ok', detail: login.caller.arn },
    ...clock(login.date, at.now()),
    ...(await checkRights(aws, [checkRight, ...rights], call)),
    ...unknown,
  ]
}

const clock = (date: Date | null, now: Date): readonly Check[] => {
  if (date === null) return []
  const seconds = Math.round(Math.abs(now.getTime() - date.getTime()) / 1000)
  return [
    seconds <= 30
      ? { name: 'clock', outcome: 'ok', detail: 'the clocks agree' }
      : {
          name: 'clock',
          outcome: 'missing',
          detail: `AWS’s clock differs by ${seconds} s`,
          hint: 'synchronise the clock of this host: AWS accepts five minutes',
        },
  ]
}

/** By the ARN that the object has; without the right to see it, by the one that it must have. */
export const rightsOf = async (
  aws: Aws,
  object: ObjectAddress,
  call: Call,
): Promise<readonly Right[]> => {
  const ref = readSecretRef(object.ref, aws.settings)
  try {
    const secret = await readSecret(aws, ref, call)
    return secretRights(secret?.arn ?? ref.arn)
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'forbidden') return secretRights(ref.arn)
    throw error
  }
}
