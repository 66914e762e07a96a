// `rekey adopt key/NAME VERSION`: takes a version at the provider that nobody is handed under management as an old one, and
// begins the rotation that retires it, behind its gates.

import type { Command } from 'commander'
import { confirmByName } from '../confirm.ts'
import { show, withOutput } from '../output.ts'
import { objectAt, textAt } from '../read-json.ts'
import { nameOf } from '../reference.ts'
import { segment } from '../segment.ts'
import type { Run, Shell } from '../shell.ts'

interface Options {
  readonly confirm?: string
  readonly dryRun?: true
}

export const addAdopt = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('adopt'))
    .argument('<key>', 'key/NAME')
    .argument('<version>', "the provider's own name of the version, as `rekey describe` shows it")
    .summary('clean up a version that nobody is handed')
    .description(
      'A version that somebody else made at the provider, or that a rotation made and left behind when it was given up, becomes an old version of the key; a rotation that begins at overlapping retires it, as the policy of the key says. Refused for what readers get: that is decided at the provider, or by registering the key again.',
    )
    .option('--confirm <name>', 'the name of the key again, instead of typing it')
    .option('--dry-run', 'check everything and change nothing')
  command.action((key: string, version: string, options: Options) =>
    shell.act(
      command,
      { doing: `adopt version ${version} of ${key}`, next: [`rekey describe ${key}`] },
      (run) => adopt(run, key, version, options),
    ),
  )
}

const adopt = async (
  run: Run,
  reference: string,
  providerVersion: string,
  options: Options,
): Promise<void> => {
  const name = nameOf(reference, 'key')
  const dryRun = options.dryRun === true
  if (!dryRun)
    await confirmByName(
      run,
      name,
      `Version ${providerVersion} of key/${name} will be switched off at the provider, and removed where its policy says so, once nobody uses it.`,
      options.confirm,
    )
  const client = await run.client()
  const { body } = await client.send({
    method: 'POST',
    path: `/v1/keys/${segment(name)}/versions`,
    body: { providerVersion },
    dryRun,
  })
  const adopted = objectAt(body)
  const said = `version ${textAt(adopted, 'version')} of key/${name}`
  await show(run, {
    json: adopted,
    names: dryRun ? [] : [`rotation/${textAt(adopted, 'retiredBy')}`],
    text: () =>
      dryRun
        ? `would be: ${said}, retired by a rotation\n`
        : `${said}  retired by rotation/${textAt(adopted, 'retiredBy')}\n`,
  })
  if (!dryRun) run.talk(`next: rekey get rotation/${textAt(adopted, 'retiredBy')} --watch`)
}
