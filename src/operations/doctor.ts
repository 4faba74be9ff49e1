import { existsSync } from 'node:fs'
import { access, constants, readFile, stat, statfs } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { createServer } from 'node:net'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { sql } from 'kysely'
import { loadSecret } from '../access/secret.ts'
import { openDatabase } from '../database/connect.ts'
import { migrationNames, migrationStatus } from '../database/migrate.ts'
import { isServed } from '../database/serving.ts'
import type { Database } from '../database/tables.ts'
import { startEngine } from '../face/engine.ts'
import { findPack } from '../face/packs/catalogue.ts'
import { humanV1 } from '../face/packs/human-v1.ts'
import { locate } from '../face/packs/locate.ts'
import { measuredOf } from '../face/packs/measured.ts'
import { activePack } from '../gallery/active-pack.ts'
import { headFile } from '../ledger/heads.ts'
import { backupFolder, type Config } from '../shared/config.ts'
import { namesIn } from '../shared/files.ts'
import { loadTls, type Tls } from '../shared/tls.ts'
import { parseMasterKey } from '../vault/master-key.ts'
import { isRotating, keysIn, unwrap } from '../vault/vault.ts'

export interface Finding {
  check: string
  state: 'ok' | 'warning' | 'fault'
  /** What was found, and for anything but ok what to do about it. */
  message: string
}

const MB = 1024 * 1024
const DAY_MS = 24 * 60 * 60 * 1000

/**
 * Looks at everything that a server with these settings stands on, in order; changes nothing of it, and works while one
 * is running. What a check itself cannot find out is a fault with the reason, never an exception.
 */
export async function examine(config: Config, now: Date): Promise<Finding[]> {
  const findings: Finding[] = []
  /** Runs a check; the Error that it rejects with is written for the operator. */
  const check = async (name: string, work: () => Promise<Result | Result[]>) => {
    const results = await work().catch((error: Error) => fault(error.message))
    for (const { state, message } of [results].flat()) findings.push({ check: name, state, message })
  }
  await check('node', async () => nodeVersion(now))
  await check('machine', async () => machine())
  await check('settings', () => settings(config))
  await check('time zone', async () => timeZone(config, now))
  await check('folders', () => folders(config))
  await check('disk', () => disk(config))
  let tls: Tls | undefined
  await check('tls', async () => {
    tls = await loadTls(config, now)
    return certificate(config, tls, now)
  })
  let health: Health | undefined
  await check('port', async () => {
    health = await askHealth(config, tls !== undefined)
    return port(config, health, tls)
  })
  await check('models', () => models(config))
  let db: Awaited<ReturnType<typeof openDatabase>> | undefined
  await check('database', async () => {
    if (config.DB_URL === undefined && !existsSync(join(config.DATA_DIR, 'postgres', 'PG_VERSION')))
      return ok('There is none yet: the first start makes the embedded one.')
    try {
      db = await openDatabase({ url: config.DB_URL, dataDir: config.DATA_DIR })
    } catch (error) {
      return lockedDatabase(error as Error, health)
    }
    return ok(`${db.kind === 'embedded' ? 'The embedded PostgreSQL' : 'PostgreSQL'} ${db.version} answers.`)
  })
  try {
    if (db) {
      const { db: database, kind } = db
      if (health && (kind === 'embedded' || !(await isServed(database))))
        await check('port', async () => strange(config))
      await check('migrations', () => migrations(database))
      await check('model pack', () => packInUse(config, database))
      await check('clock', () => clock(database))
      await check('keys', () => keys(config, database))
      await check('ledger', () => ledger(config, database))
    }
  } finally {
    await db?.close()
  }
  await check('backup', () => backup(config, now))
  return findings
}

/** The findings as lines for a person. */
export function describeFindings(findings: readonly Finding[]): string {
  const count = (state: Finding['state']) => findings.filter((finding) => finding.state === state).length
  const lines = findings.map(
    ({ check, state, message }) => `${state.toUpperCase().padEnd(8)}${check.padEnd(12)}${message}`,
  )
  const summary =
    count('fault') > 0
      ? `${count('fault')} faults, ${count('warning')} warnings: mend the faults before you start the server.`
      : `No fault, ${count('warning')} warnings.`
  return [...lines, '', summary].join('\n')
}

