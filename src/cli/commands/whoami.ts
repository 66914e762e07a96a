// `rekey whoami`: whose token this is, and what it may.

import type { Command } from 'commander'
import { orDash } from '../human.ts'
import { show, withOutput } from '../output.ts'
import { at, labelsText, textAt, textsAt } from '../read-json.ts'
import { sheet } from '../sheet.ts'
import type { Shell } from '../shell.ts'

export const addWhoami = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('whoami'))
    .summary('show whose token this is')
    .description('Show whose token this is, its roles and its scope.')
  command.action(() =>
    shell.act(command, { doing: 'ask who this is' }, async (run) => {
      const client = await run.client()
      const { body } = await client.send({ method: 'GET', path: '/v1/me' })
      const scope = [
        labelsText(at(body, 'scope', 'matchLabels')),
        textsAt(body, 'scope', 'connections').join(','),
      ]
      await show(run, {
        json: body,
        names: [textAt(body, 'name')],
        text: () =>
          sheet(textAt(body, 'name'), [
            ['id', textAt(body, 'id')],
            ['type', textAt(body, 'type')],
            ['roles', orDash(textsAt(body, 'roles').join(', '))],
            ['scope', scope.filter((part) => part !== '').join('; ') || 'everything'],
            ['consumer', orDash(textAt(body, 'consumer'))],
            ['expires', orDash(textAt(body, 'expiresAt'))],
          ]),
      })
    }),
  )
}
