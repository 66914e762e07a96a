// A shell at which a guide is typed. It lives for the whole guide, as its reader's does: variables and functions stay. On its
// PATH, `rekey` hands its words to the command line inside this process (starting Node for each would be most of the time);
// only the verbs that need the database start for real. `curl` is the real one, and what it is refused is remembered.

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { openTerminal } from '#test/cli/terminal.ts'
import { systemClock } from '#runtime/clock.ts'
import { which } from '#test/peers/run-command.ts'
import { root } from './guide.ts'

export interface GuideShell {
  readonly cwd: string
  type(command: string): Promise<Typed>
  file(name: string, text: string): void
  close(): Promise<void>
}

export interface Typed {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
  /** Requests of curl that came back with 400 or more, or not at all. */
  readonly refused: readonly string[]
}

const passed = ['REKEY_URL', 'REKEY_TOKEN', 'REKEY_TOKEN_FILE', 'REKEY_DATA_DIR'] as const

const scripts = {
  rekey: `#!/bin/sh
case "$1" in up|api|worker|migrate|admin-key|backup|restore|kek|writer-key|pepper) exec "$GUIDE_NODE" "$GUIDE_ROOT/src/main.ts" "$@" ;; esac
for word do set -- "$@" --data-urlencode "word=$word"; shift; done
said=$("$GUIDE_CURL" -sS --unix-socket "$GUIDE_DIR/socket" --data-urlencode "cwd=$PWD" --data-urlencode input@- ${passed
    .map((name) => `--data-urlencode "${name}=$${name}"`)
    .join(' ')} "$@" http://guide/) || exit 99
cat "$said/stderr" >&2
cat "$said/stdout"
exit "$(cat "$said/exit")"
`,
  npm: `#!/bin/sh
[ "$1 $2 $3 $4" = 'run -s rekey --' ] || { echo "no test runs npm $*: name in test/e2e/guides.test.ts where it is run" >&2; exit 98; }
shift 4
exec rekey "$@"
`,
  // 23: whoever read had seen enough.
  curl: `#!/bin/sh
"$GUIDE_CURL" --fail-with-body "$@"
code=$?
[ $code = 0 ] || [ $code = 23 ] || echo "$code: curl $*" >> "$GUIDE_DIR/refused"
exit $code
`,
} as const

interface GuideShellOptions {
  readonly env: Readonly<Record<string, string>>
  /** More programs, by name. */
  readonly programs?: Readonly<Record<string, string>>
}

export const openGuideShell = async ({
  env,
  programs = {},
}: GuideShellOptions): Promise<GuideShell> => {
  const dir = mkdtempSync(join(tmpdir(), 'rekey-guide-'))
  const [bin, cwd, refusedFile] = [join(dir, 'bin'), join(dir, 'home'), join(dir, 'refused')]
  for (const folder of [bin, cwd]) mkdirSync(folder)
  for (const [name, text] of Object.entries(scripts)) {
    writeFileSync(join(bin, name), text)
    chmodSync(join(bin, name), 0o755)
  }
  for (const [name, path] of Object.entries(programs)) symlinkSync(path, join(bin, name))
  const commands = await serveCommands(dir)
  const path = process.env['PATH'] ?? ''
  const shell = spawn('sh', [], {
    cwd,
    env: {
      ...env,
      PATH: `${bin}:${path}`,
      HOME: cwd,
      GUIDE_DIR: dir,
      GUIDE_ROOT: root,
      GUIDE_NODE: process.execPath,
      GUIDE_CURL: which('curl') ?? 'curl',
    },
    stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
    // A group of its own: what a guide leaves running ends with it.
    detached: true,
  })
  const ended = new Promise<void>((resolve) => shell.on('exit', () => resolve()))
  const answers = createInterface({ input: shell.stdio[3] as NodeJS.ReadableStream })
  const [out, err] = [join(dir, 'out'), join(dir, 'err')]

  return {
    cwd,
    type: async (command) => {
      rmSync(refusedFile, { force: true })
      const answered = new Promise<string>((resolve, reject) => {
        answers.once('line', resolve)
        void ended.then(() => reject(new Error(`the shell has ended at: ${command}`)))
      })
      shell.stdin?.write(`{\n${command}\n} >'${out}' 2>'${err}' </dev/null 3>&-; echo $? >&3\n`)
      const exit = Number(await answered)
      const refused = readIfThere(refusedFile).split('\n').filter(Boolean)
      return { exit, stdout: readFileSync(out, 'utf8'), stderr: readFileSync(err, 'utf8'), refused }
    },
    file: (name, text) => {
      mkdirSync(dirname(join(cwd, name)), { recursive: true })
      writeFileSync(join(cwd, name), text)
    },
    close: async () => {
      shell.stdin?.end()
      await ended
      await endGroup(shell.pid ?? 0)
      await commands.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const endGroup = async (group: number): Promise<void> => {
  for (let n = 0; isThere(group); n++) {
    if (n % 600 === 0) process.kill(-group, n === 0 ? 'SIGTERM' : 'SIGKILL')
    await systemClock.pause(50) // oxlint-disable-line no-await-in-loop -- until it is so
  }
}

const isThere = (group: number): boolean => {
  try {
    return process.kill(-group, 0)
  } catch {
    return false
  }
}

const readIfThere = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** The command line, for the script that stands in for it. The person at the terminal says yes. */
const serveCommands = async (dir: string): Promise<{ close(): Promise<void> }> => {
  const server = createServer((request, response) => {
    void (async () => {
      let text = ''
      for await (const chunk of request) text += String(chunk)
      const form = new URLSearchParams(text)
      const said = join(dir, randomUUID())
      mkdirSync(said)
      const ran = await runOnce(form)
      writeFileSync(join(said, 'stdout'), ran.stdout)
      writeFileSync(join(said, 'stderr'), ran.stderr)
      writeFileSync(join(said, 'exit'), String(ran.exit))
      response.end(said)
    })().catch((error: unknown) => {
      response.statusCode = 500
      response.end(String(error))
    })
  })
  await new Promise<void>((resolve) => server.listen(join(dir, 'socket'), resolve))
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const runOnce = async (form: URLSearchParams) => {
  const words = form.getAll('word')
  const terminal = await openTerminal({
    cwd: form.get('cwd') ?? '',
    always: 'yes',
    input: form.get('input') ?? '',
    env: Object.fromEntries(passed.map((name) => [name, form.get(name) ?? ''])),
  })
  const started = terminal.start(...words)
  if (!isEndless(words)) return started.ended
  // Whoever looks on has seen something, and presses Ctrl-C.
  while (started.stdout() === '') await systemClock.pause(50) // oxlint-disable-line no-await-in-loop -- until it is so
  started.interrupt()
  const ran = await started.ended
  return { ...ran, exit: ran.exit === 130 ? 0 : ran.exit }
}

const isEndless = (words: readonly string[]): boolean =>
  (words[0] === 'logs' && words.includes('--follow') && !words.includes('--rotation')) ||
  (words[0] === 'get' && words[1] === 'rotations' && words.includes('--watch'))
