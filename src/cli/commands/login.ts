// `rekey login`: a token of an issuer that the server believes, for somebody at this machine, and `rekey logout`.

import { type Command, Option } from 'commander'
import { Secret } from '#domain/secret.ts'
import { usage } from '../failure.ts'
import { moment, orDash } from '../human.ts'
import { durationOf } from '../moments.ts'
import { show, withOutput } from '../output.ts'
import { textAt, textsAt } from '../read-json.ts'
import type { Run, Shell } from '../shell.ts'

interface Options {
  readonly issuer: string
  readonly clientId: string
  readonly scope: string
  readonly port: string
  readonly timeout: string
}

export const addLogin = (program: Command, shell: Shell): void => {
  const login = withOutput(program.command('login'))
    .summary('log in at an issuer, with a browser on this machine')
    .description(
      'Log in at an issuer that the server believes, with a browser on this machine. The token is kept in a file that only you can read, is sent to this server alone, and lives as long as the issuer says. The client must be a public one with PKCE, whose redirect address is http://127.0.0.1/callback with any port.',
    )
    .requiredOption('--issuer <url>', 'as GET /v1/issuers has it')
    .requiredOption('--client-id <id>', 'of the client at the issuer; the audience of its tokens')
    .addOption(
      new Option('--scope <scopes>', 'asked for beside openid').default('profile email groups'),
    )
    .addOption(new Option('--port <port>', 'where the browser comes back to; 0: any').default('0'))
    .addOption(new Option('--timeout <duration>', 'how long it is waited for').default('5m'))
  login.action((options: Options) =>
    shell.act(login, { doing: 'log in' }, (run) => logIn(run, options)),
  )
  const logout = program
    .command('logout')
    .summary('forget the token of `rekey login`')
    .description('Forget the token that `rekey login` kept for this server.')
  logout.action(() => shell.act(logout, { doing: 'log out' }, logOut))
}

const logIn = async (run: Run, options: Options): Promise<void> => {
  const [{ loginByBrowser }, { makeClient }, { saveLogin }] = await Promise.all([
    import('../login-by-browser.ts'),
    import('../client.ts'),
    import('../saved-login.ts'),
  ])
  const patienceMs = durationOf(options.timeout)
  if (patienceMs === null)
    throw usage(`"${options.timeout}" is not a duration`, { hint: 'write 90s, 15m or 2h' })
  const port = Number(options.port)
  if (!/^\d{1,5}$/.test(options.port) || port > 65_535)
    throw usage(`"${options.port}" is not a port`)
  const { target, path } = await place(run)
  const { issuer, clientId, scope } = options
  const question = { issuer, clientId, scope, port, patienceMs }
  const { token, expiresAt } = await loginByBrowser(run, question)
  // What the server does not take is not kept: it would stand before the admin key of this machine.
  const mine = { ...target, token: new Secret(token), tokenSource: 'the login' }
  const client = makeClient({ target: mine, io: run.io, signal: run.signal, talk: run.talk })
  const { body } = await client.send({ method: 'GET', path: '/v1/me' })
  await saveLogin(path, { url: target.url, token, expiresAt: expiresAt.toISOString() })
  if (run.io.env['REKEY_TOKEN'] || run.io.env['REKEY_TOKEN_FILE'])
    run.talk('warning: REKEY_TOKEN is set, and counts before this login')
  const until = moment(expiresAt.toISOString(), run.io.clock.now())
  await show(run, {
    json: body,
    names: [textAt(body, 'name')],
    text: () =>
      `${textAt(body, 'name')}  ${orDash(textsAt(body, 'roles').join(', '))}  until ${until}\n`,
  })
}

const logOut = async (run: Run): Promise<void> => {
  const { dropLogin } = await import('../saved-login.ts')
  const { target, path } = await place(run)
  run.talk(
    (await dropLogin(path))
      ? `forgotten; the issuer may know you still, and ${target.url} no longer from here`
      : `there was no login for ${target.url}`,
  )
}

const place = async (run: Run) => {
  const [{ resolveTarget }, { pathOfLogin }] = await Promise.all([
    import('../target.ts'),
    import('../saved-login.ts'),
  ])
  const target = await resolveTarget(run.io)
  const path = pathOfLogin(run.io.env, target.url)
  if (path === null)
    throw usage('there is no home directory to keep a login in', { hint: 'set HOME' })
  return { target, path }
}
