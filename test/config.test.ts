import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ConfigError, loadCommandTracing, loadConfig } from '#src/config.ts'
import { variableNames, variables } from '#src/variables.ts'

const collector = 'http://collector:4318'
const problemsOf = (env: Readonly<Record<string, string>>): readonly string[] => {
  try {
    loadConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

test('metrics are on loopback at 7401, and whether that was asked for is known', () => {
  expect(loadConfig({}).metrics).toEqual({ host: '127.0.0.1', port: 7401, asked: false })
  expect(loadConfig({ REKEY_METRICS_HOST: '0.0.0.0', REKEY_METRICS_PORT: '0' }).metrics).toEqual({
    host: '0.0.0.0',
    port: 0,
    asked: true,
  })
  expect(loadConfig({ REKEY_METRICS_PORT: '' }).metrics.asked).toBe(false)
  expect(problemsOf({ REKEY_METRICS_PORT: 'off' })).toEqual([
    'REKEY_METRICS_PORT: "off" is not a whole number from 0 to 65535',
  ])
})

test('keys are compared with their provider once an hour, as often as was asked for, or never', () => {
  const everyMs = (env: Readonly<Record<string, string>>) => loadConfig(env).reconcileEveryMs
  expect(everyMs({})).toBe(3_600_000)
  expect(everyMs({ REKEY_RECONCILE_EVERY: '15m' })).toBe(900_000)
  expect(everyMs({ REKEY_RECONCILE_EVERY: '0s' })).toBe(0)
  expect(problemsOf({ REKEY_RECONCILE_EVERY: '900' })).toEqual([
    'REKEY_RECONCILE_EVERY: "900" is not a duration such as 30m, 1h or 0s',
  ])
  expect(everyMs({ REKEY_RECONCILE_EVERY: '1m' })).toBe(60_000)
  // Each key is two reads at its provider, which limits them.
  expect(problemsOf({ REKEY_RECONCILE_EVERY: '59s' })).toEqual([
    'REKEY_RECONCILE_EVERY: "59s" is shorter than 1m; 0s: never',
  ])
})

test('spans go nowhere unless a collector is named', () => {
  expect(loadConfig({}).tracing).toBeNull()
  expect(loadConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: '' }).tracing).toBeNull()
  for (const off of [{ OTEL_SDK_DISABLED: 'true' }, { OTEL_TRACES_EXPORTER: 'none' }])
    expect(loadConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: collector, ...off }).tracing).toBeNull()
})

test('the standard variables of sampling are obeyed', () => {
  const sampled = (env: Readonly<Record<string, string>>) =>
    loadConfig({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: collector, ...env }).tracing
  expect(sampled({})).toEqual({ sampler: 'parentbased_always_on', ratio: 1 })
  expect(sampled({ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25' })).toEqual(
    { sampler: 'traceidratio', ratio: 0.25 },
  )
})

test('what is asked for and cannot be done is refused at the start, without what it held', () => {
  const problems = problemsOf({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'collector user:planted@host',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_TRACES_EXPORTER: 'zipkin',
    OTEL_TRACES_SAMPLER: 'sometimes',
    OTEL_TRACES_SAMPLER_ARG: '2',
  })
  expect(problems.map((line) => line.split(':')[0])).toEqual([
    'OTEL_TRACES_EXPORTER',
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'OTEL_EXPORTER_OTLP_PROTOCOL',
    'OTEL_TRACES_SAMPLER',
    'OTEL_TRACES_SAMPLER_ARG',
  ])
  expect(problems.join()).not.toContain('planted')
})

test('a command is not kept from running by variables that others are meant by', () => {
  expect(
    loadCommandTracing({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    }),
  ).toEqual({ inherited: null, tracing: null })
  expect(loadCommandTracing({ TRACEPARENT: 'x' }).inherited).toBe('x')
})

test('an entry of REKEY_EGRESS_ALLOW that means nothing stops the start, and says which', () => {
  const allowed =
    '10.0.0.0/8, fd00::/8, ::1, 127.0.0.1, sink.example.com, *.corp.example, localhost'
  expect(loadConfig({ REKEY_EGRESS_ALLOW: allowed }).egressAllow).toHaveLength(7)
  const faults = {
    '10.0.0.0/33': 'has no such prefix',
    'fd00::/129': 'has no such prefix',
    '10.0.0.0/8/8': 'is no network',
    '10.0.0.0/': 'has no such prefix',
    '10.0.0': 'is neither an address, a network, a host name nor *.suffix',
    '*': 'is neither an address, a network, a host name nor *.suffix',
    'https://sink.example.com': 'is neither an address, a network, a host name nor *.suffix',
    'sink.*.example': 'is neither an address, a network, a host name nor *.suffix',
  }
  for (const [entry, fault] of Object.entries(faults))
    expect(problemsOf({ REKEY_EGRESS_ALLOW: `10.0.0.1,${entry}` })).toEqual([
      `REKEY_EGRESS_ALLOW: "${entry}" ${fault}`,
    ])
})

test('each variable is read, and none that is not in the table', () => {
  const code = readFileSync(new URL('../src/config.ts', import.meta.url), 'utf8')
  const read = new Set(code.match(/(?<=')REKEY_[A-Z0-9_]+(?=')/g))
  // The command reads these by itself.
  const theCommands = ['REKEY_URL', 'REKEY_TOKEN']
  expect(variableNames.filter((name) => !read.has(name))).toEqual(theCommands)
  const beside = ['REKEY_CREDENTIAL_', 'REKEY_PEERS', 'REKEY_TEST_']
  expect([...read].filter((name) => !(name in variables)).toSorted()).toEqual(beside)
})