interface Result {
  state: Finding['state']
  message: string
}
const ok = (message: string): Result => ({ state: 'ok', message })
const warning = (message: string): Result => ({ state: 'warning', message })
const fault = (message: string): Result => ({ state: 'fault', message })

/** When the lines of Node that this runs on get their last repair. https://github.com/nodejs/release */
const nodeEnds: Record<string, string> = { 20: '2026-04-30', 22: '2027-04-30', 24: '2028-04-30' }

function nodeVersion(now: Date): Result {
  const { version, versions } = process
  const end = nodeEnds[versions.node.split('.')[0]!]
  if (end !== undefined && new Date(end) < now)
    return warning(`${version} gets no security updates since ${end}. Install the newest LTS of Node.`)
  return ok(version)
}

function machine(): Result {
  const cores = availableParallelism()
  // What a container may use, where it is less.
  const bytes = Math.min(totalmem(), process.constrainedMemory?.() || Number.POSITIVE_INFINITY)
  const wantedMb = 512 * (1 + cores)
  const has = `${cores} cores, ${Math.round(bytes / MB)} MB of memory`
  if (bytes < wantedMb * MB)
    return warning(
      `${has}: the networks of ${cores} cores want ${wantedMb} MB. Add memory, or give the process fewer cores.`,
    )
  return ok(has)
}

async function settings(config: Config): Promise<Result[]> {
  const found: Result[] = []
  if (config.SECRET_KEY !== undefined) await loadSecret(config.SECRET_KEY, config.DATA_DIR)
  if (config.DEVICE_AUTH === 'open')
    found.push(
      warning(
        'DEVICE_AUTH=open: whoever reaches the server can punch as any registered kiosk. Pair the kiosks and remove it.',
      ),
    )
  // A master key elsewhere is mounted there with the rights that its maker gave it.
  for (const path of ['secret-key', 'master-key'].map((name) => join(config.DATA_DIR, name))) {
    const mode = await stat(path).then(
      (file) => file.mode,
      () => 0,
    )
    if ((mode & 0o077) !== 0 && process.platform !== 'win32')
      found.push(fault(`Others can read ${path}. Run: chmod 600 ${path}`))
  }
  return found.length > 0 ? found : [ok('All settings are valid.')]
}

function timeZone({ TIME_ZONE }: Config, now: Date): Result {
  const time = now.toLocaleString('sv', { timeZone: TIME_ZONE, timeZoneName: 'shortOffset' })
  return ok(`${TIME_ZONE}; it is ${time} there.`)
}

async function folders(config: Config): Promise<Result[]> {
  const found: Result[] = []
  for (const setting of ['DATA_DIR', 'UPLOAD_DIR', 'KEY_DIR'] as const) {
    const path = config[setting]
    const state = await stat(path).catch((error: NodeJS.ErrnoException) => error.code)
    if (state === 'ENOENT') found.push(ok(`${setting} ${path} is not there yet: the first start makes it.`))
    else if (state === undefined || typeof state === 'string')
      found.push(
        fault(`${setting} ${path} cannot be read (${state}). Give the server's user all rights on it.`),
      )
    else if (!state.isDirectory())
      found.push(fault(`${setting} ${path} is a file. Set ${setting} to a folder.`))
    else if (!(await isWritable(path)))
      found.push(fault(`${setting} ${path} cannot be written. Give the server's user all rights on it.`))
    else if ((state.mode & 0o007) !== 0 && process.platform !== 'win32')
      found.push(
        warning(`Every user of this machine can look into ${setting} ${path}. Run: chmod o= ${path}`),
      )
    else found.push(ok(`${setting} ${path}`))
  }
  return found
}

const isWritable = (path: string) =>
  access(path, constants.R_OK | constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  )

