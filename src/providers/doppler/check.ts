import { type Call, type Check, type ObjectAddress, ProviderError } from '#domain/provider.ts'
import { clockCheck } from '../clock-check.ts'
import { failedCheck } from '../failed-check.ts'
import type { Ask, Reply } from './client.ts'
import { fieldsOf, textOf } from '../untyped-json.ts'

interface At {
  readonly ask: Ask
  readonly now: () => Date
  /** Reads what a rotation of the object reads. */
  readonly describe: (object: ObjectAddress, call: Call) => Promise<unknown>
}

/** Reads only. Stops at the first row that makes the others impossible. */
export const check = async (
  { ask, now, describe }: At,
  objects: readonly ObjectAddress[],
  call: Call,
): Promise<readonly Check[]> => {
  let me: Reply
  try {
    me = await ask({ method: 'GET', path: '/v3/me', needs: 'a token', at: 'Doppler' }, call)
  } catch (error) {
    return [failedCheck('login', error)]
  }
  const rows: Check[] = [...whose(me), ...clockCheck(clock, me.date, now())]
  for (const object of objects) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- Doppler counts requests a minute
      await describe(object, call)
      rows.push({ name: 'describe', outcome: 'ok', detail: 'it can be read' })
    } catch (error) {
      // To be made yet: the right to read was not what failed.
      if (error instanceof ProviderError && error.kind === 'notFound') continue
      rows.push(failedCheck('describe', error))
    }
  }
  return [...rows, ...untold(objects)]
}

/** Doppler tells nobody what a token may write. */
const untold = (objects: readonly ObjectAddress[]): readonly Check[] =>
  objects.some(({ type }) => type === 'doppler.secret')
    ? [
        {
          name: 'rotate',
          outcome: 'unknown',
          detail: 'Doppler does not tell whether the token may write secrets',
          hint: 'needs enclave_project_config_secrets_write: the first rotation shows',
        },
      ]
    : []

const people: Readonly<Record<string, string>> = {
  personal: 'a personal token',
  cli: 'a token of the command line',
}

const whose = ({ body }: Reply): readonly Check[] => {
  const type = textOf(body['type'])
  const workplace = textOf(fieldsOf(body['workplace'])['name'])
  const who = people[type]
  return [
    { name: 'login', outcome: 'ok', detail: `${type || 'a token'} in ${workplace || 'Doppler'}` },
    ...(who === undefined
      ? []
      : [
          {
            name: 'beyondLeast',
            outcome: 'beyondLeast' as const,
            detail: `it is ${who}: it may do all that its owner may`,
            hint: 'give the connection the token of a service account with a role of its own',
          },
        ]),
  ]
}

const clock = { system: 'Doppler', hint: 'synchronise the clock of this host' }
