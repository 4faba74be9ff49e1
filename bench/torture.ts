/**
 * Kills servers and databases for as long as one likes while kiosks send punches, and tells what was lost: nothing.
 *   npm run torture -- --minutes 10      that long in all
 *   npm run torture -- --kills 50        so many kills in each campaign
 * Ends with exit code 1 when a punch was lost or doubled, or anything else is not whole. The PostgreSQL campaigns need
 * PostgreSQL on this machine; without it they are left out, which is said.
 */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Cluster, findPrograms, freePort, startCluster } from '../test/support/postgres-cluster.ts'
import { endServers } from '../test/support/server-process.ts'
import { type Campaign, killServer, type Outcome, runCampaign } from './torture/campaign.ts'

const { values } = parseArgs({ options: { minutes: { type: 'string' }, kills: { type: 'string' } } })
const minutes = values.minutes === undefined ? undefined : positive(values.minutes)
const kills = values.kills === undefined ? (minutes ? undefined : 50) : positive(values.kills)

const folder = await mkdtemp(join(tmpdir(), 'rollcall-torture-'))
let cluster: Cluster | undefined
let failed = false
try {
  const campaigns = [embedded(), ...(havePostgres() ? await onPostgres() : [])]
  const shareMs = minutes && (minutes * 60_000) / campaigns.length
  console.log(
    `campaign${' '.repeat(30)}kills   sent  acknowledged   kept  doubled  lost  recovery median / max`,
  )
  for (const campaign of campaigns) {
    const began = performance.now()
    const enough = (strikes: number) =>
      (kills !== undefined && strikes >= kills) ||
      (shareMs !== undefined && performance.now() - began >= shareMs)
    const outcome = await runCampaign(campaign, enough)
    console.log(lineOf(outcome))
    for (const fault of outcome.faults) console.log(`  ${fault}`)
    failed ||= outcome.lost > 0 || outcome.doubled > 0 || outcome.faults.length > 0
  }
} finally {
  await endServers()
  await cluster?.stop()
  await rm(folder, { recursive: true, force: true })
}
console.log(failed ? 'NOT everything is whole.' : 'Everything is whole: nothing was lost, nothing doubled.')
process.exitCode = failed ? 1 : 0

function embedded(): Campaign {
  const settings = { DATA_DIR: join(folder, 'embedded') }
  return { name: 'the server, embedded database', settings, strike: killServer(settings) }
}

async function onPostgres(): Promise<Campaign[]> {
  const server = await startCluster()
  cluster = server
  const settingsOf = async (name: string, workers = 1) => ({
    DATA_DIR: join(folder, name),
    DB_URL: await server.makeDatabase(name),
    WORKERS: String(workers),
    // Always the same one: no worker is left to hold it when both are killed.
    PORT: String(await freePort()),
  })
  const killed = await settingsOf('server_killed')
  return [
    { name: 'the server, PostgreSQL', settings: killed, strike: killServer(killed) },
    {
      name: 'PostgreSQL itself',
      settings: await settingsOf('postgres_killed'),
      strike: async (running) => {
        await server.kill()
        await server.start()
        return running
      },
    },
    {
      name: 'one of two workers, PostgreSQL',
      settings: await settingsOf('worker_killed', 2),
      strike: async (running) => {
        const workers = readFileSync(`/proc/${running.child.pid}/task/${running.child.pid}/children`, 'utf8')
        const pids = workers.split(' ').filter(Boolean).map(Number)
        // The other one may still be starting: then the service waits for it.
        process.kill(pids[Math.floor(Math.random() * pids.length)]!, 'SIGKILL')
        return running
      },
    },
  ]
}

function havePostgres(): boolean {
  try {
    findPrograms()
    return true
  } catch (error) {
    console.log(`left out: ${(error as Error).message}`)
    return false
  }
}

function lineOf({ name, strikes, sent, acknowledged, kept, doubled, lost, recoveryMs }: Outcome): string {
  const sorted = [...recoveryMs].sort((one, other) => one - other)
  const seconds = (ms = 0) => `${(ms / 1000).toFixed(1)} s`
  return [
    name.padEnd(36),
    String(strikes).padStart(7),
    String(sent).padStart(7),
    String(acknowledged).padStart(14),
    String(kept).padStart(7),
    String(doubled).padStart(9),
    String(lost).padStart(6),
    `  ${seconds(sorted[sorted.length >> 1])} / ${seconds(sorted.at(-1))}`,
  ].join('')
}

function positive(text: string): number {
  const number = Number(text)
  if (number > 0) return number
  console.error('usage: npm run torture -- --minutes N | --kills N')
  process.exit(2)
}