async function disk(config: Config): Promise<Result[]> {
  const found: Result[] = []
  for (const path of new Set([config.DATA_DIR, config.UPLOAD_DIR].filter(existsSync))) {
    const { bavail, bsize } = await statfs(path)
    const freeMb = Math.round((bavail * bsize) / MB)
    const text = `${freeMb} MB are free in ${path}.`
    if (freeMb < 200) found.push(fault(`${text} Make room: a full disk stops check-ins.`))
    else if (freeMb < 2000) found.push(warning(`${text} Make room soon.`))
    else found.push(ok(text))
  }
  return found
}

function certificate({ HOST, TRUST_PROXY }: Config, tls: Tls | undefined, now: Date): Result {
  if (!tls) {
    if (isLoopback(HOST) || TRUST_PROXY.length > 0)
      return ok('Plain HTTP: for this machine alone, or behind a proxy that has TLS.')
    return warning(
      `Plain HTTP on ${HOST}: passwords are readable in the network and browsers give no camera. Run "rollcall tls ` +
        'init", set TLS_CERT and TLS_KEY, or name the proxy that has TLS in TRUST_PROXY.',
    )
  }
  const days = Math.floor((tls.expiresAt.getTime() - now.getTime()) / DAY_MS)
  const text = `${tls.certFile} is for ${tls.names.join(', ')} and good for ${days} days.`
  if (days >= 30) return ok(text)
  return warning(`${text} ${tls.local ? 'Renew it with: rollcall tls init.' : 'Renew it.'}`)
}

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || host.startsWith('127.')

interface Health {
  service?: string
  version?: string
  status?: string
  database?: string
  /** SHA-256 of the certificate that was shown. */
  fingerprint: string | undefined
}

/** What answers at the server's own address; undefined when nothing does. Rejects when that is no Rollcall. */
async function askHealth({ HOST, PORT }: Config, https: boolean): Promise<Health | undefined> {
  if (PORT === 0) return undefined
  const host = HOST === '0.0.0.0' ? '127.0.0.1' : HOST === '::' ? '::1' : HOST
  const other = `Port ${PORT} is used by another program, or by a Rollcall that was started with other TLS settings. Stop it, or set PORT.`
  return new Promise((resolve, reject) => {
    // Only its certificate is compared and its state read: nothing is sent to it.
    const options = {
      host,
      port: PORT,
      path: '/health',
      timeout: 3000,
      rejectUnauthorized: false,
      agent: false,
    }
    const asking = (https ? httpsRequest : httpRequest)(options, (answer) => {
      const { socket } = answer
      const fingerprint = https ? (socket as TLSSocket).getPeerCertificate().fingerprint256 : undefined
      let text = ''
      answer.on('data', (chunk) => {
        text += chunk
        if (text.length > 100_000) answer.destroy(new Error('too long'))
      })
      answer.on('error', () => reject(new Error(other)))
      answer.on('end', () => {
        try {
          const health = JSON.parse(text)
          if (health.service !== 'rollcall') throw new Error('another service')
          resolve({ ...health, fingerprint })
        } catch {
          reject(new Error(other))
        }
      })
    })
    asking.on('timeout', () => asking.destroy(new Error('timeout')))
    asking.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNREFUSED' ? resolve(undefined) : reject(new Error(other)),
    )
    asking.end()
  })
}

async function port(
  { HOST, PORT }: Config,
  health: Health | undefined,
  tls: Tls | undefined,
): Promise<Result> {
  if (PORT === 0) return ok('PORT=0: the server takes a free one.')
  if (!health) {
    const trouble = await listenOnce(HOST, PORT)
    if (trouble === undefined) return ok(`Port ${PORT} is free; no server is running.`)
    return fault(`The server could not listen on ${HOST}, port ${PORT} (${trouble}). Correct HOST and PORT.`)
  }
  const text = `Rollcall ${health.version} answers on port ${PORT} and says that it is ${health.status}.`
  if (health.status !== 'healthy') return fault(`${text} Look into its log.`)
  if (tls && health.fingerprint !== tls.fingerprint)
    return warning(`${text} It serves another certificate than ${tls.certFile}: restart it.`)
  return ok(text)
}

/** A server answers, but none has this database: it is of another installation. */
const strange = ({ PORT }: Config): Result =>
  fault(
    `The Rollcall that answers on port ${PORT} is of another installation: it does not use this database. Stop it, or ` +
      'set PORT.',
  )

