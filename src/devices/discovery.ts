import type { EventEmitter } from 'node:events'
import { connect, isIP } from 'node:net'
import { Bonjour, type Service } from 'bonjour-service'
import type { Database } from '../database/tables.ts'
import { AppError } from '../shared/errors.ts'
import { isPrivateAddress, privateAddresses } from '../shared/private-networks.ts'
import type { Discovered } from './schema.ts'

/** What a machine says of itself by mDNS. */
export interface Announcement {
  type: string
  hostname: string
  port: number
  addresses: readonly string[]
  txt: Record<string, unknown>
}

/** The network as discovery sees it; tests have one of their own. */
export interface Network {
  /** What is announced under these mDNS types within a few seconds. */
  browse(types: readonly string[]): Promise<Announcement[]>
  /** Whether something accepts connections there. */
  answers(address: string, port: number): Promise<boolean>
}

export interface ScanResult extends Omit<Discovered, 'last_seen'> {
  port: number
  last_seen: string
}

/** Ours, and what kiosks of older systems announce. */
const TYPES = ['rollcall-kiosk', 'kiosk', 'http']
/** Where kiosks of older systems listen. */
const KIOSK_PORT = 5000
const MAX_FOUND = 500
const BROWSE_MS = 2000
const CONNECT_MS = 500
const AT_ONCE = 128
const SCAN_PAUSE_MS = 60_000

/** Kiosks: what announces itself as one, and what answers on port 5000, announced or found by the last scan. */
export async function discover(db: Database, network: Network, now: Date): Promise<Discovered[]> {
  const announced = (await network.browse(TYPES)).filter(isKiosk).map(({ addresses, hostname }) => ({
    ip: addresses.find((address) => isIP(address) === 4) ?? addresses.find((address) => isIP(address) !== 0),
    hostname: hostname.replace(/[^\w.:-]/g, '').slice(0, 253) || 'Unknown',
    last_seen: now,
  }))
  const scanned = (await lastScan(db))
    .filter(({ port }) => port === KIOSK_PORT)
    .map(({ ip, hostname, last_seen }) => ({ ip, hostname, last_seen: new Date(last_seen) }))
  const found = new Map<string, Discovered>()
  for (const { ip, hostname, last_seen } of [...announced, ...scanned])
    if (ip !== undefined && !found.has(ip)) found.set(ip, { ip, hostname, status: 'discovered', last_seen })
  return [...found.values()].slice(0, MAX_FOUND)
}

function isKiosk({ type, port, txt }: Announcement): boolean {
  return type !== 'http' || port === KIOSK_PORT || txt.type === 'kiosk'
}

/**
 * Tries every address of the networks on every port, and keeps what answered as the last scan.
 * Throws `too_many_requests` within a minute after the last one.
 */
export async function scan(
  db: Database,
  network: Network,
  networks: readonly string[],
  ports: readonly number[],
  clock: { now(): Date },
): Promise<ScanResult[]> {
  const addresses = [...new Set(networks.flatMap((block) => privateAddresses(block) ?? []))]
  if (addresses.length === 0)
    throw new AppError('discovery_off', 'No network may be scanned. List private ones in SCAN_NETWORKS.')
  await beginScan(db, clock.now())
  const targets = addresses.flatMap((ip) => ports.map((port) => ({ ip, port })))
  const found: ScanResult[] = []
  const work = targets.values()
  const worker = async () => {
    for (const { ip, port } of work) {
      // Held twice, because nothing but this line stands before the connection.
      if (!isPrivateAddress(ip) || !(await network.answers(ip, port))) continue
      found.push({
        ip,
        hostname: 'Unknown',
        port,
        status: 'discovered',
        last_seen: clock.now().toISOString(),
      })
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  found.sort((a, b) => a.ip.localeCompare(b.ip, 'en', { numeric: true }) || a.port - b.port)
  const kept = found.slice(0, MAX_FOUND)
  await db
    .updateTable('network_scans')
    .set({ found: JSON.stringify(kept) })
    .execute()
  return kept
}

/** Takes the turn, for all processes of the server. */
async function beginScan(db: Database, now: Date): Promise<void> {
  const begun = await db
    .insertInto('network_scans')
    .values({ id: 1, started_at: now })
    .onConflict((conflict) =>
      conflict
        .column('id')
        .doUpdateSet({ started_at: now })
        .where('network_scans.started_at', '<=', new Date(now.getTime() - SCAN_PAUSE_MS)),
    )
    .returning('id')
    .executeTakeFirst()
  if (begun === undefined)
    throw new AppError(
      'too_many_requests',
      'The network was scanned within the last minute. Wait a minute.',
      {
        retry_after_seconds: SCAN_PAUSE_MS / 1000,
      },
    )
}

/** What the last scan found. */
export async function lastScan(db: Database): Promise<ScanResult[]> {
  const row = await db.selectFrom('network_scans').select('found').executeTakeFirst()
  return (row?.found ?? []) as ScanResult[]
}

/** The network that this machine is in. */
export const localNetwork: Network = { browse: (types) => browse(new Bonjour(), types), answers }

/** What answers the mDNS queries of this browser, which is closed then. Rejects when there is no network to ask. */
export async function browse(
  bonjour: Bonjour,
  types: readonly string[],
  durationMs = BROWSE_MS,
): Promise<Announcement[]> {
  const found: Announcement[] = []
  // The library leaves the errors of its socket to an emitter that it does not show; unheard they end the process.
  const { mdns } = (bonjour as unknown as { server: { mdns: EventEmitter } }).server
  const failure = new Promise<never>((_, reject) =>
    mdns.on('error', () =>
      reject(new AppError('discovery_off', 'This machine cannot ask its network by mDNS (UDP port 5353).')),
    ),
  )
  const browsers = types.map((type) =>
    bonjour.find({ type }, (service) => {
      if (found.length < MAX_FOUND) found.push(announcementOf(service))
    }),
  )
  try {
    await Promise.race([failure, new Promise((resolve) => setTimeout(resolve, durationMs))])
  } finally {
    for (const browser of browsers) browser.stop()
    bonjour.destroy()
  }
  return found
}

function announcementOf({ type, host, port, addresses = [], referer, txt }: Service): Announcement {
  return {
    type,
    hostname: host,
    port,
    addresses: addresses.length > 0 || referer === undefined ? addresses : [referer.address],
    txt: txt ?? {},
  }
}

/** Opens a connection and closes it. Nothing is sent and nothing is read, so that no answer can lead elsewhere. */
export function answers(address: string, port: number, timeoutMs = CONNECT_MS): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port })
    const end = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.setTimeout(timeoutMs, () => end(false))
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
