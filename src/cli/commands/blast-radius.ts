// `rekey blast-radius key/NAME`: what would notice if the key were revoked, as a tree.

import { Option, type Command } from 'commander'
import { blastTree } from '../blast-tree.ts'
import { formats, show } from '../output.ts'
import { objectAt, objectsAt, textAt } from '../read-json.ts'
import { nameOf } from '../reference.ts'
import { segment } from '../segment.ts'
import type { Run, Shell } from '../shell.ts'

export const addBlastRadius = (program: Command, shell: Shell): void => {
  const command = program
    .command('blast-radius')
    .argument('<key>', 'key/NAME')
    .summary('show what would notice if a key were revoked')
    .description(
      'Show who and what hangs on a key: consumers, places that it is published to and their readers, connections that log in with it. Each line says how that is known, how sure it is and how old; what nobody knows is said as unknown.',
    )
    .addOption(
      new Option('-o, --output <format>', 'form of what is printed; dot for Graphviz')
        .choices([...formats, 'dot'])
        .default('table'),
    )
  command.action((key: string, { output }: { readonly output: string }) =>
    shell.act(
      command,
      { doing: `read the blast radius of ${key}`, next: [`rekey describe ${key}`] },
      (run) => blastRadius(run, key, output),
    ),
  )
}

const blastRadius = async (run: Run, key: string, output: string): Promise<void> => {
  const name = nameOf(key, 'key')
  const path = `/v1/keys/${segment(name)}/blast-radius`
  const client = await run.client()
  if (output === 'dot') {
    run.print(await client.text(path, {}, 'text/vnd.graphviz'))
    return
  }
  const found = objectAt((await client.send({ method: 'GET', path })).body)
  await show(run, {
    json: found,
    names: objectsAt(found, 'edges').flatMap((edge) =>
      textAt(edge, 'to', 'name') === ''
        ? []
        : [`${textAt(edge, 'to', 'kind')}/${textAt(edge, 'to', 'name')}`],
    ),
    text: () => blastTree(found),
  })
}