function listenOnce(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen(port, host, () => server.close(() => resolve(undefined)))
  })
}

async function models({ MODEL_PATH }: Config): Promise<Result> {
  const engine = await startEngine({ modelPath: MODEL_PATH })
  try {
    await engine.works()
    const start = performance.now()
    if (!(await engine.works()))
      return fault('The face models are whole but do not work on this machine. Run "npm install" again.')
    return ok(
      `${engine.pack.name}: whole, and a face is embedded in ${Math.round(performance.now() - start)} ms.`,
    )
  } finally {
    await engine.close()
  }
}

/** Which pack a server would work with, and whether it is whole; the embedded one was looked at already. */
async function packInUse({ MODEL_PATH }: Config, db: Database): Promise<Result> {
  if ((await migrationStatus(db)).some(({ appliedAt }) => appliedAt === null))
    return ok('It is known once the migrations are applied.')
  const name = await activePack(db)
  if (name === humanV1.name) return ok(`${name} is in use, the embedded one.`)
  try {
    const pack = findPack(name)
    if (!pack) throw new Error(`This version does not know the model pack ${name}.`)
    for (const file of Object.values(pack.files)) locate(file, name, MODEL_PATH)
    if (!measuredOf(pack, MODEL_PATH))
      throw new Error(`${name} is not measured: rollcall models measure ${name} --faces DIR`)
  } catch (error) {
    return fault(
      `${name} is in use, and no server starts. ${(error as Error).message} The way back: rollcall models use ${humanV1.name}`,
    )
  }
  return ok(`${name} is in use, and its files are whole.`)
}

/** The embedded database belongs to one process: the server that has it is asked instead. */
function lockedDatabase(error: Error, health: Health | undefined): Result {
  if (!/ is in use by /.test(error.message)) return fault(error.message)
  if (health?.database === 'connected')
    return ok(
      'The running server has the embedded database and says that it is connected. Stop it for a closer look.',
    )
  return warning(
    'Another process has the embedded database, and no healthy server answers on PORT: a backup, a migration, or a ' +
      `server with another PORT. ${error.message}`,
  )
}

async function migrations(db: Database): Promise<Result> {
  const states = await migrationStatus(db)
  const newer = states.filter(({ name }) => !migrationNames.includes(name)).map(({ name }) => name)
  if (newer.length > 0)
    return fault(
      `The database was made by a newer version of this program (${newer.join(', ')}). Install that version again, or ` +
        'restore a backup that was made before the update.',
    )
  const missing = states.filter(({ appliedAt }) => appliedAt === null)
  if (missing.length === states.length) return ok('The database is empty: the first start makes the tables.')
  if (missing.length > 0)
    return warning(
      `${missing.length} migrations are not applied yet; the next start does it, and makes a backup first.`,
    )
  return ok(`All ${states.length} are applied.`)
}

async function clock(db: Database): Promise<Result> {
  const before = Date.now()
  const { rows } = await sql<{ ms: number }>`
    SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS ms`.execute(db)
  const apart = Math.round(rows[0]!.ms - (before + Date.now()) / 2) / 1000
  const text = `The database's clock is ${Math.abs(apart)} s ${apart < 0 ? 'behind' : 'ahead of'} this machine's.`
  if (Math.abs(apart) > 60) return fault(`${text} Set both by NTP: punches would get wrong times.`)
  return Math.abs(apart) > 2 ? warning(`${text} Set both by NTP.`) : ok(text)
}

/** Whether a table is there: the schema may be that of an older version. */
async function hasColumn(db: Database, table: string, column: string): Promise<boolean> {
  const { rows } = await sql`SELECT FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = ${table} AND column_name = ${column}`.execute(db)
  return rows.length > 0
}

async function keys(config: Config, db: Database): Promise<Result> {
  if (!(await hasColumn(db, 'employees', 'key_id')))
    return ok('Nothing is sealed yet: the next start makes the keys.')
  const { id: instance } = await db.selectFrom('instance').select('id').executeTakeFirstOrThrow()
  const folder = join(config.KEY_DIR, instance)
  const ids = await keysIn(folder)
  const used = await db.selectFrom('employees').select('key_id').where('key_id', 'is not', null).execute()
  if (ids.length === 0 && used.length === 0)
    return ok('Nothing is sealed yet: the next start makes the keys.')
  const masterKey = await readMasterKey(config)
  if (masterKey === undefined)
    return fault(
      `The master key is missing: neither MASTER_KEY is set nor is ${config.MASTER_KEY_FILE} a key. Put it back from ` +
        'its copy; without it photos and templates cannot be read again.',
    )
  if (await isRotating(folder))
    return fault('The change of the master key was not finished. Run: rollcall keys rotate')
  const broken: string[] = []
  for (const id of ids) if (!opens(masterKey, id, await readFile(join(folder, `${id}.key`)))) broken.push(id)
  if (broken.length > 0)
    return fault(
      `${broken.length} of ${ids.length} keys in ${folder} do not open under this master key (the first is ${broken[0]}). Set the ` +
        'right MASTER_KEY or MASTER_KEY_FILE, or restore that folder from its copy.',
    )
  const there = new Set([...ids, ...(await namesIn(join(folder, 'erased')))])
  const lost = used.filter(({ key_id }) => !there.has(key_id!)).length
  if (lost > 0)
    return fault(
      `The keys of ${lost} people are missing in ${folder}. Restore them from the copy of that folder.`,
    )
  return ok(`${ids.length} keys open under the master key. Is a copy of it kept elsewhere?`)
}

function opens(masterKey: Buffer, id: string, file: Buffer): boolean {
  try {
    unwrap(masterKey, id, file)
    return true
  } catch {
    return false
  }
}

async function readMasterKey({ MASTER_KEY, MASTER_KEY_FILE }: Config): Promise<Buffer | undefined> {
  return parseMasterKey(MASTER_KEY ?? (await readFile(MASTER_KEY_FILE, 'utf8').catch(() => '')))
}

/** Whether the chain's last known entry is there; `rollcall verify` looks at every one. */
async function ledger(config: Config, db: Database): Promise<Result> {
  if (!(await hasColumn(db, 'ledger', 'mac'))) return ok('There is none yet: the next start makes it.')
  const { id } = await db.selectFrom('instance').select('id').executeTakeFirstOrThrow()
  const path = headFile(join(config.KEY_DIR, id))
  const text = await readFile(path, 'utf8').catch(() => undefined)
  const { rows } = await sql<{
    count: string
  }>`SELECT coalesce(max(seq), 0)::text AS count FROM ledger`.execute(db)
  const count = rows[0]!.count
  if (text === undefined) {
    if (count === '0') return ok('It is empty.')
    return fault(
      `The file ${path} is missing: nobody can tell whether the last entries were cut off. Restore it.`,
    )
  }
  const head = JSON.parse(text) as { seq: number; mac: string }
  const found = await sql`SELECT FROM ledger
    WHERE seq = ${head.seq} AND encode(mac, 'hex') = ${head.mac}`.execute(db)
  if (found.rows.length === 0 && head.seq > 0)
    return fault(
      `The entry ${head.seq}, which was the last one outside the database, is not in it: it was cut, or this is an older ` +
        'database. Run: rollcall verify',
    )
  return ok(
    `${count} entries; the last one that is known outside the database is there. All of them: rollcall verify`,
  )
}

async function backup(config: Config, now: Date): Promise<Result> {
  const folder = backupFolder(config)
  const times = await Promise.all(
    (await namesIn(folder))
      .filter((name) => name.endsWith('.zip'))
      .map(async (name) => ({ name, at: (await stat(join(folder, name))).mtimeMs })),
  )
  const newest = times.sort((one, other) => other.at - one.at)[0]
  if (!newest)
    return warning(
      `There is no backup in ${folder}. Make one every day with "rollcall backup", and keep it on another machine.`,
    )
  const days = Math.floor((now.getTime() - newest.at) / DAY_MS)
  const text = `The newest one in ${folder} is ${days} days old (${newest.name}).`
  return days >= 7 ? warning(`${text} Make one: rollcall backup`) : ok(text)
}
